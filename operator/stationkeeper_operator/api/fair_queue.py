"""A queue in which namespaces take turns, so that a namespace with much work does not delay the others.

Each key is queued once. Urgent keys of all namespaces come before others, except in one of `_OTHER_EVERY` takes. So a
backlog does not delay changes, and endless changes do not delay the backlog. Among keys of the same urgency, the
namespaces take turns. Within a namespace, the key that has waited longest comes first.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Generic, TypeVar

_OTHER_EVERY = 4

_K = TypeVar("_K")


class _Lanes(Generic[_K]):
    """Keys of one urgency, by namespace; the first namespace is the next one to take a turn."""

    def __init__(self) -> None:
        # Keys are taken from the front. A plain dict would step over the empty places of all taken keys each time.
        self._lanes: dict[str, OrderedDict[_K, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def holds(self, namespace: str, key: _K) -> bool:
        return key in self._lanes.get(namespace, ())

    def waiting(self, namespace: str) -> int:
        return len(self._lanes.get(namespace, ()))

    def add(self, namespace: str, key: _K) -> None:
        self._lanes.setdefault(namespace, OrderedDict()).setdefault(key, None)

    def drop(self, namespace: str, key: _K) -> None:
        lane = self._lanes.get(namespace)
        if lane is not None:
            lane.pop(key, None)
            if not lane:
                del self._lanes[namespace]

    def take(self, busy: Collection[_K]) -> _K | None:
        for namespace, lane in self._lanes.items():
            for key in lane:
                if key not in busy:
                    del lane[key], self._lanes[namespace]
                    if lane:
                        # This namespace goes to the end of the turns.
                        self._lanes[namespace] = lane
                    return key
        return None


class FairQueue(Generic[_K]):
    """A queue of waiting keys.

    Args:
        namespace: returns the namespace of a key.
    """

    def __init__(self, namespace: Callable[[_K], str]) -> None:
        self._namespace = namespace
        self._urgent: _Lanes[_K] = _Lanes()
        self._other: _Lanes[_K] = _Lanes()
        self._taken = 0

    def __len__(self) -> int:
        return len(self._urgent) + len(self._other)

    def __bool__(self) -> bool:
        return bool(self._urgent) or bool(self._other)

    def waiting(self, namespace: str) -> int:
        """Return the number of waiting keys of a namespace."""
        return self._urgent.waiting(namespace) + self._other.waiting(namespace)

    def add(self, keys: Iterable[_K], *, urgent: bool = True) -> None:
        """Queue `keys`; a waiting key keeps its place, and becomes urgent if `urgent`.

        Args:
            keys: the keys to queue.
            urgent: whether they come before other keys.
        """
        for key in keys:
            namespace = self._namespace(key)
            if urgent:
                self._other.drop(namespace, key)
                self._urgent.add(namespace, key)
            elif not self._urgent.holds(namespace, key):
                self._other.add(namespace, key)

    def take(self, busy: Collection[_K] = ()) -> _K | None:
        """Take the next key that is not in `busy`; None if there is none."""
        order = (self._urgent, self._other)
        for lanes in reversed(order) if self._taken % _OTHER_EVERY == _OTHER_EVERY - 1 else order:
            key = lanes.take(busy)
            if key is not None:
                self._taken += 1
                return key
        return None


def interleaved(keys: Iterable[_K], namespace: Callable[[_K], str]) -> Iterator[_K]:
    """Yield `keys` so that the namespaces take turns."""
    queue = FairQueue(namespace)
    queue.add(keys)
    while (key := queue.take()) is not None:
        yield key
