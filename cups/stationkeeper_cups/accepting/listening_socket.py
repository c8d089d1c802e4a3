"""The listening socket of the gateways' port."""

import socket
from functools import cached_property


class ListeningSocket(socket.socket):
    """A socket that caches the values that `accept` needs for each connection."""

    @cached_property
    def family(self) -> socket.AddressFamily:
        """The address family."""
        return super().family

    @cached_property
    def type(self) -> socket.SocketKind:
        """The kind of socket."""
        return super().type
