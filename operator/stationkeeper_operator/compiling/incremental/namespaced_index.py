"""A mapping to resources of several namespaces: what one namespace has under a key costs the others nothing."""

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from stationkeeper_operator.resources.records import Key

K = TypeVar("K", bound=Hashable)


class NamespacedIndex(Generic[K]):
    """The resources under each key, by namespace; it needs little memory if nearly all keys have only one."""

    def __init__(self) -> None:
        self._one: dict[K, Key] = {}
        self._more: dict[K, dict[str, dict[Key, None]]] = {}

    def __contains__(self, key: object) -> bool:
        """Return whether any namespace has a resource under `key`."""
        return key in self._one or key in self._more

    def add(self, key: K, resource: Key) -> None:
        """Add a resource."""
        namespaces = self._more.get(key)
        if namespaces is None:
            first = self._one.setdefault(key, resource)
            if first == resource:
                return
            del self._one[key]
            namespaces = self._more[key] = {first.namespace: {first: None}}
        namespaces.setdefault(resource.namespace, {})[resource] = None

    def discard(self, key: K, resource: Key) -> None:
        """Remove a resource if it exists."""
        namespaces = self._more.get(key)
        if namespaces is None:
            if self._one.get(key) == resource:
                del self._one[key]
            return
        resources = namespaces.get(resource.namespace, {})
        resources.pop(resource, None)
        if not resources:
            namespaces.pop(resource.namespace, None)
        if len(namespaces) == 1:
            (resources,) = namespaces.values()
            if len(resources) == 1:
                (self._one[key],) = resources
                del self._more[key]

    def of(self, key: K, namespace: str) -> Iterable[Key]:
        """Return the resources of a namespace under `key`; the index must not change during an iteration."""
        one = self._one.get(key)
        if one is not None:
            return (one,) if one.namespace == namespace else ()
        return self._more.get(key, {}).get(namespace, ())

    def has(self, key: K, namespace: str) -> bool:
        """Return whether a namespace has a resource under `key`."""
        return bool(self.of(key, namespace))
