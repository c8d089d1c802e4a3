"""The reports of a watch on resources, and the interface of a watch."""

from dataclasses import dataclass
from typing import NoReturn, Protocol

from stationkeeper_operator.resources.records import Resource


@dataclass(frozen=True)
class ResourceReport:
    """A resource has this state, or was deleted.

    Attributes:
        resource: the object, with the resourceVersion of the event.
        deleted: whether it was deleted.
    """

    resource: Resource
    deleted: bool


@dataclass(frozen=True)
class RelistReport:
    """The watch of a collection begins, or begins again; earlier changes are not reported."""


@dataclass(frozen=True)
class BegunReport:
    """The watch of every collection has begun: it reports every change after a LIST that begins now."""


class WatchEndedError(Exception):
    """A watch ended by itself; the message says why."""


Report = ResourceReport | RelistReport | BegunReport


class ResourceWatch(Protocol):
    """A watch that reports changes of the resources."""

    @property
    def is_healthy(self) -> bool:
        """Whether it still watches, or was not started yet."""

    @property
    def shows_statuses(self) -> bool:
        """Whether it reports each written status."""

    async def run(self) -> NoReturn:
        """Watch until cancelled.

        Raises:
            WatchEndedError: it ended without being asked to; it can be run again.
        """
