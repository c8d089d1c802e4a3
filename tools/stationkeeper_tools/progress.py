"""Tells a waiting person what goes on: in place on a terminal, else by a line from time to time."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

LINE_INTERVAL_SECONDS = 15.0
_ERASE = "\r\x1b[K"
_TERMINAL_INTERVAL_SECONDS = 0.1
_TERMINAL_COLUMNS = 79


def silent(_text: str) -> None:
    """Says nothing."""


class Progress:
    """How far long steps are; not for use by several threads at once.

    Args:
        say: writes a line that stays.
        terminal: where how far a step is can be shown in place; None where there is no such place.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        say: Callable[[str], None] = silent,
        terminal: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._terminal = terminal
        self._clock = clock
        self._shown = False
        self._next = 0.0

    @classmethod
    def to(cls, say: Callable[[str], None]) -> "Progress":
        """Lines by `say`, and in place on standard error where that is a terminal and `say` is not `silent`."""
        return cls(say, sys.stderr if say is not silent and sys.stderr.isatty() else None)

    def say(self, text: str) -> None:
        """Writes a line that stays; what `show` tells next comes in place at once, or else after an interval."""
        self.end()
        self._say(text)
        self._next = 0.0 if self._terminal else self._clock() + LINE_INTERVAL_SECONDS

    def show(self, text: str) -> None:
        """Tells how far the present step is: in place of what it told last, or, off a terminal, rarely."""
        now = self._clock()
        if now < self._next:
            return
        if self._terminal:
            self._next = now + _TERMINAL_INTERVAL_SECONDS
            self._terminal.write(f"{_ERASE}{text[:_TERMINAL_COLUMNS]}")
            self._terminal.flush()
            self._shown = True
        else:
            self._next = now + LINE_INTERVAL_SECONDS
            self._say(text)

    def end(self) -> None:
        """Erases what `show` left in place."""
        if self._terminal and self._shown:
            self._terminal.write(_ERASE)
            self._terminal.flush()
            self._shown = False
