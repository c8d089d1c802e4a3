"""The interface of a port for its TLS transports."""

import asyncio
from typing import Protocol, TypeVar

from OpenSSL import SSL

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_cups.tls.connection import Judge
from stationkeeper_cups.tls.time_limits import Stage

T_contra = TypeVar("T_contra", contravariant=True)
"""The transport; `stationkeeper_cups.tls.transport` imports this module, so its name is not used here."""


class Host(Protocol[T_contra]):
    """The port that accepted a connection.

    Attributes:
        handshake: the stage until the handshake is done.
        closing: the stage in which a connection ends.
    """

    handshake: Stage
    closing: Stage

    def begin(self, transport: T_contra) -> tuple[SSL.Context, Judge] | None:
        """Return the context and judge for TLS at the client's first bytes; None closes the connection."""

    def handshake_done(self, transport: T_contra) -> asyncio.Protocol | None:
        """Return the inner protocol of a connection after its handshake; None closes the connection."""

    def refused(self, transport: T_contra, failure: StationkeeperError) -> None:
        """Handle a failed handshake."""

    def failed(self, transport: T_contra) -> None:
        """Handle an error of the server itself, inside of the exception handler; the connection is closed."""

    def unused(self, transport: T_contra) -> None:
        """Handle a connection that ended before its first byte."""

    def closed(self, transport: T_contra) -> None:
        """Handle the closed socket; called once."""
