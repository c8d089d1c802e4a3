"""Time limits for many connections with one timer.

A stage is a part of a connection's life with a time limit. A connection is in one stage at a time. All connections of a
stage have the same limit, so a stage is a queue in which the first one is due first. Entering and leaving costs one
entry of a dictionary, without a timer of the event loop and without a task.
"""

import asyncio
import math
from itertools import takewhile
from typing import Protocol

TICK_SECONDS = 0.1


class Timed(Protocol):
    """An object that can be in a stage."""

    stage: "Stage | None"

    def time_is_up(self, stage: "Stage") -> None:
        """Handle the end of the time limit; the connection is already out of the stage."""


class Stage:
    """The connections of one stage, the oldest first.

    Args:
        name: the name, for logs.
        seconds: the maximum time of a connection in it.
        limits: the owner of its timer.
    """

    __slots__ = ("_due", "_limits", "name", "seconds")

    def __init__(self, name: str, seconds: float, limits: "TimeLimits") -> None:
        self.name = name
        self.seconds = seconds
        self._limits = limits
        self._due: dict[Timed, float] = {}

    def __len__(self) -> int:
        return len(self._due)

    @property
    def oldest(self) -> Timed | None:
        """The connection that has been in it the longest."""
        return next(iter(self._due), None)

    def oldest_for(self, now: float) -> float:
        """Return the seconds that the oldest connection has been in it."""
        due = next(iter(self._due.values()), None)
        return 0.0 if due is None else now - (due - self.seconds)

    def add(self, connection: Timed, now: float) -> None:
        """Move `connection` into this stage from its present one."""
        before = connection.stage
        if before is not None:
            before.remove(connection)
        if not self._limits.are_watched:
            self._limits.watch()
        self._due[connection] = now + self.seconds
        connection.stage = self

    def remove(self, connection: Timed) -> None:
        """Remove `connection`."""
        self._due.pop(connection, None)
        connection.stage = None

    def expire(self, now: float) -> None:
        """Call `time_is_up` of each connection whose time has ended."""
        # Collect them all first: to look for the first one again after each removal would take quadratic time.
        for connection in [each for each, _ in takewhile(lambda each: each[1] <= now, self._due.items())]:
            # The end of an earlier connection may have ended this one, or moved it.
            if self._due.get(connection, math.inf) <= now:
                self.remove(connection)
                connection.time_is_up(self)


class TimeLimits:
    """The stages of all connections of a server, with one timer that runs while any connection is in a stage.

    Args:
        loop: the event loop with the clock.

    Attributes:
        are_watched: whether the timer runs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._stages: list[Stage] = []
        self._timer: asyncio.TimerHandle | None = None
        self.are_watched = False

    def stage(self, name: str, seconds: float) -> Stage:
        """Return a new stage."""
        made = Stage(name, seconds, self)
        self._stages.append(made)
        return made

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.are_watched = False

    def watch(self) -> None:
        """Start the timer; it must not run yet."""
        self.are_watched = True
        self._timer = self._loop.call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._timer, self.are_watched = None, False
        now = self._loop.time()
        for stage in self._stages:
            stage.expire(now)
        if not self.are_watched and any(map(len, self._stages)):
            self.watch()
