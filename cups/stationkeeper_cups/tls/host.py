"""The interface of a port for its TLS transports."""

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
        """Return the context and judge for TLS at the client's first bytes; None closes the connection."""

    def welcome(self, transport: "TLSTransport") -> asyncio.Protocol | None:
        """Return the inner protocol of a connection after its handshake; None closes the connection."""

    def refused(self, transport: "TLSTransport", failure: StationkeeperError) -> None:
        """Handle a failed handshake."""

    def failed(self, transport: "TLSTransport") -> None:
        """Handle an error of the server itself, inside of the exception handler; the connection is closed."""

    def unused(self, transport: "TLSTransport") -> None:
        """Handle a connection that ended before its first byte."""

    def gone(self, transport: "TLSTransport") -> None:
        """Handle the closed socket; called once."""
