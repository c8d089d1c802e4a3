"""An accepted connection before its handshake: a socket and its place in the queue, without TLS.

Bytes before TLS are read here, so that the address of a client behind a load balancer is known before its turn. The
first TLS bytes stay in the kernel until then.
"""

import asyncio
import socket
from contextlib import suppress
from enum import Enum
from typing import Protocol

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_cups.accepting.before_tls import Opener
from stationkeeper_cups.accepting.networks import network_of
from stationkeeper_cups.tls.time_limits import Stage

# Linux: the first byte of the structure is the state, TCP_ESTABLISHED if neither side has ended the connection.
_TCP_INFO = getattr(socket, "TCP_INFO", None)
_ESTABLISHED = 1
# The number of bytes that identify a header.
_SIGN_BYTES = 16
_READ_BYTES = 4096


class FirstBytes(Enum):
    """The state of a client's first bytes."""

    NONE = "none"
    TLS = "tls"
    END = "end"
    """The client has ended the connection."""


class Host(Protocol):
    """The owner of an arrival."""

    def on_first_bytes(self, arrival: "Arrival") -> None:
        """Handle the first TLS bytes of the client, or its end of the connection."""

    def on_timeout(self, arrival: "Arrival", stage: Stage) -> None:
        """Handle an arrival that was in a stage for too long."""


class Arrival:
    """One accepted connection.

    Args:
        loop: a loop that watches sockets.
        accepted: a connected, non-blocking socket.
        peer: the source IP address of the connection.
        host: its owner.
        opener: decides which bytes may come before TLS.

    Attributes:
        peer: the client's IP address, as far as known.
        network: the network of the address, which shares the limits.
        received: the bytes read from the kernel: of TLS, or of an incomplete header before it.
        stage: its present stage.
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
        # Whether bytes are read out of the kernel; bytes that stay there make the socket readable again and again.
        self._reads = opener.names_client(peer)

    def check_first_bytes(self, *, takes: bool = False) -> FirstBytes:
        """Check whether the client has sent TLS bytes, and read the bytes before them.

        Args:
            takes: whether to read the first TLS bytes from the kernel too, because TLS is about to begin.

        Raises:
            StationkeeperError: this beginning is not allowed.
        """
        while True:
            takes = takes or self._reads
            try:
                data = self._socket.recv(_READ_BYTES) if takes else self._socket.recv(_SIGN_BYTES, socket.MSG_PEEK)
            except (BlockingIOError, InterruptedError):
                return FirstBytes.NONE
            except OSError:
                data = b""
            if not data:
                if self._opener is not None and self.received:
                    raise StationkeeperError(Reason.HANDSHAKE_FAILED, "the connection ended before TLS began")
                return FirstBytes.END
            if takes:
                self.received += data
                data = self.received
            if self._opener is None or self._read_opening(self._opener, data, is_taken=takes):
                return FirstBytes.TLS

    def _read_opening(self, opener: Opener, data: bytes, *, is_taken: bool) -> bool:
        """Read the bytes before TLS; return whether TLS bytes follow."""
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

    def is_connected(self) -> bool:
        """Return whether the client still waits, as far as known; one that closed its side cannot do a handshake."""
        if _TCP_INFO is None:
            return True
        try:
            return self._socket.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0] == _ESTABLISHED
        except OSError:
            return False

    def watch(self) -> None:
        """Call the host when the client sends something."""
        self._is_watched = True
        self._loop.add_reader(self._socket.fileno(), self._host.on_first_bytes, self)

    def stop_watching(self) -> None:
        """Stop watching the client."""
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._socket.fileno())

    def hand_over(self) -> socket.socket:
        """Return the socket to its new owner, which watches it from now on."""
        if self.stage is not None:
            self.stage.remove(self)
        self._is_watched = False
        return self._socket

    def time_is_up(self, stage: Stage) -> None:
        """Tell the host that the time in this stage is up."""
        self._host.on_timeout(self, stage)

    def close(self) -> None:
        """Close the connection; a client with unread bytes gets a reset."""
        self.stop_watching()
        if self.stage is not None:
            self.stage.remove(self)
        with suppress(OSError):
            self._socket.close()
