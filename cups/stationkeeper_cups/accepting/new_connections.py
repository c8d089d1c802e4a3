"""Takes new connections from a listening socket, a few in each turn of the event loop."""

import asyncio
import errno
import logging
import select
import socket
from collections.abc import Callable

# In one turn of the event loop. What is under way goes on between the turns, so few at a time are answered sooner. Of
# what comes at more than eight times the capacity, the rest stays in the kernel, which drops it more cheaply.
ACCEPTED_AT_ONCE = 32

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE_SECONDS = 1.0

_log = logging.getLogger("stationkeeper.cups.listener")


class Accepting:
    """Accepts connections while it is open; it pauses where the process has no descriptor left for one.

    Args:
        loop: a loop that watches sockets.
        bound: a bound TCP socket; `start` makes it listen.
        take: given each connection, a socket that does not block, and the IP address that it comes from.
        turn_ends: called once those of one turn are taken.

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
            unread_bytes: that the kernel holds of what a client has sent.
            backlog: connections that the kernel holds before they are accepted.
        """
        self._socket.setblocking(False)
        # An accepted socket inherits both. Answers are written whole, and small ones must not wait for each other; what
        # a client sends before its turn must not fill the memory.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, unread_bytes)
        self._socket.listen(backlog)
        self.is_open = True
        self._go_on()

    def stop(self) -> None:
        """Accept no more, for good."""
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
                # Usually there is one; to ask costs a third of an accept that finds nothing.
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
