"""Many changes, one reaction: waits until it is quiet for a moment, but never long, and not at all for a reduction.

`kubectl apply` of a folder is a burst of events; compiling and writing once for all of it is cheaper, and CUPS swaps
its trust once.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

QUIET_SECONDS = 0.1
LONGEST_SECONDS = 0.5


class Aggregator:
    """One queue of length one.

    Args:
        quiet: seconds without a change after which to react.
        longest: seconds since the first change after which to react whatever comes.
        clock: monotonic, in seconds.
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
        """Whether something was reported since the last time."""
        return self._changed.is_set()

    def wake(self, *, urgent: bool = False) -> None:
        """Reports a change.

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
        """Forget what was reported: it was reacted to for another reason."""
        self._changed.clear()
        self._urgent.clear()

    async def due(self) -> None:
        """Returns when it is time to react to what was reported since the last time."""
        await self._changed.wait()
        while not self._urgent.is_set():
            left = min(self._last + self._quiet, self._first + self._longest) - self._clock()
            if left <= 0:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._urgent.wait()
        self.clear()
