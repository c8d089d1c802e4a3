"""A queue that shares what takes from it among namespaces: however much one of them has to do, the others wait for one.

Each key is queued once. The namespaces take turns; within a namespace the key that waits longest comes first.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Generic, TypeVar

_K = TypeVar("_K")


class FairQueue(Generic[_K]):
    """The keys that wait.

    Args:
        namespace: whose turn a key takes.
    """

    def __init__(self, namespace: Callable[[_K], str]) -> None:
        self._namespace = namespace
        self._lanes: dict[str, dict[_K, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def __contains__(self, key: _K) -> bool:
        return key in self._lanes.get(self._namespace(key), ())

    def __iter__(self) -> Iterator[_K]:
        return (key for lane in self._lanes.values() for key in lane)

    def add(self, keys: Iterable[_K]) -> None:
        """Queue each of `keys` that does not wait already."""
        for key in keys:
            self._lanes.setdefault(self._namespace(key), {}).setdefault(key, None)

    def clear(self) -> None:
        """Drop all."""
        self._lanes.clear()

    def take(self, busy: Collection[_K] = ()) -> _K | None:
        """Take the next key that is not in `busy`; None where there is none."""
        for namespace, lane in self._lanes.items():
            key = next((each for each in lane if each not in busy), None)
            if key is None:
                continue
            del self._lanes[namespace], lane[key]
            if lane:
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
