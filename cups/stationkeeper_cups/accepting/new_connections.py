"""Accept new connections from a listening socket, a few in each iteration of the event loop."""

import asyncio
import errno
import logging
import select
import socket
from collections.abc import Callable

# The maximum in one iteration of the event loop. Connections under way continue between the iterations, so a small
# number gives earlier answers. If about eight times more connections arrive than the server can handle, the others stay
# in the kernel, which drops them at less cost.
ACCEPTED_AT_ONCE = 32

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE_SECONDS = 1.0

_log = logging.getLogger("stationkeeper.cups.listener")


class Accepting:
    """Accepts connections while it is open; it pauses if the process has no free descriptor.

    Args:
        loop: a loop that watches sockets.
        bound: a bound TCP socket; `start` makes it listen.
        take: called with each connection (a non-blocking socket) and its source IP address.
        turn_ends: called after the connections of one iteration.

    Attributes:
        is_open: whether it accepts connections.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bound: socket.socket,
        take: Callable[[socket.socket, str], None],
        turn_ends: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._socket = bound
        self._take = take
        self._turn_ends = turn_ends
        self._pending = select.poll()
        self._pending.register(bound, select.POLLIN)
        self._is_watched = False
        self._retry: asyncio.TimerHandle | None = None
        self.is_open = False

    def start(self, unread_bytes: int, backlog: int) -> None:
        """Listen and accept.

        Args:
            unread_bytes: the maximum of unread client bytes in the kernel.
            backlog: the connections that the kernel holds before they are accepted.
        """
        self._socket.setblocking(False)
        # An accepted socket inherits both options. Answers are written whole, and small ones must not wait for each
        # other; the bytes of a client before its turn must not fill the memory.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, unread_bytes)
        self._socket.listen(backlog)
        self.is_open = True
        self._go_on()

    def stop(self) -> None:
        """Stop accepting for ever."""
        self.is_open = False
        self._pause()
        if self._retry is not None:
            self._retry.cancel()
        self._socket.close()

    def _accept(self) -> None:
        for number in range(ACCEPTED_AT_ONCE):
            try:
                accepted, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    _log.warning("cannot accept connections", extra={"fields": {"detail": str(error)}})
                    self._pause()
                    self._retry = self._loop.call_later(_PAUSE_SECONDS, self._go_on)
                break
            accepted.setblocking(False)
            self._take(accepted, address[0])
            if not number and not self._pending.poll(0):
                # Usually there is one; this check costs a third of an accept that finds nothing.
                break
        self._turn_ends()

    def _go_on(self) -> None:
        self._retry = None
        if self.is_open and not self._is_watched:
            self._is_watched = True
            self._loop.add_reader(self._socket, self._accept)

    def _pause(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._socket)
