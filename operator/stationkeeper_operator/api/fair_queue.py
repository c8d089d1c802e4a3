"""A queue that shares what takes from it among namespaces: however much one of them has to do, the others wait for one.

Each key is queued once. What is urgent comes before what is not, whichever namespaces they are of, but one take of
`_OTHER_EVERY`: so a backlog holds up no change, and endless changes hold up no backlog. Among keys of the same urgency
the namespaces take turns; within a namespace the key comes that waits longest.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Generic, TypeVar

_OTHER_EVERY = 4

_K = TypeVar("_K")


class _Lanes(Generic[_K]):
    """Keys of one urgency, by namespace; the first one has its turn next."""

    def __init__(self) -> None:
        self._lanes: dict[str, dict[_K, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def __iter__(self) -> Iterator[_K]:
        return (key for lane in self._lanes.values() for key in lane)

    def holds(self, namespace: str, key: _K) -> bool:
        return key in self._lanes.get(namespace, ())

    def waiting(self, namespace: str) -> int:
        return len(self._lanes.get(namespace, ()))

    def add(self, namespace: str, key: _K) -> None:
        self._lanes.setdefault(namespace, {}).setdefault(key, None)

    def drop(self, namespace: str, key: _K) -> None:
        lane = self._lanes.get(namespace)
        if lane is not None:
            lane.pop(key, None)
            if not lane:
                del self._lanes[namespace]

    def clear(self) -> None:
        self._lanes.clear()

    def take(self, busy: Collection[_K]) -> _K | None:
        for namespace, lane in self._lanes.items():
            for key in lane:
                if key not in busy:
                    del lane[key], self._lanes[namespace]
                    if lane:
                        # To the end of the turns.
                        self._lanes[namespace] = lane
                    return key
        return None


class FairQueue(Generic[_K]):
    """The keys that wait.

    Args:
        namespace: whose turn a key takes.
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

    def __iter__(self) -> Iterator[_K]:
        yield from self._urgent
        yield from self._other

    def waiting(self, namespace: str) -> int:
        """How many keys of the namespace wait."""
        return self._urgent.waiting(namespace) + self._other.waiting(namespace)

    def add(self, keys: Iterable[_K], *, urgent: bool = True) -> None:
        """Queue `keys`; one that waits already keeps its place, and is urgent if it was so or is now.

        Args:
            keys: to queue.
            urgent: whether they come before those that are not.
        """
        for key in keys:
            namespace = self._namespace(key)
            if urgent:
                self._other.drop(namespace, key)
                self._urgent.add(namespace, key)
            elif not self._urgent.holds(namespace, key):
                self._other.add(namespace, key)

    def clear(self) -> None:
        """Drop all."""
        self._urgent.clear()
        self._other.clear()

    def take(self, busy: Collection[_K] = ()) -> _K | None:
        """Take the next key that is not in `busy`; None where there is none."""
        order = (self._urgent, self._other)
        for lanes in reversed(order) if self._taken % _OTHER_EVERY == _OTHER_EVERY - 1 else order:
            key = lanes.take(busy)
            if key is not None:
                self._taken += 1
                return key
        return None


def interleaved(keys: Iterable[_K], namespace: Callable[[_K], str]) -> Iterator[_K]:
    """`keys` in the order in which the namespaces take turns."""
    queue = FairQueue(namespace)
    queue.add(keys)
    while (key := queue.take()) is not None:
        yield key
