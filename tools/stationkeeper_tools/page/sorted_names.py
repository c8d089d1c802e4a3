"""Names in order; adding or removing one takes little time, also with very many names."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import NamedTuple


class ObjectName(NamedTuple):
    """A namespace, and a name in it."""

    namespace: str
    name: str


class SortedNames:
    """A set of names, sorted by namespace and name."""

    def __init__(self) -> None:
        self._names: list[ObjectName] = []

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[ObjectName]:
        return iter(self._names)

    def add(self, name: ObjectName) -> None:
        """Add a name that is not there yet."""
        if not self._names or self._names[-1] < name:
            self._names.append(name)
        else:
            insort(self._names, name)

    def discard(self, name: ObjectName) -> None:
        """Remove a name, if it is there."""
        place = bisect_left(self._names, name)
        if place < len(self._names) and self._names[place] == name:
            del self._names[place]

    def part(self, first: int, most: int) -> list[ObjectName]:
        """Return up to `most` names, starting at position `first`."""
        return self._names[first : first + most]

    def of(self, namespace: str) -> list[ObjectName]:
        """Return the names of a namespace."""
        # No name has a character that sorts before the first or after this one.
        first = bisect_left(self._names, ObjectName(namespace, ""))
        return self._names[first : bisect_left(self._names, ObjectName(namespace + "\0", ""))]
