"""How many lines clients may cause in the log: anybody who reaches the port can make handshakes fail at will."""

from collections.abc import Callable

from stationkeeper_core.recently_used import RecentlyUsed
from stationkeeper_core.token_bucket import TokenBucket

LINES_A_SECOND = 20.0
BURST = 200.0
LINES_A_SECOND_EACH = 1.0
BURST_EACH = 60.0
MAX_REMEMBERED = 4096


class LogBudget:
    """A token bucket that remembers how many lines were left out.

    Args:
        clock: seconds, monotonic.
        lines_a_second: by which it fills.
        burst: lines that may be written at once.
    """

    __slots__ = ("_left_out", "_lines")

    def __init__(
        self, clock: Callable[[], float], lines_a_second: float = LINES_A_SECOND, burst: float = BURST
    ) -> None:
        self._lines = TokenBucket(lines_a_second, burst, clock)
        self._left_out = 0

    def take(self) -> int | None:
        """Return how many lines were left out before this one, which may be written; None where it may not."""
        if not self._lines.take():
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        return left_out


class LogBudgets:
    """A budget for each of those that cause lines, so that one that asks without end silences no other.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._budgets: RecentlyUsed[str, LogBudget] = RecentlyUsed(
            lambda: LogBudget(clock, LINES_A_SECOND_EACH, BURST_EACH), MAX_REMEMBERED
        )

    def take(self, name: str) -> int | None:
        """Return how many lines about `name` were left out before this one; None where it may not be written."""
        return self._budgets[name].take()
