"""Run the operator, and record how long each callback blocks its event loop: in wall time, and in CPU time.

    python -m tests.bench.loop_watch FILE

The operator reads its settings from the environment. At its end, the records are in FILE, as JSON. Only the loop of the
main thread is watched, by public means: a selector that knows when the loop waits, so that the time between two waits
and all work in it are known; and `call_soon` and `call_at`, which get a callback that is timed.
"""

import asyncio
import gc
import json
import selectors
import sys
import threading
import time
from collections.abc import Callable
from contextvars import Context
from pathlib import Path
from typing import Any, TypeVarTuple

from stationkeeper_operator.main import main

NOTED_SECONDS = 0.002
"""A callback that takes less of both times is only counted."""

_MOST = 200_000
_Ts = TypeVarTuple("_Ts")


class Notes:
    """The records: all long callbacks of each kind, and the number of all callbacks by second."""

    def __init__(self) -> None:
        self.long: dict[str, list[tuple[float, float, float, str]]] = {"turn": [], "callback": [], "gc": []}
        self.counted: dict[int, int] = {}
        self._gc_began = 0.0, 0.0

    def take(self, kind: str, began: float, wall: float, cpu: float, name: str) -> None:
        if kind == "turn":
            self.counted[int(began)] = self.counted.get(int(began), 0) + 1
        if max(wall, cpu) >= NOTED_SECONDS and len(self.long[kind]) < _MOST:
            self.long[kind].append((began, wall, cpu, name))

    def collected(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._gc_began = time.monotonic(), time.thread_time()
            return
        began, cpu = self._gc_began
        wall, used = time.monotonic() - began, time.thread_time() - cpu
        name = f"generation {info['generation']} in {threading.current_thread().name}"
        self.take("gc", began, wall, used, name)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps({"long": self.long, "counted": self.counted}))


class WatchedSelector(selectors.DefaultSelector):
    """Records the time from the end of one wait to the begin of the next one: a turn of the loop."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self._notes = notes
        self._woke: tuple[float, float] | None = None

    def select(self, timeout: float | None = None) -> Any:
        if self._woke is not None:
            began, cpu = self._woke
            self._notes.take("turn", began, time.monotonic() - began, time.thread_time() - cpu, "")
        found = super().select(timeout)
        self._woke = time.monotonic(), time.thread_time()
        return found


class WatchedLoop(asyncio.SelectorEventLoop):
    """Records the time of each callback."""

    def __init__(self, notes: Notes) -> None:
        super().__init__(WatchedSelector(notes))
        self._notes = notes

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return super().call_soon(self._timed, callback, args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return super().call_soon_threadsafe(self._timed, callback, args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return super().call_at(when, self._timed, callback, args, context=context)

    def _timed(self, callback: Callable[[*_Ts], object], args: tuple[*_Ts]) -> None:
        began, cpu = time.monotonic(), time.thread_time()
        try:
            callback(*args)
        finally:
            wall, used = time.monotonic() - began, time.thread_time() - cpu
            name = _name(callback) if max(wall, used) >= NOTED_SECONDS else ""
            self._notes.take("callback", began, wall, used, name)


class _Policy(asyncio.DefaultEventLoopPolicy):
    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self._notes = notes

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        is_main = threading.current_thread() is threading.main_thread()
        return WatchedLoop(self._notes) if is_main else super().new_event_loop()


def _name(callback: Callable[..., object]) -> str:
    """Return the name of a callback; for a step of a task, the line at which the task waits now."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        stack = owner.get_stack(limit=1)
        where = f" before line {stack[-1].f_lineno} of {Path(stack[-1].f_code.co_filename).stem}" if stack else " (end)"
        return f"{getattr(owner.get_coro(), '__qualname__', '')}{where}"
    return getattr(callback, "__qualname__", None) or repr(callback)


def run(path: Path) -> None:
    """Run the operator until it is stopped."""
    notes = Notes()
    asyncio.set_event_loop_policy(_Policy(notes))
    gc.callbacks.append(notes.collected)
    # The operator's own command line is the environment.
    sys.argv[1:] = []
    try:
        main()
    finally:
        notes.write(path)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
