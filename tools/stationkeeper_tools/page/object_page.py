"""The page as a part of a process that holds all objects itself."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stationkeeper_tools.page.access import Access
from stationkeeper_tools.page.application import Shown, page_application
from stationkeeper_tools.page.fleet_view import FleetView
from stationkeeper_tools.page.history import History
from stationkeeper_tools.page.object_feed import ObjectFeed
from stationkeeper_tools.page.serving import PageAddress, serve_page

CHECK_INS = 2


@dataclass(frozen=True)
class OfferedPage:
    """The address of a page, and its users.

    Attributes:
        address: the address of the page.
        access: who may see it.
    """

    address: PageAddress
    access: Access


async def run_object_page(
    offered: OfferedPage,
    objects: Callable[[], Iterable[Mapping[str, Any]] | None],
    source: str,
    now: Callable[[], datetime],
    stop: asyncio.Event,
) -> None:
    """Show the page until `stop` is set.

    Args:
        offered: the address and the users.
        objects: returns the existing objects; None if they are not known yet.
        source: the name of the source, for people.
        now: returns the time, aware.
        stop: the event that ends it.

    Raises:
        OSError: the address cannot be bound.
    """
    feed = ObjectFeed(view := FleetView(CHECK_INS, History()), objects, source, now)
    application = page_application(Shown(view, lambda: feed.freshness, now), offered.access)
    async with serve_page(application, offered.address):
        following, stopped = asyncio.create_task(feed.run()), asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([following, stopped], return_when=asyncio.FIRST_COMPLETED)
            if following in done:
                following.result()
        finally:
            following.cancel()
            stopped.cancel()
            await asyncio.wait([following, stopped])
