"""The operator's own writes to statuses, on their way back into what it knows of the cluster."""

from collections.abc import Callable

from stationkeeper_operator.reporting.watch_lag import WatchLag
from stationkeeper_operator.resources.records import Key, Resource
from stationkeeper_operator.watching.known import Change
from stationkeeper_operator.watching.resource_store import ResourceStore


class OwnWrites:
    """What is known of resources, and is told of each status that is written.

    Args:
        store: of the resources.
        changed: called with what the answer to a write meant, as it may hold news.
        lag: how far the watch is behind; None where none is waited for.
    """

    def __init__(
        self,
        store: ResourceStore,
        changed: Callable[[Change], None] = lambda _change: None,
        lag: WatchLag | None = None,
    ) -> None:
        self._store = store
        self._changed = changed
        self._lag = lag

    def get(self, key: Key) -> Resource | None:
        """Return the resource as it is known; None where there is none."""
        return self._store.get(key)

    async def room(self) -> None:
        """Return once the watch is near enough for another write."""
        if self._lag is not None:
            await self._lag.room()

    def take_in(self, after: Resource) -> None:
        """Take in a resource as the API server answered to a write."""
        change = self._store.put(after)
        # Where the watch was quicker than the answer, the store knows it, as it does where nothing was changed.
        if self._lag is not None and change is not Change.NOTHING:
            self._lag.wrote(after.key, after.metadata.version)
        self._changed(change)
