"""Show a waiting person the progress: in place on a terminal, else by a line from time to time."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

LINE_INTERVAL_SECONDS = 15.0
_ERASE = "\r\x1b[K"
_TERMINAL_INTERVAL_SECONDS = 0.1
_TERMINAL_COLUMNS = 79


def silent(_text: str) -> None:
    """Write nothing."""


class Progress:
    """Progress of long steps; not for use by several threads at once.

    Args:
        say: writes a line that stays.
        terminal: shows progress in place; None if there is no terminal.
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
        """Return a `Progress` that writes lines with `say`.

        It also writes in place on standard error if that is a terminal, unless `say` is `silent`.
        """
        return cls(say, sys.stderr if say is not silent and sys.stderr.isatty() else None)

    def say(self, text: str) -> None:
        """Write a line that stays; the next `show` writes at once on a terminal, else after an interval."""
        self.end()
        self._say(text)
        self._next = 0.0 if self._terminal else self._clock() + LINE_INTERVAL_SECONDS

    def show(self, text: str) -> None:
        """Show the progress of the present step: on a terminal in place of the last one, else rarely."""
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
        """Erase what `show` wrote in place."""
        if self._terminal and self._shown:
            self._terminal.write(_ERASE)
            self._terminal.flush()
            self._shown = False
