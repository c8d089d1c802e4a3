"""Take the operator's own status writes into its store."""

from collections.abc import Callable

from stationkeeper_operator.reporting.watch_lag import WatchLag
from stationkeeper_operator.resources.records import Key, Resource
from stationkeeper_operator.watching.known import Change
from stationkeeper_operator.watching.resource_store import ResourceStore


class OwnWrites:
    """The known resources, with an entry point for each written status.

    Args:
        store: the store of the resources.
        changed: called with the change in the answer to a write; it may include changes by others.
        lag: the lag of the watch; None to not wait for it.
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
        """Return the known resource; None if there is none."""
        return self._store.get(key)

    async def wait_for_room(self) -> None:
        """Wait until the lag of the watch allows another write."""
        if self._lag is not None:
            await self._lag.wait_for_room()

    def take_in(self, after: Resource) -> None:
        """Take in the resource from the API server's answer to a write."""
        change = self._store.put(after)
        # If the watch was quicker than the answer, or nothing changed, the store already knows it.
        if self._lag is not None and change is not Change.NOTHING:
            self._lag.note_write(after.key, after.metadata.version)
        self._changed(change)
