"""How many lines clients may cause in the log: anybody who reaches the port can make handshakes fail at will."""

from collections import OrderedDict
from collections.abc import Callable

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

    __slots__ = ("_burst", "_clock", "_filled_at", "_left_out", "_lines_a_second", "_tokens")

    def __init__(
        self, clock: Callable[[], float], lines_a_second: float = LINES_A_SECOND, burst: float = BURST
    ) -> None:
        self._clock = clock
        self._lines_a_second = lines_a_second
        self._burst = burst
        self._tokens = burst
        self._filled_at = clock()
        self._left_out = 0

    def take(self) -> int | None:
        """Return how many lines were left out before this one, which may be written; None where it may not."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._lines_a_second)
        self._filled_at = now
        if self._tokens < 1:
            self._left_out += 1
            return None
        self._tokens -= 1
        left_out, self._left_out = self._left_out, 0
        return left_out


class LogBudgets:
    """A budget for each of those that cause lines, so that one that asks without end silences no other.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._budgets: OrderedDict[str, LogBudget] = OrderedDict()

    def take(self, name: str) -> int | None:
        """Return how many lines about `name` were left out before this one; None where it may not be written."""
        budget = self._budgets.get(name)
        if budget is None:
            budget = self._budgets[name] = LogBudget(self._clock, LINES_A_SECOND_EACH, BURST_EACH)
            if len(self._budgets) > MAX_REMEMBERED:
                self._budgets.popitem(last=False)
        else:
            self._budgets.move_to_end(name)
        return budget.take()
