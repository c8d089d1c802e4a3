"""Time limits for many connections with one timer.

A stage is a part of a connection's life that has a time limit. A connection is in one stage at a time, and all in a
stage have the same limit, so that a stage is a queue in which the first is due first. To enter and to leave costs one
entry of a dictionary, no timer of the event loop and no task.
"""

import asyncio
from typing import Protocol

TICK_SECONDS = 0.1


class Timed(Protocol):
    """What can be in a stage."""

    stage: "Stage | None"

    def time_is_up(self, stage: "Stage") -> None:
        """Be told that the stage took too long; the connection is in no stage by now."""


class Stage:
    """The connections that do the same at a time, the oldest first.

    Args:
        name: for people.
        seconds: how long a connection may be in it.
        limits: that look at it.
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
        """The connection that is in it the longest."""
        return next(iter(self._due), None)

    def oldest_for(self, now: float) -> float:
        """Return how long that one has been in it, in seconds."""
        due = next(iter(self._due.values()), None)
        return 0.0 if due is None else now - (due - self.seconds)

    def add(self, connection: Timed, now: float) -> None:
        """Take `connection` in, from whatever stage it is in."""
        before = connection.stage
        if before is not None:
            before.remove(connection)
        if not self._limits.are_watched:
            self._limits.watch()
        self._due[connection] = now + self.seconds
        connection.stage = self

    def remove(self, connection: Timed) -> None:
        """Let `connection` go."""
        self._due.pop(connection, None)
        connection.stage = None

    def expire(self, now: float) -> None:
        """Tell those whose time is up."""
        while self._due:
            connection = next(iter(self._due))
            if self._due[connection] > now:
                return
            self.remove(connection)
            connection.time_is_up(self)


class TimeLimits:
    """The stages of all connections of a server, looked at by one timer while any is in one.

    Args:
        loop: whose clock counts.

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
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.are_watched = False

    def watch(self) -> None:
        """Have the timer run, which does not."""
        self.are_watched = True
        self._timer = self._loop.call_later(TICK_SECONDS, self._look)

    def _look(self) -> None:
        self._timer, self.are_watched = None, False
        now = self._loop.time()
        for stage in self._stages:
            stage.expire(now)
        if not self.are_watched and any(map(len, self._stages)):
            self.watch()
