"""Update a fleet view with one object after the other, from any source."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NoReturn

import msgspec

from stationkeeper_operator.resources.raw_json import object_of
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA, read_identity
from stationkeeper_tools.operating.fleet import ResourceName
from stationkeeper_tools.page.fleet_view import FleetView
from stationkeeper_tools.page.shown_fields import shown_resource

KINDS = (TRUSTED_CA, GATEWAY)
TICK_SECONDS = 1.0
SLICE_SECONDS = 0.01
"""The maximum seconds that other work of the event loop waits."""


class Feed:
    """Puts objects into a view.

    Args:
        view: the view of the page.
        now: returns the time, aware.
    """

    def __init__(self, view: FleetView, now: Callable[[], datetime]) -> None:
        self._view = view
        self._now = now

    async def take(self, kind: str, items: Iterable[msgspec.Raw], *, is_first: bool) -> set[ResourceName]:
        """Put objects of a LIST into the view, and return their names.

        Args:
            kind: the kind of the objects.
            items: the objects, as JSON text.
            is_first: whether this is the first LIST; then its objects are not new.
        """
        seen, until = set(), time.monotonic() + SLICE_SECONDS
        for item in items:
            namespace, name, version = read_identity(bytes(item))
            key = ResourceName(kind, namespace, name)
            seen.add(key)
            if not version or self._view.version(key) != version:
                self.put(kind, object_of(item), is_first=is_first)
            if time.monotonic() > until:
                await asyncio.sleep(0)
                until = time.monotonic() + SLICE_SECONDS
        return seen

    def put(self, kind: str, item: Mapping[str, Any], *, is_first: bool = False) -> ResourceName | None:
        """Put an object into the view, and return its name; None if it has none."""
        resource = shown_resource(kind, item)
        if resource is None:
            return None
        version = item["metadata"].get("resourceVersion")
        self._view.put(resource, version if isinstance(version, str) else "", self._now(), is_first=is_first)
        return resource.key

    def keep_only(self, kind: str, namespace: str | None, seen: set[ResourceName]) -> None:
        """Remove all other objects of a kind in a namespace (all namespaces if None), after a complete LIST."""
        for key in [each for each in self._view.names(kind, namespace) if each not in seen]:
            self._view.remove(key, self._now())

    def remove(self, kind: str, item: Mapping[str, Any]) -> None:
        """Remove a deleted object from the view."""
        resource = shown_resource(kind, item)
        if resource is not None:
            self._view.remove(resource.key, self._now())

    async def tick(self) -> NoReturn:
        """Update the states that time alone changes, until cancelled."""
        while True:
            is_more = self._view.tick(self._now())
            await asyncio.sleep(0 if is_more else TICK_SECONDS)
