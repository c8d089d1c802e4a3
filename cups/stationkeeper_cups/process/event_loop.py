"""The event loop of the server: asyncio's loop on a faster selector.

A gateway's connection lives for a few events, so registering a socket, removing it and reporting that it is ready cost
as much as the work itself. The standard selector does several lookups for each socket, and the standard loop makes an
object of each callback and queues it. Here the callbacks of `add_reader` and `add_writer` are called in the iteration
in which their socket is ready, before everything that is queued. The iteration continues with further ready sockets
while nothing is queued and no timer is due.
"""

import asyncio
import select
import time
from collections.abc import Callable, Mapping
from contextvars import Context
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, SelectorKey
from typing import Any, TypeVarTuple, Unpack

# The numbers of EPOLLIN and EPOLLOUT; a system may have no epoll, see `new_event_loop`.
_IN, _OUT = 0x001, 0x004

_Socket = Any  # An int, or what has a `fileno`: typeshed's name for it is private.
_Callback = Callable[[], object]
_Arguments = TypeVarTuple("_Arguments")


class EpollSelector(BaseSelector):
    """Linux' epoll, with files by their numbers; `select` itself calls the callbacks of some files.

    Args:
        failed: called with an exception of a callback.
    """

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._epoll = select.epoll()
        self._keys: dict[int, SelectorKey] = {}
        self._readers: dict[int, _Callback] = {}
        self._writers: dict[int, _Callback] = {}
        self._is_called_back = False

    def fileno(self) -> int:
        """Return the number of the epoll object itself."""
        return self._epoll.fileno()

    # Files with a callback.

    def call_to_read(self, number: int, callback: _Callback) -> None:
        """Call `callback` whenever the file can be read."""
        if number not in self._readers:
            self._enter(number, _IN, number in self._writers and _OUT)
        self._readers[number] = callback

    def call_to_write(self, number: int, callback: _Callback) -> None:
        """Call `callback` whenever the file can be written."""
        if number not in self._writers:
            self._enter(number, _OUT, number in self._readers and _IN)
        self._writers[number] = callback

    def call_no_reader(self, number: int) -> bool:
        """Remove the callback of `call_to_read`; return whether there was one."""
        if self._readers.pop(number, None) is None:
            return False
        self._leave(number, number in self._writers and _OUT)
        return True

    def call_no_writer(self, number: int) -> bool:
        """Remove the callback of `call_to_write`; return whether there was one."""
        if self._writers.pop(number, None) is None:
            return False
        self._leave(number, number in self._readers and _IN)
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
            # The file was closed before, and the kernel has removed it by itself.
            pass

    # The methods that asyncio uses for its own files.

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
        """Stop watching a file.

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
        """Wait, call the callbacks of ready files, and return the other ready files with their events.

        Args:
            timeout: seconds; None waits for ever; 0 or less does not wait.
        """
        # epoll counts milliseconds, rounds up, and does not wait for less than nothing.
        wait = None if timeout is None else max(timeout, 0.0)
        until = None if wait is None else time.monotonic() + wait
        self._is_called_back = False
        while True:
            try:
                ready = self._epoll.poll(wait)
            except InterruptedError:
                return []
            found = self._handle(ready)
            if found or self._is_called_back or not ready:
                return found
            if until is not None:
                wait = until - time.monotonic()
                if wait <= 0:
                    return found

    def call_back(self) -> None:
        """Make `select` return after its callbacks, because one of them has queued work."""
        self._is_called_back = True

    def _handle(self, ready: list[tuple[int, int]]) -> list[tuple[SelectorKey, int]]:
        """Call the callbacks of ready files; return the other ready files with their events."""
        others: list[tuple[SelectorKey, int]] = []
        for number, mask in ready:
            if number in self._keys:
                key = self._keys[number]
                others.append((key, key.events & _events(mask)))
                continue
            # Look up the callback only now: an earlier callback may have closed this file, or opened another file with
            # the same number, which then has nothing to read. An error or a hang-up is reported to the reader and to
            # the writer.
            try:
                if mask & ~_OUT and number in self._readers:
                    self._readers[number]()
                if mask & ~_IN and number in self._writers:
                    self._writers[number]()
            except Exception as error:
                self._failed(error)
        return others

    def close(self) -> None:
        """Close the epoll object."""
        self._epoll.close()
        for known in (self._keys, self._readers, self._writers):
            known.clear()

    def get_key(self, fileobj: _Socket) -> SelectorKey:
        """Return the key of a file.

        Raises:
            KeyError: it is not watched.
        """
        return self._keys[_number(fileobj)]

    def get_map(self) -> Mapping[_Socket, SelectorKey]:
        """Return the files by their numbers."""
        return self._keys


class EpollLoop(asyncio.SelectorEventLoop):
    """asyncio's loop with direct calls of readers and writers."""

    # The same clock as asyncio's own method, without a call of a function written in Python.
    time = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._callbacks = EpollSelector(self._callback_failed)
        super().__init__(self._callbacks)

    # The ways in which a callback queues work. Other threads queue work through a file, which ends `select` too.

    def call_soon(
        self, callback: Callable[[Unpack[_Arguments]], object], *args: *_Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        """Call `callback` in the next iteration."""
        self._callbacks.call_back()
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Arguments]], object],
        *args: *_Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call `callback` at a time; `call_later` comes here too."""
        self._callbacks.call_back()
        return super().call_at(when, callback, *args, context=context)

    def stop(self) -> None:
        """Stop after this iteration."""
        self._callbacks.call_back()
        super().stop()

    def add_reader(self, fd: _Socket, callback: Callable[[Unpack[_Arguments]], Any], *args: *_Arguments) -> None:
        """Call `callback` whenever the file can be read."""
        number = fd if type(fd) is int else _number(fd)
        self._callbacks.call_to_read(number, partial(callback, *args) if args else callback)

    def add_writer(self, fd: _Socket, callback: Callable[[Unpack[_Arguments]], Any], *args: *_Arguments) -> None:
        """Call `callback` whenever the file can be written."""
        number = fd if type(fd) is int else _number(fd)
        self._callbacks.call_to_write(number, partial(callback, *args) if args else callback)

    def remove_reader(self, fd: _Socket) -> bool:
        """Remove the callback of `add_reader`; return whether there was one."""
        # asyncio also removes readers with this method that it added by its own `_add_reader`, for a call such as
        # `sock_recv`.
        number = fd if type(fd) is int else _number(fd)
        return self._callbacks.call_no_reader(number) or super().remove_reader(fd)

    def remove_writer(self, fd: _Socket) -> bool:
        """Remove the callback of `add_writer`; return whether there was one."""
        number = fd if type(fd) is int else _number(fd)
        return self._callbacks.call_no_writer(number) or super().remove_writer(fd)

    def _callback_failed(self, error: Exception) -> None:
        self.call_exception_handler({"message": "a reader or writer has failed", "exception": error})


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of the server; the standard one if there is no epoll."""
    return EpollLoop() if hasattr(select, "epoll") else asyncio.new_event_loop()


def _number(fileobj: _Socket) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())


def _mask(events: int) -> int:
    return (_IN if events & EVENT_READ else 0) | (_OUT if events & EVENT_WRITE else 0)


def _events(mask: int) -> int:
    return (EVENT_WRITE if mask & ~_IN else 0) | (EVENT_READ if mask & ~_OUT else 0)
