"""How fast requests to the API server, and what is like them, may follow each other."""

import asyncio
import time
from collections.abc import Callable

from stationkeeper_core.token_bucket import TokenBucket

_SLOWEST = 1 / 16
_RECOVERS_SECONDS = 60.0


class RateLimit(TokenBucket):
    """A token bucket for which one can wait.

    Args:
        per_second: how fast it refills.
        burst: how much it holds.
        clock: monotonic, in seconds.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(per_second, burst, clock)

    async def wait(self) -> None:
        """Take a token, after a sleep where there is none yet."""
        seconds = self.owe()
        if seconds > 0:
            await asyncio.sleep(seconds)


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
        self._now = clock
        self._least = least
        self._most = most
        self._within = within
        # Of the rate, what a server that was too slow still gets, and when that was so.
        self._share = 1.0
        self._share_at = clock()
        self._paused_until = float("-inf")

    def expect(self, waiting: int) -> None:
        """Take in how much there is to do."""
        self._recover()
        self.refill_at(min(self._most, max(self._least, waiting / self._within)) * self._share)

    def slow_down(self, seconds: float) -> None:
        """Take none for `seconds`, and half as many as before after that, for a while."""
        self._recover()
        self._share = max(_SLOWEST, self._share / 2)
        self.drain()
        self._paused_until = max(self._paused_until, self._now() + seconds)

    async def wait(self) -> None:
        """Take a token, after a sleep where there is none yet."""
        await asyncio.sleep(max(0.0, self._paused_until - self._now()))
        await super().wait()

    def _recover(self) -> None:
        now = self._now()
        self._share = min(1.0, self._share + (now - self._share_at) / _RECOVERS_SECONDS)
        self._share_at = now
