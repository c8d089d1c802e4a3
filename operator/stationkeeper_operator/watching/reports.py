"""What a watch reports of resources, and what the operator asks of a watch."""

from dataclasses import dataclass
from typing import NoReturn, Protocol

from stationkeeper_operator.resources import Resource


@dataclass(frozen=True)
class ResourceReport:
    """A resource is so, or was deleted.

    Attributes:
        resource: the object, with the resourceVersion of what happened.
        deleted: whether it was.
    """

    resource: Resource
    deleted: bool


@dataclass(frozen=True)
class RelistReport:
    """The watch lists a collection, since it begins, or begins again; it tells what is there, not what is gone."""


Report = ResourceReport | RelistReport


class ResourceWatch(Protocol):
    """Reports what happens to the resources."""

    @property
    def is_healthy(self) -> bool:
        """Whether it still looks, or was not started yet."""

    async def run(self) -> NoReturn:
        """Watch until cancelled."""
