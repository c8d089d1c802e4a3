"""A connection that was accepted and has not begun its handshake: a socket and its place, and no TLS."""

import asyncio
import socket
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from stationkeeper_cups.networks import network_of

if TYPE_CHECKING:
    from stationkeeper_cups.tls.time_limits import Stage

# Linux: the first byte of the structure is the state, TCP_ESTABLISHED where neither side has ended the connection.
_TCP_INFO = getattr(socket, "TCP_INFO", None)
_ESTABLISHED = 1


class Said(Enum):
    """What a client has said so far."""

    NOTHING = "nothing"
    SOMETHING = "something"
    GOODBYE = "goodbye"


class Host(Protocol):
    """Who accepted it."""

    def heard(self, arrival: "Arrival") -> None:
        """Be told that the client has said something, or has ended the connection."""

    def overdue(self, arrival: "Arrival", stage: "Stage") -> None:
        """Be told that it was in a stage for too long."""


class Arrival:
    """One accepted connection.

    Args:
        loop: a loop that watches sockets.
        accepted: a connected socket that does not block.
        peer: the client's IP address.
        host: who accepted it.

    Attributes:
        peer: as given.
        network: that shares what it may take, by the address.
        stage: in which it is.
    """

    __slots__ = ("_host", "_is_watched", "_loop", "_socket", "network", "peer", "stage")

    def __init__(self, loop: asyncio.AbstractEventLoop, accepted: socket.socket, peer: str, host: Host) -> None:
        self._loop = loop
        self._socket = accepted
        self._host = host
        self._is_watched = False
        self.peer = peer
        self.network = network_of(peer)
        self.stage: Stage | None = None

    def said(self) -> Said:
        """Look at what the client has said, and leave it where it is."""
        try:
            found = self._socket.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return Said.NOTHING
        except OSError:
            return Said.GOODBYE
        return Said.SOMETHING if found else Said.GOODBYE

    def is_there(self) -> bool:
        """Whether, as far as is known, the client still waits; one that has ended its side can shake no hands."""
        if _TCP_INFO is None:
            return self.said() is not Said.GOODBYE
        try:
            return self._socket.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0] == _ESTABLISHED
        except OSError:
            return False

    def watch(self) -> None:
        """Tell the host once the client says something."""
        self._is_watched = True
        self._loop.add_reader(self._socket.fileno(), self._host.heard, self)

    def rest(self) -> None:
        """Tell no more."""
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._socket.fileno())

    def hand_over(self) -> socket.socket:
        """Return the socket to the one that takes care of it, and watches it, from now on."""
        if self.stage is not None:
            self.stage.remove(self)
        self._is_watched = False
        return self._socket

    def time_is_up(self, stage: "Stage") -> None:
        """Let the host decide."""
        self._host.overdue(self, stage)

    def close(self) -> None:
        """End the connection; a client whose words were not read is told so by a reset."""
        self.rest()
        if self.stage is not None:
            self.stage.remove(self)
        with suppress(OSError):
            self._socket.close()
