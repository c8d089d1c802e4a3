"""Find the differences between two large collections that share most of their objects, by identity alone."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def differing(old: Sequence[T], new: Sequence[T]) -> tuple[list[T], list[T]]:
    """Return the objects that only `old` has, and those that only `new` has; an equal object does not count.

    A document that replaces another one holds the same record objects, except for those that changed.
    """
    if old is new:
        return [], []
    before, after = set(map(id, old)), set(map(id, new))
    return [each for each in old if id(each) not in after], [each for each in new if id(each) not in before]
