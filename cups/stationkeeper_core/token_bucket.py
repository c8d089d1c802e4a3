"""A token bucket: it allows a burst, and then a fixed rate."""

from collections.abc import Callable


class TokenBucket:
    """Limits how often something happens. It is full at first.

    Args:
        per_second: the tokens that it gets each second.
        burst: the maximum number of tokens in it.
        clock: monotonic seconds.
    """

    __slots__ = ("_burst", "_clock", "_filled_at", "_per_second", "_tokens")

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()

    def take(self) -> bool:
        """Take a token if there is one; return whether there was one."""
        self._refill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def owe(self) -> float:
        """Take the next token, even if the bucket gets it only later.

        Returns:
            The seconds until the token is available; 0 if it is now.
        """
        self._refill()
        self._tokens -= 1
        return max(0.0, -self._tokens / self._per_second)

    def refill_at(self, per_second: float) -> None:
        """Change the rate to `per_second` tokens each second from now on."""
        self._refill()
        self._per_second = per_second

    def drain(self) -> None:
        """Remove all present tokens."""
        self._refill()
        self._tokens = min(self._tokens, 0.0)

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
