"""The event loop of the server: asyncio's own, on a selector that does no more than is asked of it.

A gateway's connection lives for a few events, so that to enter a socket, to leave it out and to tell that it is ready
costs as much as what is done then. The standard selector looks each socket up by several names.
"""

import asyncio
import math
import select
from collections.abc import Mapping
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, SelectorKey
from typing import Any

_Socket = Any  # An int, or what has a `fileno`: typeshed's name for it is private.


class EpollSelector(BaseSelector):
    """Linux' epoll, with files known by their numbers."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._keys: dict[int, SelectorKey] = {}

    def fileno(self) -> int:
        """Return the number of the epoll object itself."""
        return self._epoll.fileno()

    def register(self, fileobj: _Socket, events: int, data: Any = None) -> SelectorKey:
        """Watch a file.

        Raises:
            KeyError: it is watched already.
        """
        number = _number(fileobj)
        if number in self._keys:
            raise KeyError(f"{number} is registered already")
        self._epoll.register(number, _mask(events))
        key = self._keys[number] = SelectorKey(fileobj, number, events, data)
        return key

    def unregister(self, fileobj: _Socket) -> SelectorKey:
        """Watch a file no more.

        Raises:
            KeyError: it is not watched.
        """
        key = self._keys.pop(_number(fileobj))
        try:  # noqa: SIM105 - a context manager for each connection costs more
            self._epoll.unregister(key.fd)
        except OSError:
            # It was closed before: the kernel has left it out by itself.
            pass
        return key

    def modify(self, fileobj: _Socket, events: int, data: Any = None) -> SelectorKey:
        """Watch a file for other events.

        Raises:
            KeyError: it is not watched.
        """
        number = _number(fileobj)
        before = self._keys[number]
        if before.events != events:
            self._epoll.modify(number, _mask(events))
        key = self._keys[number] = SelectorKey(before.fileobj, number, events, data)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Wait, and return which files are ready for what.

        Args:
            timeout: seconds; None to wait for ever, 0 or less not to wait.
        """
        if timeout is None:
            wait = -1.0
        elif timeout <= 0:
            wait = 0.0
        else:
            # epoll counts milliseconds, and must not come back before the time.
            wait = math.ceil(timeout * 1e3) * 1e-3
        try:
            ready = self._epoll.poll(wait, max(len(self._keys), 1))
        except InterruptedError:
            return []
        keys, found = self._keys, []
        for number, mask in ready:
            key = keys.get(number)
            if key is not None:
                # An error or a hang-up concerns whoever waits, to read or to write.
                events = (EVENT_WRITE if mask & ~select.EPOLLIN else 0) | (EVENT_READ if mask & ~select.EPOLLOUT else 0)
                found.append((key, events & key.events))
        return found

    def close(self) -> None:
        """Let go of the epoll object."""
        self._epoll.close()
        self._keys.clear()

    def get_key(self, fileobj: _Socket) -> SelectorKey:
        """Return what is known of a file.

        Raises:
            KeyError: it is not watched.
        """
        return self._keys[_number(fileobj)]

    def get_map(self) -> Mapping[_Socket, SelectorKey]:
        """Return the files by their numbers."""
        return self._keys


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return the loop to run the server in; the standard one where there is no epoll."""
    return asyncio.SelectorEventLoop(EpollSelector()) if hasattr(select, "epoll") else asyncio.new_event_loop()


def _number(fileobj: _Socket) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())


def _mask(events: int) -> int:
    return (select.EPOLLIN if events & EVENT_READ else 0) | (select.EPOLLOUT if events & EVENT_WRITE else 0)
