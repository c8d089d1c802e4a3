"""The socket on which gateways' connections are accepted."""

import socket
from functools import cached_property


class ListeningSocket(socket.socket):
    """A socket that finds out once what `accept` asks for with each connection."""

    @cached_property
    def family(self) -> socket.AddressFamily:
        """The address family."""
        return super().family

    @cached_property
    def type(self) -> socket.SocketKind:
        """The kind of socket."""
        return super().type
