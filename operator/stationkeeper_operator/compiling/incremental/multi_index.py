"""A mapping to several values that needs little memory if nearly all keys have only one."""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


class MultiIndex(Generic[K, V]):
    """Keys and their values, each value once, in the order in which they were added.

    If the first value of a key is removed, the last one takes its place.
    """

    def __init__(self) -> None:
        self._one: dict[K, V] = {}
        self._more: dict[K, dict[V, None]] = {}

    def __contains__(self, key: object) -> bool:
        """Return whether `key` has a value."""
        return key in self._one

    def __iter__(self) -> Iterator[tuple[K, V]]:
        """Iterate over all keys and values; the index must not change during the iteration."""
        for key, first in self._one.items():
            yield key, first
            for value in self._more.get(key, ()):
                yield key, value

    def add(self, key: K, value: V) -> None:
        """Add a value."""
        first = self._one.setdefault(key, value)
        if first != value:
            self._more.setdefault(key, {})[value] = None

    def discard(self, key: K, value: V) -> None:
        """Remove a value if it exists."""
        more = self._more.get(key)
        if more is not None:
            if self._one[key] == value:
                # The second value is not as quick to find: `iter` steps over the places of all removed ones before it.
                self._one[key], _ = more.popitem()
            else:
                more.pop(value, None)
            if not more:
                del self._more[key]
        elif key in self._one and self._one[key] == value:
            del self._one[key]

    def first(self, key: K) -> V | None:
        """Return the first value of `key`; None if it has none."""
        return self._one.get(key)

    def of(self, key: K) -> Iterator[V]:
        """Yield the values of `key`; the index must not change during the iteration."""
        if key in self._one:
            yield self._one[key]
            yield from self._more.get(key, ())

    def is_shared(self, key: K) -> bool:
        """Return whether `key` has more than one value."""
        return key in self._more
