"""The results of the store: its state and its changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from stationkeeper_operator.compiling.world_changes import ResourceChange, WorldChanges
from stationkeeper_operator.resources.records import Key, Reference, ReferencedObject, Resource


class Change(Enum):
    """The kind of change that a report means for the known state."""

    NOTHING = 0
    STATUS = 1
    """Only the status, or other metadata."""
    SPEC = 2
    REDUCTION = 3
    """The resource no longer exists, is being deleted or suspended, or accepts fewer clients than before."""


@dataclass(frozen=True)
class StoreSnapshot:
    """A snapshot of the store; later changes do not affect it.

    Attributes:
        resources: all resources.
        referenced: the named objects that exist.
        undecided: the resources that name an object whose existence is not known.
    """

    resources: Mapping[Key, Resource]
    referenced: Mapping[Reference, ReferencedObject]
    undecided: frozenset[Key]


@dataclass(frozen=True)
class StoreChanges:
    """The changes of the store since they were last taken.

    Attributes:
        before: the resources that may have changed, with their earlier state.
        after: all present resources; other resources do not exist.
        referenced: the named objects that may have changed; None for one that does not exist.
        restated: the present state of other resources of which only the status, or unused metadata, changed.
    """

    before: Mapping[Key, Resource | None]
    after: Mapping[Key, Resource]
    referenced: Mapping[Reference, ReferencedObject | None]
    restated: Mapping[Key, Resource]

    @property
    def world(self) -> WorldChanges:
        """The difference; it takes a while to compute if everything is new."""
        pairs = ((key, ResourceChange(before, self.after.get(key))) for key, before in self.before.items())
        changed = {key: change for key, change in pairs if change.before is not change.after}
        return WorldChanges(changed, self.referenced, self.restated)


class ListInProgress:
    """The items of a LIST that is being read; they do not count before the merge, except in the first LIST.

    Args:
        kind, namespace: what is listed; None for all namespaces.
        present: the present resources.
        is_first: whether these resources were never listed before.
    """

    def __init__(
        self, kind: str, namespace: str | None, present: Mapping[Key, Resource], *, is_first: bool = False
    ) -> None:
        self.kind = kind
        self.namespace = namespace
        self.is_first = is_first
        self.items: dict[Key, Resource | None] = {}
        self._present = present

    def add(self, resource: Resource) -> None:
        """Add an item; an item of a known version takes no memory again."""
        known = self._present.get(resource.key)
        same = known is not None and known.metadata.resource_version == resource.metadata.resource_version
        self.items[resource.key] = None if same else resource

    def is_known(self, key: Key, resource_version: str) -> bool:
        """Return whether the store has a resource in that version."""
        known = self._present.get(key)
        return known is not None and known.metadata.resource_version == resource_version

    def add_known(self, keys: Iterable[Key]) -> None:
        """Add items whose version is already known."""
        self.items.update(dict.fromkeys(keys))
