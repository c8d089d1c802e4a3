"""Split long work into parts, so that other tasks of the event loop can run between them."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

IN_ONE_GO = 200
"""The number of resources to process before other tasks can run."""
T = TypeVar("T")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield `items` in lists of `size`; the last one may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
