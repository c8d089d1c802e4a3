"""Long work in parts, so that other tasks of the event loop have their turn between them."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

IN_ONE_GO = 200
"""Resources that are gone through before other tasks have their turn."""
T = TypeVar("T")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield `items` in lists of `size`, the last one shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
