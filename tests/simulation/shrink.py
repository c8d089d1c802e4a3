"""Leaves out of a run that fails what the failure does not need."""

from collections.abc import Callable

from tests.simulation.scene import Outcome


def shrunk(
    failed: Outcome, run: Callable[[frozenset[int]], Outcome], left_out: frozenset[int] = frozenset()
) -> tuple[Outcome, frozenset[int]]:
    """Return a run that fails with as few deeds and faults as can be, and the numbers of those that it does without.

    Many are left out at once at first, then fewer, at last one after the other.

    Args:
        failed: the run as it is.
        run: runs the same seed without some.
        left_out: what it does without already.
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
