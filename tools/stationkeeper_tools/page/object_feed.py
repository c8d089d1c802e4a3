"""Follow the objects of a process that holds all of them, such as `stationkeeper serve`."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NoReturn

from stationkeeper_tools.operating.fleet import ResourceName
from stationkeeper_tools.page.feeding import KINDS, SLICE_SECONDS, Feed
from stationkeeper_tools.page.fleet_view import FleetView
from stationkeeper_tools.page.freshness import Freshness

SECONDS = 0.5

_SHARE = 10.0


class ObjectFeed:
    """The feed of one process.

    Args:
        view: the view to update.
        objects: returns the existing objects; None if they are not known yet.
        source: the name of the source, for people.
        now: returns the time, aware.

    Attributes:
        freshness: the freshness of the view.
    """

    def __init__(
        self,
        view: FleetView,
        objects: Callable[[], Iterable[Mapping[str, Any]] | None],
        source: str,
        now: Callable[[], datetime],
    ) -> None:
        self._view = view
        self._objects = objects
        self._now = now
        self._feed = Feed(view, now)
        self.freshness = Freshness(source)

    async def run(self) -> NoReturn:
        """Follow until cancelled."""
        while True:
            began = time.monotonic()
            await self.look()
            # With very many objects, a look takes a while, and other tasks wait.
            await asyncio.sleep(max(SECONDS, _SHARE * (time.monotonic() - began)))

    async def look(self) -> None:
        """Apply the changes since the last call."""
        objects = self._objects()
        if objects is None:
            return
        seen: dict[str, set[ResourceName]] = {kind: set() for kind in KINDS}
        until = time.monotonic() + SLICE_SECONDS
        for item in list(objects):
            kind, metadata = item.get("kind", ""), item["metadata"]
            if kind in seen:
                key = ResourceName(kind, metadata["namespace"], metadata["name"])
                seen[kind].add(key)
                if self._view.version(key) != metadata["resourceVersion"]:
                    self._feed.put(kind, item, is_first=not self.freshness.is_complete)
            if time.monotonic() > until:
                await asyncio.sleep(0)
                until = time.monotonic() + SLICE_SECONDS
        for kind, names in seen.items():
            self._feed.keep_only(kind, None, names)
        self._view.tick(self._now())
        self.freshness = self.freshness.heard_at(self._now()).complete()
