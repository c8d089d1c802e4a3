"""The event loop of the server: asyncio's own, on a selector that does no more than is asked of it.

A gateway's connection lives for a few events, so that to enter a socket, to leave it out and to tell that it is ready
costs as much as what is done then. The standard selector looks each socket up by several names, and the standard loop
makes an object of each callback and queues it. Here what `add_reader` and `add_writer` were given is called in the
round of the loop in which its socket is ready, before all that the round has queued.
"""

import asyncio
import math
import select
from collections.abc import Callable, Mapping
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, SelectorKey
from typing import Any, TypeVarTuple, Unpack

_Socket = Any  # An int, or what has a `fileno`: typeshed's name for it is private.
_Callback = Callable[[], object]
_Arguments = TypeVarTuple("_Arguments")


class EpollSelector(BaseSelector):
    """Linux' epoll, with files known by their numbers; some of them have a callback, which `select` calls itself.

    Args:
        failed: told of an exception of a callback.
    """

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._epoll = select.epoll()
        self._keys: dict[int, SelectorKey] = {}
        self._readers: dict[int, _Callback] = {}
        self._writers: dict[int, _Callback] = {}

    def fileno(self) -> int:
        """Return the number of the epoll object itself."""
        return self._epoll.fileno()

    # Files with a callback.

    def call_to_read(self, number: int, callback: _Callback) -> None:
        """Have `callback` called whenever the file can be read."""
        if number not in self._readers:
            self._enter(number, select.EPOLLIN, number in self._writers and select.EPOLLOUT)
        self._readers[number] = callback

    def call_to_write(self, number: int, callback: _Callback) -> None:
        """Have `callback` called whenever the file can be written."""
        if number not in self._writers:
            self._enter(number, select.EPOLLOUT, number in self._readers and select.EPOLLIN)
        self._writers[number] = callback

    def call_no_reader(self, number: int) -> bool:
        """Take back `call_to_read`; return whether there was anything to be taken back."""
        if self._readers.pop(number, None) is None:
            return False
        self._leave(number, number in self._writers and select.EPOLLOUT)
        return True

    def call_no_writer(self, number: int) -> bool:
        """Take back `call_to_write`; return whether there was anything to be taken back."""
        if self._writers.pop(number, None) is None:
            return False
        self._leave(number, number in self._readers and select.EPOLLIN)
        return True

    def _enter(self, number: int, mask: int, before: int) -> None:
        if before:
            self._epoll.modify(number, mask | before)
        else:
            self._epoll.register(number, mask)

    def _leave(self, number: int, left: int) -> None:
        try:
            if left:
                self._epoll.modify(number, left)
            else:
                self._epoll.unregister(number)
        except OSError:
            # It was closed before: the kernel has left it out by itself.
            pass

    # What asyncio uses for its own.

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
        self._leave(key.fd, 0)
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
        """Wait, call the callbacks of the files that are ready, and return which of the others are ready for what.

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
            ready = self._epoll.poll(wait)
        except InterruptedError:
            return []
        keys, found = self._keys, []
        for number, mask in ready:
            key = keys.get(number)
            if key is None:
                self._call(number, mask)
                continue
            # An error or a hang-up is told to the reader and to the writer.
            events = (EVENT_WRITE if mask & ~select.EPOLLIN else 0) | (EVENT_READ if mask & ~select.EPOLLOUT else 0)
            found.append((key, events & key.events))
        return found

    def _call(self, number: int, mask: int) -> None:
        # Asked for only now: a callback before may have closed it, or opened another of this number, which finds that
        # there is nothing to be read.
        reader = self._readers.get(number) if mask & ~select.EPOLLOUT else None
        try:
            if reader is not None:
                reader()
            writer = self._writers.get(number) if mask & ~select.EPOLLIN else None
            if writer is not None:
                writer()
        except Exception as error:
            self._failed(error)

    def close(self) -> None:
        """Let go of the epoll object."""
        self._epoll.close()
        for known in (self._keys, self._readers, self._writers):
            known.clear()

    def get_key(self, fileobj: _Socket) -> SelectorKey:
        """Return what is known of a file.

        Raises:
            KeyError: it is not watched.
        """
        return self._keys[_number(fileobj)]

    def get_map(self) -> Mapping[_Socket, SelectorKey]:
        """Return the files by their numbers."""
        return self._keys


class EpollLoop(asyncio.SelectorEventLoop):
    """asyncio's loop, which calls readers and writers without a detour."""

    def __init__(self) -> None:
        self._callbacks = EpollSelector(self._callback_failed)
        super().__init__(self._callbacks)

    def add_reader(self, fd: _Socket, callback: Callable[[Unpack[_Arguments]], Any], *args: *_Arguments) -> None:
        """Call `callback` whenever the file can be read."""
        self._callbacks.call_to_read(_number(fd), partial(callback, *args))

    def add_writer(self, fd: _Socket, callback: Callable[[Unpack[_Arguments]], Any], *args: *_Arguments) -> None:
        """Call `callback` whenever the file can be written."""
        self._callbacks.call_to_write(_number(fd), partial(callback, *args))

    def remove_reader(self, fd: _Socket) -> bool:
        """Take back `add_reader`; return whether there was anything to be taken back."""
        # asyncio takes back by this method what it has added for a call such as `sock_recv` by one of its own.
        return self._callbacks.call_no_reader(_number(fd)) or super().remove_reader(fd)

    def remove_writer(self, fd: _Socket) -> bool:
        """Take back `add_writer`; return whether there was anything to be taken back."""
        return self._callbacks.call_no_writer(_number(fd)) or super().remove_writer(fd)

    def _callback_failed(self, error: Exception) -> None:
        self.call_exception_handler({"message": "a reader or writer has failed", "exception": error})


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return the loop to run the server in; the standard one where there is no epoll."""
    return EpollLoop() if hasattr(select, "epoll") else asyncio.new_event_loop()


def _number(fileobj: _Socket) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())


def _mask(events: int) -> int:
    return (select.EPOLLIN if events & EVENT_READ else 0) | (select.EPOLLOUT if events & EVENT_WRITE else 0)
