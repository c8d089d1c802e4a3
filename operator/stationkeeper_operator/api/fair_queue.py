"""A queue that shares what takes from it among namespaces: however much one of them has to do, the others wait for one.

Each key is queued once. The namespaces take turns; within a namespace the more urgent comes first, and of the same
urgency the key that waits longest.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

_K = TypeVar("_K")


@dataclass
class _Lane(Generic[_K]):
    """What waits of one namespace."""

    urgent: dict[_K, None] = field(default_factory=dict)
    other: dict[_K, None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.urgent) + len(self.other)

    def add(self, key: _K, *, urgent: bool) -> None:
        if urgent:
            self.other.pop(key, None)
            self.urgent.setdefault(key, None)
        elif key not in self.urgent:
            self.other.setdefault(key, None)

    def take(self, busy: Collection[_K]) -> _K | None:
        for keys in (self.urgent, self.other):
            for key in keys:
                if key not in busy:
                    del keys[key]
                    return key
        return None


class FairQueue(Generic[_K]):
    """The keys that wait.

    Args:
        namespace: whose turn a key takes.
    """

    def __init__(self, namespace: Callable[[_K], str]) -> None:
        self._namespace = namespace
        self._lanes: dict[str, _Lane[_K]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def __iter__(self) -> Iterator[_K]:
        return (key for lane in self._lanes.values() for key in (*lane.urgent, *lane.other))

    def waiting(self, namespace: str) -> int:
        """How many keys of the namespace wait."""
        return len(self._lanes.get(namespace, ()))

    def add(self, keys: Iterable[_K], *, urgent: bool = True) -> None:
        """Queue `keys`; one that waits already keeps its place, and is urgent if it was so or is now.

        Args:
            keys: to queue.
            urgent: whether they come before those of their namespace that are not.
        """
        for key in keys:
            self._lanes.setdefault(self._namespace(key), _Lane()).add(key, urgent=urgent)

    def clear(self) -> None:
        """Drop all."""
        self._lanes.clear()

    def take(self, busy: Collection[_K] = ()) -> _K | None:
        """Take the next key that is not in `busy`; None where there is none."""
        for namespace, lane in self._lanes.items():
            key = lane.take(busy)
            if key is None:
                continue
            del self._lanes[namespace]
            if len(lane):
                # To the end of the turns.
                self._lanes[namespace] = lane
            return key
        return None


def interleaved(keys: Iterable[_K], namespace: Callable[[_K], str]) -> Iterator[_K]:
    """`keys` in the order in which the namespaces take turns."""
    queue = FairQueue(namespace)
    queue.add(keys)
    while (key := queue.take()) is not None:
        yield key
