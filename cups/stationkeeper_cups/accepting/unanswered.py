"""What is told of connections that were never let in."""

from dataclasses import dataclass
from enum import StrEnum

from stationkeeper_core.errors import Reason


class Dropped(StrEnum):
    """Why a connection that waited was closed before its turn."""

    PEER_GONE = "PeerGone"
    WAITED_TOO_LONG = "WaitedTooLong"
    QUEUE_FULL = "QueueFull"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A handshake that came to nothing.

    Attributes:
        peer: address of the client.
        reason: the reason's word.
        detail: what was found.
        presented: the certificates that the client presented, DER, its own first; empty where none came.
        judgement: what was found out about them; None where they were not judged.
    """

    peer: str
    reason: Reason
    detail: str
    presented: tuple[bytes, ...] = ()
    judgement: object = None
