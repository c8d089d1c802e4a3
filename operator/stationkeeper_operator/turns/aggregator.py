"""Combine many changes into one reaction: wait for a quiet moment, never long, and not at all for a reduction.

`kubectl apply` of a folder causes a burst of events. One compile and one write for all of them are cheaper, and CUPS
replaces its trust only once.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

QUIET_SECONDS = 0.1
LONGEST_SECONDS = 0.5


class Aggregator:
    """A queue of length one.

    Args:
        quiet: the seconds without a change before a reaction.
        longest: the maximum seconds from the first change to the reaction.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        quiet: float = QUIET_SECONDS,
        longest: float = LONGEST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quiet = quiet
        self._longest = longest
        self._clock = clock
        self._changed = asyncio.Event()
        self._urgent = asyncio.Event()
        self._first = self._last = 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether a change was reported since the last reaction."""
        return self._changed.is_set()

    def wake(self, *, urgent: bool = False) -> None:
        """Report a change.

        Args:
            urgent: whether to react to it at once.
        """
        self._last = self._clock()
        if not self._changed.is_set():
            self._first = self._last
            self._changed.set()
        if urgent:
            self._urgent.set()

    def clear(self) -> None:
        """Forget the reported changes, because another cause already led to a reaction."""
        self._changed.clear()
        self._urgent.clear()

    async def wait_until_due(self) -> None:
        """Wait until it is time to react to the reported changes."""
        await self._changed.wait()
        while not self._urgent.is_set():
            left = min(self._last + self._quiet, self._first + self._longest) - self._clock()
            if left <= 0:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._urgent.wait()
        self.clear()
