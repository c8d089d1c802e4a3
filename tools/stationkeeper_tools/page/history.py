"""The changes of statuses that the page has seen since its start, bounded. Pure."""

from collections import deque
from collections.abc import Iterable

from stationkeeper_cups.accepting.networks import Groups
from stationkeeper_tools.operating.fleet import ResourceName
from stationkeeper_tools.page.status_changes import StatusChange

MAX_OF_ONE = 32
MAX_OF_ALL = 100_000


class History:
    """The history of all resources.

    Args:
        of_one: the maximum of changes of a resource; above it, the oldest is dropped.
        of_all: the maximum of changes of all resources together. Above it, the namespace with the most changes loses
            the history of its first resource: so a namespace that changes all the time displaces no history of others.
    """

    def __init__(self, of_one: int = MAX_OF_ONE, of_all: int = MAX_OF_ALL) -> None:
        self._of_one = of_one
        self._of_all = of_all
        self._changes: dict[ResourceName, deque[StatusChange]] = {}
        self._namespaces: Groups[ResourceName] = Groups()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: ResourceName, changes: Iterable[StatusChange]) -> None:
        """Record changes of a resource."""
        kept = self._changes.get(key)
        for change in changes:
            if kept is None:
                kept = self._changes[key] = deque()
                self._namespaces.add(key.namespace, key)
            kept.append(change)
            self._count += 1
            if len(kept) > self._of_one:
                kept.popleft()
                self._count -= 1
        while self._count > self._of_all:
            oldest = self._namespaces.oldest_of_the_most()
            if oldest is None:
                return
            self.forget(oldest)

    def of(self, key: ResourceName) -> tuple[StatusChange, ...]:
        """Return the changes of a resource, the newest last."""
        return tuple(self._changes.get(key, ()))

    def forget(self, key: ResourceName) -> None:
        """Drop the history of a resource."""
        kept = self._changes.pop(key, None)
        if kept is not None:
            self._count -= len(kept)
            self._namespaces.discard(key.namespace, key)
