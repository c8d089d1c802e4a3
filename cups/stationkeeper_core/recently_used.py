"""Values for recently used keys, in bounded memory."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class RecentlyUsed(Generic[K, V]):
    """Stores a value for each key; above `most` keys, drops the least recently used one.

    Args:
        make: makes the value of a new key.
        most: the maximum number of keys.
    """

    __slots__ = ("_make", "_most", "_values")

    def __init__(self, make: Callable[[], V], most: int) -> None:
        self._make = make
        self._most = most
        self._values: OrderedDict[K, V] = OrderedDict()

    def __getitem__(self, key: K) -> V:
        """Return the value of `key`; make one if there is none."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
            return value
        value = self._values[key] = self._make()
        if len(self._values) > self._most:
            self._values.popitem(last=False)
        return value
