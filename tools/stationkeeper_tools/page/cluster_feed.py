"""Follow the TrustedCAs and Gateways of a cluster: a LIST, then a watch, and another LIST when the watch is lost."""

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, NoReturn

import msgspec

from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi
from stationkeeper_operator.api.resource_paths import resource_path
from stationkeeper_operator.resources.raw_json import UNDECODABLE
from stationkeeper_tools.page.feeding import KINDS, Feed
from stationkeeper_tools.page.fleet_view import FleetView
from stationkeeper_tools.page.freshness import Freshness

SOURCE = "the API server"

_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0
_JSON = "application/json"
_BOOKMARK, _DELETED, _ERROR = "BOOKMARK", "DELETED", "ERROR"
_log = logging.getLogger("stationkeeper.page")


class _Event(msgspec.Struct):
    type: str
    object: dict[str, Any]


class ClusterFeed:
    """The feed of one process.

    Args:
        api: the API server of the cluster.
        view: the view to update.
        namespaces: the namespaces to follow; none means all.
        now: the time, aware.

    Attributes:
        listed: set when all existing objects were read.
    """

    def __init__(
        self, api: KubernetesApi, view: FleetView, namespaces: Collection[str], now: Callable[[], datetime]
    ) -> None:
        self._api = api
        self._now = now
        self._feed = Feed(view, now)
        self.listed = asyncio.Event()
        places = itertools.product(KINDS, tuple(namespaces) or (None,))
        self._collections: dict[tuple[str, str | None], Freshness] = {each: Freshness(SOURCE) for each in places}

    @property
    def freshness(self) -> Freshness:
        """The freshness of the view: that of its oldest collection."""
        known = list(self._collections.values())
        heard = [each.heard for each in known if each.heard is not None]
        problem = next((each.problem for each in known if each.problem), "")
        whole = all(each.is_complete for each in known)
        return Freshness(SOURCE, min(heard) if len(heard) == len(known) else None, whole, problem)

    async def run(self) -> NoReturn:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed.tick())
            for kind, namespace in self._collections:
                group.create_task(self._follow(kind, namespace))
        raise RuntimeError("a part of the page ended by itself")

    async def _follow(self, kind: str, namespace: str | None) -> NoReturn:
        place, version, pause = (kind, namespace), "", _PAUSE_SECONDS
        while True:
            heard = self._collections[place].heard
            try:
                version = version or await self._list(kind, namespace)
                version = await self._watch(kind, namespace, version)
            except ApiError as error:
                if error.is_gone or error.is_too_large:
                    version = ""
                self._collections[place] = self._collections[place].failed(str(error))
                fields = {"kind": kind, "namespace": namespace or "", "detail": str(error), "seconds": pause}
                _log.warning("the API server does not answer, trying again", extra={"fields": fields})
            if self._collections[place].heard != heard:
                pause = _PAUSE_SECONDS
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - nothing secret
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _list(self, kind: str, namespace: str | None) -> str:
        """Read all existing objects into the view, and return the resourceVersion of the LIST.

        Raises:
            ApiError: the LIST is incomplete; then no object counts as deleted.
        """
        place, version = (kind, namespace), ""
        is_first = not self._collections[place].is_complete
        seen = set()
        async for page in self._api.pages(resource_path(kind, namespace)):
            version = page.resource_version
            self._hear(place)
            seen |= await self._feed.take(kind, page.items, is_first=is_first)
        self._feed.keep_only(kind, namespace, seen)
        self._collections[place] = self._collections[place].complete()
        if self.freshness.is_complete:
            self.listed.set()
        return version

    async def _watch(self, kind: str, namespace: str | None, version: str) -> str:
        """Apply changes until the API server ends the watch, and return the last resourceVersion.

        Raises:
            ApiError: the watch broke off.
        """
        query = {"resourceVersion": version, "allowWatchBookmarks": "true"}
        try:
            lines = self._api.watch(resource_path(kind, namespace), query, _JSON)
            async with contextlib.aclosing(lines):
                async for line in lines:
                    if line:
                        version = self._take_in(kind, line) or version
                    self._hear((kind, namespace))
        except ApiError as error:
            if error.is_gone or error.is_too_large:
                raise
            self._collections[kind, namespace] = self._collections[kind, namespace].failed(str(error))
        return version

    def _take_in(self, kind: str, line: bytes) -> str:
        try:
            event = msgspec.json.decode(line, type=_Event)
        except UNDECODABLE as error:
            raise ApiError(0, "MalformedAnswer", type(error).__name__) from None
        if event.type == _ERROR:
            code = event.object.get("code")
            raise ApiError(code if isinstance(code, int) else 0, "WatchError")
        if event.type == _DELETED:
            self._feed.remove(kind, event.object)
        elif event.type != _BOOKMARK:
            self._feed.put(kind, event.object)
        metadata = event.object.get("metadata")
        found = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        return found if isinstance(found, str) else ""

    def _hear(self, place: tuple[str, str | None]) -> None:
        self._collections[place] = self._collections[place].heard_at(self._now())
