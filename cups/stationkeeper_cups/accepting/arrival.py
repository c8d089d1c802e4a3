"""A connection that was accepted and has not begun its handshake: a socket and its place, and no TLS.

What may come before TLS is read here, so that a client which a load balancer names is known by its own address before
its turn. What TLS begins with stays in the kernel until then.
"""

import asyncio
import socket
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_cups.accepting.networks import network_of
from stationkeeper_cups.accepting.opening import Opener

if TYPE_CHECKING:
    from stationkeeper_cups.tls.time_limits import Stage

# Linux: the first byte of the structure is the state, TCP_ESTABLISHED where neither side has ended the connection.
_TCP_INFO = getattr(socket, "TCP_INFO", None)
_ESTABLISHED = 1
# By these a header shows itself.
_SIGN_BYTES = 16
_READ_BYTES = 4096


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
        peer: the IP address that the connection comes from.
        host: who accepted it.
        opener: says what may come before TLS.

    Attributes:
        peer: the client's IP address, as far as it is known by now.
        network: that shares what it may take, by the address.
        received: what was taken out of the kernel of TLS, or of what is not read to its end before it.
        stage: in which it is.
    """

    __slots__ = (
        "_host",
        "_is_watched",
        "_loop",
        "_opener",
        "_reads",
        "_socket",
        "network",
        "peer",
        "received",
        "stage",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, accepted: socket.socket, peer: str, host: Host, opener: Opener
    ) -> None:
        self._loop = loop
        self._socket = accepted
        self._host = host
        self._is_watched = False
        self.peer = peer
        self.network = network_of(peer)
        self.received = b""
        self.stage: Stage | None = None
        # None once TLS may begin.
        self._opener: Opener | None = opener
        # Whether bytes are taken out of the kernel, which tells of those that stay there again and again.
        self._reads = opener.names_client(peer)

    def look(self, *, takes: bool = False) -> Said:
        """Look whether the client has said anything of TLS, and read what may come before.

        Args:
            takes: whether what TLS begins with is taken out of the kernel too: TLS is about to begin.

        Raises:
            StationkeeperError: the connection may not begin so.
        """
        while True:
            takes = takes or self._reads
            try:
                data = self._socket.recv(_READ_BYTES) if takes else self._socket.recv(_SIGN_BYTES, socket.MSG_PEEK)
            except (BlockingIOError, InterruptedError):
                return Said.NOTHING
            except OSError:
                data = b""
            if not data:
                if self._opener is not None and self.received:
                    raise StationkeeperError(Reason.HANDSHAKE_FAILED, "the connection ended before TLS began")
                return Said.GOODBYE
            if takes:
                self.received += data
                data = self.received
            if self._opener is None or self._open(self._opener, data, is_taken=takes):
                return Said.SOMETHING

    def _open(self, opener: Opener, data: bytes, *, is_taken: bool) -> bool:
        """Look at what comes before TLS; whether there is something of TLS."""
        opening = opener(self.peer, data)
        if opening is None or (opening.size and not is_taken):
            self._reads = True
            return False
        self._opener, self._reads = None, False
        if opening.size:
            self.peer, self.network = opening.peer, network_of(opening.peer)
            self.received = self.received[opening.size :]
            return bool(self.received)
        return True

    def is_there(self) -> bool:
        """Whether, as far as is known, the client still waits; one that has ended its side can shake no hands."""
        if _TCP_INFO is None:
            return True
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
