"""A token bucket: so many at once, so many a second after that."""

import asyncio
import time
from collections.abc import Callable

_SLOWEST = 1 / 16
_RECOVERS_SECONDS = 60.0


class RateLimit:
    """One bucket, full at first.

    Args:
        per_second: how fast it refills.
        burst: how much it holds.
        clock: monotonic, in seconds.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()

    def take(self) -> bool:
        """Takes a token if there is one."""
        self._refill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    async def wait(self) -> None:
        """Takes a token, after a sleep where there is none yet."""
        self._refill()
        self._tokens -= 1
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._per_second)

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now


class BacklogRate(RateLimit):
    """A bucket that refills faster the more there is to do, and slower for a while after a server asked for that.

    Args:
        least: tokens a second, however little there is to do.
        most: tokens a second, however much there is to do.
        within: seconds within which all that waits is to be done, as far as `most` allows.
        burst: how much it holds.
        clock: monotonic, in seconds.
    """

    def __init__(
        self, least: float, most: float, within: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(least, burst, clock)
        self._least = least
        self._most = most
        self._within = within
        self._share = 1.0
        self._paused_until = float("-inf")

    def expect(self, waiting: int) -> None:
        """Take in how much there is to do."""
        self._refill()
        self._per_second = min(self._most, max(self._least, waiting / self._within)) * self._share

    def slow_down(self, seconds: float) -> None:
        """Take none for `seconds`, and half as many as before after that, for a while."""
        self._refill()
        self._share = max(_SLOWEST, self._share / 2)
        self._tokens = min(self._tokens, 0.0)
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    async def wait(self) -> None:
        """Takes a token, after a sleep where there is none yet."""
        await asyncio.sleep(max(0.0, self._paused_until - self._clock()))
        await super().wait()

    def _refill(self) -> None:
        self._share = min(1.0, self._share + (self._clock() - self._at) / _RECOVERS_SECONDS)
        super()._refill()
