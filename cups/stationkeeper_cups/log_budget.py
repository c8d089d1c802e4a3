"""Limit the log lines that clients cause: any client of the port can make handshakes fail."""

from collections.abc import Callable

from stationkeeper_core.recently_used import RecentlyUsed
from stationkeeper_core.token_bucket import TokenBucket

LINES_A_SECOND = 20.0
BURST = 200.0
LINES_A_SECOND_EACH = 1.0
BURST_EACH = 60.0
MAX_REMEMBERED = 4096


class LogBudget:
    """A token bucket that counts suppressed lines.

    Args:
        clock: returns monotonic seconds.
        lines_a_second: the rate of refill.
        burst: the number of lines that may be written at once.
    """

    __slots__ = ("_left_out", "_lines")

    def __init__(
        self, clock: Callable[[], float], lines_a_second: float = LINES_A_SECOND, burst: float = BURST
    ) -> None:
        self._lines = TokenBucket(lines_a_second, burst, clock)
        self._left_out = 0

    def take(self) -> int | None:
        """Return the number of lines suppressed before this one; None if this line must not be written."""
        if not self._lines.take():
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        return left_out


class LogBudgets:
    """A budget for each client, so that a busy client does not suppress the lines of others.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._budgets: RecentlyUsed[str, LogBudget] = RecentlyUsed(
            lambda: LogBudget(clock, LINES_A_SECOND_EACH, BURST_EACH), MAX_REMEMBERED
        )

    def take(self, name: str) -> int | None:
        """Return the number of lines about `name` suppressed before this one; None if it must not be written."""
        return self._budgets[name].take()
