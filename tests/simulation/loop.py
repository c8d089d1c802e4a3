"""An event loop with virtual time; a seed draws its next step.

asyncio runs ready callbacks in the order in which they became ready, while time passes. Here any ready callback may be
the next one, and time passes only when none is ready. So one seed is one order of events, which can be replayed.

Several processes share the loop. Each step belongs to the process that scheduled it, by its context. A killed process
takes no further step, not even the steps with which a cancelled task would clean up.
"""

import asyncio
import contextvars
import heapq
import random
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any, TypeVarTuple

Ts = TypeVarTuple("Ts")


class StuckError(AssertionError):
    """Nothing is ready and no timer is set, but the run has not ended."""


class EndlessError(AssertionError):
    """The run took too many steps."""


@dataclass(eq=False)
class Process:
    """A process that can be killed: the owner of tasks.

    Attributes:
        name: for traces.
        alive: whether its steps are taken.
        frozen: whether its steps wait.
        clock_ahead: by how many seconds its wall clock is ahead of the time of the loop.
    """

    name: str
    alive: bool = True
    frozen: bool = False
    clock_ahead: float = 0.0


WORLD = Process("world")
"""The process of all steps outside of the others; it cannot be killed."""
_PROCESS: contextvars.ContextVar[Process] = contextvars.ContextVar("process", default=WORLD)


class _Step(asyncio.TimerHandle):
    """A scheduled callback.

    It skips asyncio's own constructors: a run has tens of thousands of steps, and nobody needs the attributes.
    """

    __slots__ = ("args", "callback", "context", "process")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context
        self.process: Process = context.get(_PROCESS, WORLD)

    def cancel(self) -> None:
        self.callback = None

    def cancelled(self) -> bool:
        return self.callback is None


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address in memory."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class SimulatedLoop(asyncio.AbstractEventLoop):
    """The loop of one run.

    Args:
        chance: draws the next step.
        most_steps: the number of steps after which the run counts as endless.
    """

    is_simulated = True

    def __init__(self, chance: random.Random, most_steps: int = 2_000_000) -> None:
        self._chance = chance
        self._most_steps = most_steps
        self._now = 0.0
        self._ready: list[_Step] = []
        self._timers: list[tuple[float, int, _Step]] = []
        self._frozen: list[_Step] = []
        self._number = 0
        self._failure: BaseException | None = None
        # Kept, so that no coroutine of a killed process is closed, which would run its `finally`, before the run ends.
        self._tasks: list[asyncio.Future[Any]] = []
        self.steps = 0
        self._world = contextvars.copy_context()
        self._world.run(_PROCESS.set, WORLD)

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run until `main` ends.

        Raises:
            BaseException: the exception of `main`, or the one given to `fail`.
            StuckError: nothing can happen any more.
            EndlessError: too many steps were taken.
        """
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(main)
            while not task.done():
                self._step()
                if self._failure is not None:
                    raise self._failure
            task.result()
        finally:
            asyncio._set_running_loop(None)

    def spawn(self, process: Process, main: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine, and all tasks that it starts, in a process."""
        context = contextvars.copy_context()
        context.run(_PROCESS.set, process)
        return context.run(self.create_task, main)

    def fail(self, failure: AssertionError) -> None:
        """End the run: a task found that an invariant does not hold."""
        self._failure = self._failure or failure

    def freeze(self, process: Process) -> None:
        """Stop the steps of a process until `thaw`; time passes meanwhile."""
        process.frozen = True

    def thaw(self, process: Process) -> None:
        """Let a frozen process continue."""
        process.frozen = False
        self._ready += [step for step in self._frozen if step.process is process]
        self._frozen = [step for step in self._frozen if step.process is not process]

    def _step(self) -> None:
        self.steps += 1
        if self.steps > self._most_steps:
            raise EndlessError(f"more than {self._most_steps} steps, at {self._now:.3f} s")
        timers = self._timers
        while timers and (timers[0][0] <= self._now or not self._ready):
            when, _, due = heapq.heappop(timers)
            if due.callback is None or not due.process.alive:
                continue
            self._now = max(self._now, when)
            self._ready.append(due)
        if not self._ready:
            raise StuckError(f"nothing is ready at {self._now:.3f} s")
        place = int(self._chance.random() * len(self._ready))
        self._ready[place], self._ready[-1] = self._ready[-1], self._ready[place]
        step = self._ready.pop()
        callback = step.callback
        if callback is None or not step.process.alive:
            return
        if step.process.frozen:
            self._frozen.append(step)
            return
        step.context.run(callback, *step.args)

    def time(self) -> float:
        return self._now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        step = _Step(callback, args, contextvars.copy_context() if context is None else context)
        self._ready.append(step)
        return step

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        step = _Step(callback, args, contextvars.copy_context() if context is None else context)
        self._number += 1
        heapq.heappush(self._timers, (when, self._number, step))
        return step

    def call_outside(self, delay: float, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Schedule a callback outside of all processes: on the network, or in the API server."""
        self.call_at(self._now + delay, callback, *args, context=self._world)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[Any]:
        task = _Task.__new__(_Task)
        task.number = len(self._tasks)
        task.__init__(coro, loop=self, name=name, context=context)  # type: ignore[misc] # it is hashed in there
        self._tasks.append(task)
        return task

    def run_in_executor(self, executor: object, func: Callable[[*Ts], Any], *args: *Ts) -> asyncio.Future[Any]:
        """Run a function at a later step, as a thread would, but without a break: threads share no state here."""
        future = self.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except BaseException as error:
                future.set_exception(error)

        self.call_soon(work)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        # A task of a process that was killed is never awaited.
        if isinstance(error, AssertionError) and self._failure is None:
            self._failure = error

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False


def process() -> Process:
    """Return the process of the running step."""
    return _PROCESS.get()
