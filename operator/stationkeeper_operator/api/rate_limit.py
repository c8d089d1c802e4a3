"""Rate limits for requests to the API server and similar work."""

import asyncio
import time
from collections.abc import Callable

from stationkeeper_core.token_bucket import TokenBucket

_SLOWEST = 1 / 16
_RECOVERS_SECONDS = 60.0


class RateLimit(TokenBucket):
    """A token bucket with a method that waits for a token.

    Args:
        per_second: the tokens that it gets each second.
        burst: the maximum number of tokens.
        clock: monotonic, in seconds.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(per_second, burst, clock)

    async def wait(self) -> None:
        """Take a token; if there is none, sleep until there is one."""
        seconds = self.owe()
        if seconds > 0:
            await asyncio.sleep(seconds)


class BacklogRate(RateLimit):
    """A token bucket with a rate that grows with the backlog, and falls for a while if a server asks for that.

    The rate of the largest backlog stays until the backlog is small. A rate that fell with the backlog would need far
    longer than `within`.

    Args:
        least: the minimum rate, tokens per second.
        most: the maximum rate, tokens per second.
        within: the seconds in which the largest backlog should be done, as far as `most` allows.
        burst: the maximum number of tokens.
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
        self._largest = 0
        # The share of the rate for a server that was too slow, and the time of that.
        self._share = 1.0
        self._share_at = clock()
        self._paused_until = float("-inf")

    def expect(self, waiting: int) -> None:
        """Set the rate for a backlog of `waiting` items."""
        self._recover()
        self._largest = max(self._largest, waiting) if waiting > self._burst else 0
        self.refill_at(min(self._most, max(self._least, self._largest / self._within)) * self._share)

    def slow_down(self, seconds: float) -> None:
        """Give no tokens for `seconds`, and then half the rate for a while."""
        self._recover()
        self._share = max(_SLOWEST, self._share / 2)
        self.drain()
        self._paused_until = max(self._paused_until, self._now() + seconds)

    async def wait(self) -> None:
        """Take a token; if there is none, sleep until there is one."""
        await asyncio.sleep(max(0.0, self._paused_until - self._now()))
        await super().wait()

    def _recover(self) -> None:
        now = self._now()
        self._share = min(1.0, self._share + (now - self._share_at) / _RECOVERS_SECONDS)
        self._share_at = now
