"""The properties of a client that decisions depend on. CUPS or a proxy terminates its TLS."""

from dataclasses import dataclass
from typing import Protocol

from stationkeeper_cups.tls.connection import Verdict


class ClientTLS(Protocol):
    """The TLS connection of a client.

    Attributes:
        presented: its certificates, DER, its own first; empty if it has none.
        verdict: the verdict on them, after they were judged.
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
        """Return its TLS connection; None before its first byte."""


@dataclass
class ForwardedTLS:
    """A TLS connection that a proxy terminated; the proxy vouches that the client has the key of its certificate."""

    presented: tuple[bytes, ...]
    verdict: Verdict | None = None


@dataclass(frozen=True)
class ForwardedClient:
    """A client behind a proxy."""

    peer: str
    tls: ForwardedTLS
