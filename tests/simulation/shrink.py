"""Leave out of a failed run what the failure does not need."""

from collections.abc import Callable

from tests.simulation.scene import Outcome


def shrunk(
    failed: Outcome, run: Callable[[frozenset[int]], Outcome], left_out: frozenset[int] = frozenset()
) -> tuple[Outcome, frozenset[int]]:
    """Return a failed run with as few actions and faults as possible, and the numbers of the left out ones.

    Many are left out at once at first, then fewer, and at last one after another.

    Args:
        failed: the run.
        run: runs the same seed without some.
        left_out: the numbers that are left out already.
    """
    size = max(1, failed.events // 2)
    while True:
        begin = 1
        while begin <= failed.events:
            some = frozenset(range(begin, min(begin + size, failed.events + 1))) - left_out
            fewer = run(left_out | some) if some else failed
            if some and fewer.failure:
                failed, left_out = fewer, left_out | some
            begin += size
        if size == 1:
            return failed, left_out
        size //= 2
