"""What a watch reports of resources, and what the operator asks of a watch."""

from dataclasses import dataclass
from typing import NoReturn, Protocol

from stationkeeper_operator.resources.records import Resource


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
    """The watch begins, or begins again, with a collection; it does not tell what happened there before."""


@dataclass(frozen=True)
class BegunReport:
    """The watch has begun with every collection: what a LIST does not show that begins now, it tells."""


class WatchEndedError(Exception):
    """A watch ended by itself; the message says why."""


Report = ResourceReport | RelistReport | BegunReport


class ResourceWatch(Protocol):
    """Reports what happens to the resources."""

    @property
    def is_healthy(self) -> bool:
        """Whether it still looks, or was not started yet."""

    @property
    def shows_statuses(self) -> bool:
        """Whether it tells of each status that is written."""

    async def run(self) -> NoReturn:
        """Watch until cancelled.

        Raises:
            WatchEndedError: it ended by itself, and may be run again.
        """
