"""A gateway that asks, as far as decisions depend on it. CUPS or a proxy has ended its TLS."""

from dataclasses import dataclass
from typing import Protocol

from stationkeeper_cups.tls.connection import Verdict


class ClientTLS(Protocol):
    """The TLS connection that a client made.

    Attributes:
        presented: its certificates, DER, its own first; empty where it came without one.
        verdict: about them, once they were judged.
    """

    presented: tuple[bytes, ...]
    verdict: Verdict | None


class Client(Protocol):
    """A connected client."""

    @property
    def peer(self) -> str:
        """Return its IP address."""

    @property
    def tls(self) -> ClientTLS | None:
        """Return its TLS connection; None before the first byte of it."""


@dataclass
class ForwardedTLS:
    """A TLS connection that a proxy ended; it vouches that the client holds the key of its certificate."""

    presented: tuple[bytes, ...]
    verdict: Verdict | None = None


@dataclass(frozen=True)
class ForwardedClient:
    """A client behind a proxy."""

    peer: str
    tls: ForwardedTLS
