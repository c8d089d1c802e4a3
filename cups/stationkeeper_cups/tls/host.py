"""What a TLS transport asks of the port that accepted it, and tells it."""

import asyncio
from typing import TYPE_CHECKING, Protocol

from OpenSSL import SSL

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_cups.tls.connection import Judge
from stationkeeper_cups.tls.time_limits import Stage

if TYPE_CHECKING:
    from stationkeeper_cups.tls.transport import TLSTransport


class Host(Protocol):
    """The port that accepted a connection.

    Attributes:
        handshake: the stage until the handshake is done.
        farewell: the stage in which a connection ends.
    """

    handshake: Stage
    farewell: Stage

    def begin(self, transport: "TLSTransport") -> tuple[SSL.Context, Judge] | None:
        """Return what to begin TLS with at the client's first bytes; None ends the connection."""

    def welcome(self, transport: "TLSTransport") -> asyncio.Protocol | None:
        """Return the inner protocol of a connection whose handshake is done; None ends the connection."""

    def refused(self, transport: "TLSTransport", failure: StationkeeperError) -> None:
        """Be told of a handshake that came to nothing."""

    def failed(self, transport: "TLSTransport") -> None:
        """Be told, while the exception is handled, of a fault of the server's own; the connection is cut."""

    def unused(self, transport: "TLSTransport") -> None:
        """Be told of a connection that ended before its first byte."""

    def gone(self, transport: "TLSTransport") -> None:
        """Be told, once, that the socket is closed."""
