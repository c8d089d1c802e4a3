"""The limit per namespace on the stored content of named Secrets and ConfigMaps. Pure.

Only the object that does not fit is left out; stored objects stay. So a namespace that names too much loses nothing
stored, and takes nothing from other namespaces.
"""

from collections import Counter

from stationkeeper_operator.resources.records import Reference

MAX_OBJECTS = 50_000
MAX_BYTES = 32 * 1024 * 1024
"""The maximum bytes of named keys. All documents of a release together have at most 17 MB, compressed."""


class ReferenceBudget:
    """The budget of all namespaces.

    Args:
        objects: the maximum number of objects per namespace.
        size: the maximum number of bytes per namespace.
    """

    def __init__(self, objects: int = MAX_OBJECTS, size: int = MAX_BYTES) -> None:
        self._objects = objects
        self._size = size
        self._sizes: dict[Reference, int] = {}
        self._counts: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._refused: dict[str, set[Reference]] = {}

    def take(self, reference: Reference, size: int) -> str:
        """Count an object with `size` bytes of content, in place of its earlier size.

        Returns:
            Why it does not fit and is not counted; empty if it is counted.
        """
        self.release(reference)
        namespace = reference.namespace
        if self._counts[namespace] >= self._objects:
            problem = f"its namespace names more than {self._objects} Secrets and ConfigMaps that exist"
        elif self._totals[namespace] + size > self._size:
            problem = f"the named Secrets and ConfigMaps of its namespace have more than {self._size} bytes"
        else:
            self._sizes[reference] = size
            self._counts[namespace] += 1
            self._totals[namespace] += size
            return ""
        self._refused.setdefault(namespace, set()).add(reference)
        return problem

    def release(self, reference: Reference) -> None:
        """Stop counting the object."""
        namespace = reference.namespace
        if (size := self._sizes.pop(reference, None)) is not None:
            self._counts[namespace] -= 1
            self._totals[namespace] -= size
        if (refused := self._refused.get(namespace)) is not None:
            refused.discard(reference)
            if not refused:
                del self._refused[namespace]

    def refused(self, namespace: str) -> frozenset[Reference]:
        """Return the objects that did not fit at their last count."""
        return frozenset(self._refused.get(namespace, ()))
