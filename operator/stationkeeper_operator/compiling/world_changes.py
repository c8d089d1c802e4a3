"""The changes of resources and their references between two reads of the cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stationkeeper_operator.resources.records import Key, Reference, ReferencedObject, Resource


class ResourceChange(NamedTuple):
    """A resource before and after a change. `before` is None for a new resource, `after` is None for a deleted one."""

    before: Resource | None
    after: Resource | None


@dataclass(frozen=True)
class WorldChanges:
    """The difference between two states.

    Attributes:
        resources: the changed resources.
        referenced: the changed Secrets and ConfigMaps that resources name; None for one that does not exist.
        restated: the present state of other resources of which only the status, or unused metadata, changed.
    """

    resources: Mapping[Key, ResourceChange] = field(default_factory=dict)
    referenced: Mapping[Reference, ReferencedObject | None] = field(default_factory=dict)
    restated: Mapping[Key, Resource] = field(default_factory=dict)
