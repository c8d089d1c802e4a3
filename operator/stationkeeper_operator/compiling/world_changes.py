"""What changed of the resources, and of what they name, between two looks at the cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stationkeeper_operator.resources.records import Key, Reference, ReferencedObject, Resource


class ResourceChange(NamedTuple):
    """A resource as it was and as it is; None where it did not, or does not, exist."""

    before: Resource | None
    after: Resource | None


@dataclass(frozen=True)
class WorldChanges:
    """The difference.

    Attributes:
        resources: those that are other than before, be it in their status alone.
        referenced: the named Secrets and ConfigMaps that are other than before; None for one that does not exist.
    """

    resources: Mapping[Key, ResourceChange] = field(default_factory=dict)
    referenced: Mapping[Reference, ReferencedObject | None] = field(default_factory=dict)
