"""How far the watch is behind what was written here: so that the operator's own writes never outrun its watch.

Each status that is written comes back as an event. An API server keeps events for a while only, and closes a watch that
is read too slowly; all has to be listed then. So no more are written than the watch has shown, but for a few. A LIST
shows what was written before it as well, so that a watch which tells nothing stops nothing for ever.
"""

import asyncio

from stationkeeper_operator.resources.records import Key

MOST_UNSEEN = 200


class WatchLag:
    """What was written and not yet seen.

    Args:
        most: how many that may be; None for a watch that does not show what is written.
    """

    def __init__(self, most: int | None = MOST_UNSEEN) -> None:
        self._most = most
        self._unseen: dict[Key, int] = {}
        self._room = asyncio.Event()
        self._begun = False

    def __len__(self) -> int:
        return len(self._unseen)

    def begin(self) -> None:
        """Take in that the watch has begun; nothing is written before."""
        self._begun = True
        self._look()

    def wrote(self, key: Key, version: int) -> None:
        """Take in that a resource was written, and has that resourceVersion since."""
        if self._most is not None:
            self._unseen[key] = version
            self._look()

    def saw(self, key: Key, version: int) -> None:
        """Take in that the watch has shown a resource in that version, or deleted."""
        if self._unseen.get(key, version + 1) <= version:
            del self._unseen[key]
            self._look()

    def unseen(self) -> dict[Key, int]:
        """Return what is not seen yet, to be given to `listed` by a LIST that begins now."""
        return dict(self._unseen)

    def listed(self, before: dict[Key, int]) -> None:
        """Take in a LIST that began when `before` was not seen yet."""
        for key, version in before.items():
            self.saw(key, version)

    async def room(self) -> None:
        """Return once another write is not too many."""
        await self._room.wait()

    def _look(self) -> None:
        if self._begun and (self._most is None or len(self._unseen) < self._most):
            self._room.set()
        else:
            self._room.clear()
