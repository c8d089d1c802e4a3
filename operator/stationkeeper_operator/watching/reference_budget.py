"""How much a namespace may have the operator keep of the Secrets and ConfigMaps that its resources name. Pure.

What does not fit is left out alone, and what is kept already stays: a namespace that names too much loses nothing that
it had, and takes nothing from the others.
"""

from collections import Counter

from stationkeeper_operator.resources.records import Reference

MAX_OBJECTS = 50_000
MAX_BYTES = 32 * 1024 * 1024
"""Of the keys that are named. All documents of a release together take 17 MB, compressed."""


class ReferenceBudget:
    """Of all namespaces.

    Args:
        objects: that a namespace may have.
        size: bytes that a namespace may have.
    """

    def __init__(self, objects: int = MAX_OBJECTS, size: int = MAX_BYTES) -> None:
        self._objects = objects
        self._size = size
        self._sizes: dict[Reference, int] = {}
        self._counts: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._refused: dict[str, set[Reference]] = {}

    def take(self, reference: Reference, size: int) -> str:
        """Count an object with `size` bytes of content, instead of what was counted for it before.

        Returns:
            Why it does not fit, and is not counted; empty where it is.
        """
        self.release(reference)
        namespace = reference.namespace
        if self._counts[namespace] >= self._objects:
            problem = f"its namespace names more than {self._objects} Secrets and ConfigMaps that exist"
        elif self._totals[namespace] + size > self._size:
            problem = f"what its namespace names in Secrets and ConfigMaps has more than {self._size} bytes"
        else:
            self._sizes[reference] = size
            self._counts[namespace] += 1
            self._totals[namespace] += size
            return ""
        self._refused.setdefault(namespace, set()).add(reference)
        return problem

    def release(self, reference: Reference) -> None:
        """Count the object no more."""
        namespace = reference.namespace
        if (size := self._sizes.pop(reference, None)) is not None:
            self._counts[namespace] -= 1
            self._totals[namespace] -= size
        if (refused := self._refused.get(namespace)) is not None:
            refused.discard(reference)
            if not refused:
                del self._refused[namespace]

    def refused(self, namespace: str) -> frozenset[Reference]:
        """What did not fit when it was counted last."""
        return frozenset(self._refused.get(namespace, ()))
