"""Decide when to list all resources: at the start, after a possible loss, for a new leader, and from time to time."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from stationkeeper_operator.api.kubernetes_api import ApiError
from stationkeeper_operator.api.rate_limit import RateLimit
from stationkeeper_operator.reporting.watch_lag import WatchLag
from stationkeeper_operator.turns.aggregator import Aggregator
from stationkeeper_operator.watching.resync import Resync
from stationkeeper_operator.watching.store_results import Change

RESYNC_SECONDS = 300.0
LEAST_RESYNC_SECONDS = 60.0
LISTS_AT_ONCE = 4
"""The number of LISTs without a pause; after these, there is a pause of `LEAST_RESYNC_SECONDS` between two."""
RETRY_SECONDS = 1.0

_RELIST_QUIET_SECONDS = 2.0
_RELIST_LONGEST_SECONDS = 10.0
_WATCH_BEGINS_SECONDS = 10.0
_LONGEST_LIST_RETRY_SECONDS = 3.0
_log = logging.getLogger("stationkeeper.operator")

_T = TypeVar("_T")


class Listing:
    """Decides when to list all resources, and lists them.

    Args:
        resync: does a LIST.
        lag: the lag of the watch behind the operator's own writes; a LIST shows these writes too.
        listed: called with the result of a LIST and its start in monotonic seconds; returns whether another one is
            needed at once.

    Attributes:
        watch_begun: the caller sets it when the watch of the resources has begun.
        is_complete: set after the first complete LIST.
    """

    def __init__(self, resync: Resync, lag: WatchLag, listed: Callable[[Change, float], bool]) -> None:
        self._resync = resync
        self._lag = lag
        self._listed = listed
        self._relists = Aggregator(_RELIST_QUIET_SECONDS, _RELIST_LONGEST_SECONDS)
        self._lists = RateLimit(1 / LEAST_RESYNC_SECONDS, LISTS_AT_ONCE)
        self._must_list = asyncio.Event()
        self._is_listing = True
        self.watch_begun = asyncio.Event()
        self.is_complete = asyncio.Event()

    def wake(self) -> None:
        """Request a LIST soon, because a change may have been missed."""
        self._relists.wake()

    def require(self) -> None:
        """Request a LIST at once. If one is under way and began too early, another one follows."""
        if not self._is_listing:
            self._must_list.set()

    async def run(self, tried: asyncio.Event, references_begun: asyncio.Event) -> NoReturn:
        """List until cancelled.

        Args:
            tried: set when it is known whether this process leads. A leader needs a LIST that starts after it began to
                lead, so an earlier one would have to be repeated.
            references_begun: set when the named Secrets and ConfigMaps are watched.
        """
        await tried.wait()
        await self._until_watch_begins(references_begun)
        while True:
            self._must_list.clear()
            self._relists.clear()
            began = time.monotonic()
            self._is_listing = True
            unseen = self._lag.unseen()
            change = await until_done("list", self._resync.run)
            self._lag.listed(unseen)
            self._is_listing = False
            self.is_complete.set()
            if not self._listed(change, began):
                await self._until_due()

    async def _until_watch_begins(self, references_begun: asyncio.Event) -> None:
        """Wait a limited time for the watch, so that one LIST is enough; a later begin causes another LIST."""
        try:
            async with asyncio.timeout(_WATCH_BEGINS_SECONDS):
                await self.watch_begun.wait()
                await references_begun.wait()
        except TimeoutError:
            _log.warning("the watch has not begun yet, listing without it")

    async def _until_due(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RESYNC_SECONDS):
                await _first_of(self._relists.wait_until_due(), self._must_list.wait())
        # Allow a burst: an API server that comes back breaks each watch at another moment, and resources deleted
        # meanwhile stay in force until the LIST. The long-term rate is one per minute.
        await _first_of(self._lists.wait(), self._must_list.wait())


async def until_done(what: str, attempt: Callable[[], Awaitable[_T]]) -> _T:
    """Repeat `attempt` until the API server answers, and return its result; log failures as those of `what`."""
    pause = RETRY_SECONDS
    while True:
        try:
            return await attempt()
        except ApiError as error:
            _log.warning("failed, trying again", extra={"fields": {"what": what, "detail": error, "seconds": pause}})
        await asyncio.sleep(pause)
        # After an outage of the API server, removals wait for this.
        pause = min(pause * 2, _LONGEST_LIST_RETRY_SECONDS)


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.create_task(each) for each in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
