"""The records of connections that were not accepted."""

from dataclasses import dataclass
from enum import StrEnum

from stationkeeper_core.errors import Reason


class Dropped(StrEnum):
    """The reason that a waiting connection was closed before its turn."""

    PEER_GONE = "PeerGone"
    WAITED_TOO_LONG = "WaitedTooLong"
    QUEUE_FULL = "QueueFull"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failed handshake.

    Attributes:
        peer: the address of the client.
        reason: the word of the reason.
        detail: the details.
        presented: the presented certificates, DER, the client's own first; empty if there were none.
        judgement: the judgement on them; None if they were not judged.
    """

    peer: str
    reason: Reason
    detail: str
    presented: tuple[bytes, ...] = ()
    judgement: object = None
