"""What the store hands out: what it knows, and what changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from stationkeeper_operator.compiling.world_changes import ResourceChange, WorldChanges
from stationkeeper_operator.resources.records import Key, Reference, ReferencedObject, Resource


class Change(Enum):
    """What a report meant, compared with what was known."""

    NOTHING = 0
    STATUS = 1
    """Only the status, or other metadata."""
    SPEC = 2
    REDUCTION = 3
    """The resource is gone or being deleted, or suspended, or lets in less than before."""


@dataclass(frozen=True)
class Known:
    """A snapshot of the store that later changes do not touch.

    Attributes:
        resources: all there are.
        referenced: the named objects that exist.
        undecided: resources that name an object of which it is not known whether it exists.
    """

    resources: Mapping[Key, Resource]
    referenced: Mapping[Reference, ReferencedObject]
    undecided: frozenset[Key]


@dataclass(frozen=True)
class KnownChanges:
    """What the store knows now that it did not know when it was asked before.

    Attributes:
        before: the resources that may be others than before, as they were.
        after: the resources as they are; those that are not there do not exist.
        referenced: the named objects that may be others than before, None for one that does not exist.
        never_read: the named keys of which it is not known yet whether they exist.
    """

    before: Mapping[Key, Resource | None]
    after: Mapping[Key, Resource]
    referenced: Mapping[Reference, ReferencedObject | None]
    never_read: frozenset[tuple[Reference, str]]

    @property
    def world(self) -> WorldChanges:
        """The difference, which takes a while to make where all is new."""
        pairs = ((key, ResourceChange(held, self.after.get(key))) for key, held in self.before.items())
        changed = {key: change for key, change in pairs if change.before is not change.after}
        return WorldChanges(changed, self.referenced)


class ListInProgress:
    """The items of a LIST that is being read; nothing of it counts before it is merged."""

    def __init__(self, kind: str, namespace: str | None, held: Mapping[Key, Resource]) -> None:
        self.kind = kind
        self.namespace = namespace
        self.found: dict[Key, Resource | None] = {}
        self._held = held

    def add(self, resource: Resource) -> None:
        """Adds an item; one that is known in this version takes no memory a second time."""
        held = self._held.get(resource.key)
        same = held is not None and held.metadata.resource_version == resource.metadata.resource_version
        self.found[resource.key] = None if same else resource

    def is_known(self, key: Key, resource_version: str) -> bool:
        """Whether the store has a resource in that version; may be called in any thread."""
        held = self._held.get(key)
        return held is not None and held.metadata.resource_version == resource_version

    def add_known(self, keys: Iterable[Key]) -> None:
        """Add items that are known in the version that they have."""
        self.found.update(dict.fromkeys(keys))
