"""The known resources of the cluster, and the changes of them that wait for a turn.

They come from the watch, from LISTs, and from the answers to the operator's own writes of statuses.
"""

from stationkeeper_operator.reporting.watch_lag import WatchLag
from stationkeeper_operator.resources.records import Key, Reference, Resource
from stationkeeper_operator.turns.aggregator import Aggregator
from stationkeeper_operator.watching.reports import ResourceReport
from stationkeeper_operator.watching.resource_store import ResourceStore
from stationkeeper_operator.watching.store_results import Change

MOST_RESTATED = 5_000
"""The changed statuses that wait for a turn: until then, the compiler holds the resources with their old statuses."""


class KnownResources:
    """The known resources of one process.

    Args:
        store: the store of the resources.
        changes: the changes that wait for a turn; by default new.
        lag: the lag of the watch behind the written statuses; None to not wait for it.

    Attributes:
        store: the store of the resources.
        changes: the changes that wait for a turn.
    """

    def __init__(self, store: ResourceStore, changes: Aggregator | None = None, lag: WatchLag | None = None) -> None:
        self.store = store
        self.changes = changes or Aggregator()
        self._lag = lag
        self._had_many_restated = False

    def get(self, key: Key) -> Resource | None:
        """Return the known resource; None if there is none."""
        return self.store.get(key)

    def take_in_report(self, report: ResourceReport) -> Change:
        """Take in a report of the watch; return the change that it means."""
        resource = report.resource
        change = self.store.remove(resource) if report.deleted else self.store.put(resource)
        if self._lag is not None:
            self._lag.note_seen(resource.key, resource.metadata.version)
        self.note(change)
        return change

    async def wait_for_room(self) -> None:
        """Wait until the lag of the watch allows another write."""
        if self._lag is not None:
            await self._lag.wait_for_room()

    def take_in_write(self, after: Resource) -> None:
        """Take in the resource from the API server's answer to a write; it may include changes by others."""
        change = self.store.put(after)
        # If the watch was quicker than the answer, or nothing changed, the store already knows it.
        if self._lag is not None and change is not Change.NOTHING:
            self._lag.note_write(after.key, after.metadata.version)
        self.note(change)

    def note(self, change: Change) -> None:
        """Let a change wait for a turn if a turn depends on it; a reduction is urgent, and many statuses count too."""
        # Once: each of the following statuses would cut the pause after a failed turn short.
        had_many, self._had_many_restated = self._had_many_restated, self.store.restated >= MOST_RESTATED
        if change in {Change.SPEC, Change.REDUCTION}:
            self.changes.wake(urgent=change is Change.REDUCTION)
        elif self._had_many_restated and not had_many:
            self.changes.wake()

    def note_reference(self, reference: Reference) -> None:
        """Let a change of a named Secret or ConfigMap wait for a turn; it is urgent if the object admits clients."""
        self.changes.wake(urgent=self.store.references.admits(reference))
