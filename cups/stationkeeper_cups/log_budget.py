"""How many lines strangers may write into the log: whoever reaches the port can make handshakes fail at will."""

from collections.abc import Callable

LINES_A_SECOND = 20.0
BURST = 200.0


class LogBudget:
    """A token bucket that remembers how many lines were left out.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tokens = BURST
        self._filled_at = clock()
        self._left_out = 0

    def take(self) -> int | None:
        """How many lines were left out before this one, which may be written; None where it may not."""
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._filled_at) * LINES_A_SECOND)
        self._filled_at = now
        if self._tokens < 1:
            self._left_out += 1
            return None
        self._tokens -= 1
        left_out, self._left_out = self._left_out, 0
        return left_out
