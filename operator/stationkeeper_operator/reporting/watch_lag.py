"""The lag of the watch behind the operator's own status writes; it limits the writes.

Each written status comes back as a watch event. An API server keeps events only for a while, and closes a watch that is
read too slowly; then everything must be listed again. So only a limited number of writes may be ahead of the watch. A
LIST also shows the writes before it, so a watch without events does not block writes for ever.
"""

import asyncio

from stationkeeper_operator.resources.records import Key

MOST_UNSEEN = 200


class WatchLag:
    """The writes that the watch has not shown yet.

    Args:
        most: the maximum number of such writes; None for a watch that does not show writes.
    """

    def __init__(self, most: int | None = MOST_UNSEEN) -> None:
        self._most = most
        self._unseen: dict[Key, int] = {}
        self._room = asyncio.Event()
        self._begun = False

    def __len__(self) -> int:
        return len(self._unseen)

    def begin(self) -> None:
        """Record that the watch has begun; no write is allowed before."""
        self._begun = True
        self._update_room()

    def note_write(self, key: Key, version: int) -> None:
        """Record that a resource was written with that resourceVersion."""
        if self._most is not None:
            self._unseen[key] = version
            self._update_room()

    def note_seen(self, key: Key, version: int) -> None:
        """Record that the watch has shown that version of a resource, or its deletion."""
        if self._unseen.get(key, version + 1) <= version:
            del self._unseen[key]
            self._update_room()

    def unseen(self) -> dict[Key, int]:
        """Return the unseen writes, for the call of `listed` after a LIST that begins now."""
        return dict(self._unseen)

    def listed(self, before: dict[Key, int]) -> None:
        """Take in a LIST that began while the writes `before` were unseen."""
        for key, version in before.items():
            self.note_seen(key, version)

    async def wait_for_room(self) -> None:
        """Wait until another write is allowed."""
        await self._room.wait()

    def _update_room(self) -> None:
        if self._begun and (self._most is None or len(self._unseen) < self._most):
            self._room.set()
        else:
            self._room.clear()
