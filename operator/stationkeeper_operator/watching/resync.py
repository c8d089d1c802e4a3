"""The authoritative LIST of all resources, page by page; a resource that is not in it does not exist.

A watch does not report deletions while it was broken, or changes before it began. A LIST that fails or is cut removes
nothing, and adds only items that were true when they were listed.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Collection, Iterable, Iterator

from stationkeeper_operator.api.kubernetes_api import KubernetesApi, Page
from stationkeeper_operator.api.resource_paths import NO_OBJECT, RESOURCES, resource_path
from stationkeeper_operator.resources.records import Key, decode_resource, read_identity
from stationkeeper_operator.watching.reference_reader import ReferenceReader
from stationkeeper_operator.watching.resource_store import ResourceStore
from stationkeeper_operator.watching.store_results import Change, ListInProgress

_SLICE_SECONDS = 0.005
_log = logging.getLogger("stationkeeper.operator.resync")


class Resync:
    """Updates a store by LISTs.

    Args:
        api: the API client.
        store: the store to update.
        reader: reads the objects that resources name.
        namespaces: the served namespaces; empty means all.
    """

    def __init__(
        self, api: KubernetesApi, store: ResourceStore, reader: ReferenceReader, namespaces: Collection[str]
    ) -> None:
        self._api = api
        self._store = store
        self._reader = reader
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)

    async def probe(self) -> None:
        """Check that every collection can be listed: the definitions and the rights exist.

        The kinds are asked at the same time: an API server that has just begun, or has new definitions, refuses the
        first request for a kind, and only then prepares to answer the next one.

        Raises:
            ApiError: a collection cannot be listed.
        """
        for failed in await asyncio.gather(*map(self._probe, RESOURCES), return_exceptions=True):
            if failed:
                raise failed

    async def run(self) -> Change:
        """List all resources, and read all named objects again.

        Returns:
            The gravest change.

        Raises:
            ApiError: a LIST failed; the earlier LISTs are taken in, without harm.
        """
        changes = [await self._list(kind, namespace) for kind in RESOURCES for namespace in self._namespaces]
        if await self._reader.read(self._store.references.named):
            changes.append(Change.SPEC)
        return _gravest(changes)

    async def _probe(self, kind: str) -> None:
        for namespace in self._namespaces:
            async for _ in self._api.pages(resource_path(kind, namespace), {"fieldSelector": NO_OBJECT}):
                pass

    async def _list(self, kind: str, namespace: str | None) -> Change:
        listed, version = self._store.begin_list(kind, namespace), ""
        changes: list[Change] = []
        async for page in self._api.pages(resource_path(kind, namespace)):
            version = page.resource_version
            # A thread would not help: decoding needs Python's lock. Meanwhile the API server prepares the next page.
            changes.append(await _in_slices(self._add(listed, page)))
            if listed.is_first:
                # These objects stay for long. Otherwise each garbage collection during the LIST would look at all of
                # them again.
                gc.freeze()
        count = len(listed.items)
        change = _gravest((*changes, await _in_slices(self._store.merge_steps(listed, version))))
        fields = {"kind": kind, "namespace": namespace or "", "count": count, "change": change.name}
        _log.info("listed", extra={"fields": fields})
        return change

    def _add(self, listed: ListInProgress, page: Page) -> Iterator[Change]:
        """Add a page to a LIST; yield the change of each item: `NOTHING` if it counts only after the LIST."""
        if listed.is_first:
            # Merge the items now, while the API server prepares the next page.
            self._store.count_at_once(listed, page.resource_version)
        for item in page.items:
            raw = bytes(item)
            if listed.is_first:
                resource = decode_resource(listed.kind, raw)
                listed.add_known((resource.key,))
                yield self._store.put(resource)
                continue
            namespace, name, resource_version = read_identity(raw)
            key = Key(listed.kind, namespace, name)
            if listed.is_known(key, resource_version):
                listed.add_known((key,))
            else:
                listed.add(decode_resource(listed.kind, raw))
            yield Change.NOTHING


async def _in_slices(steps: Iterable[Change]) -> Change:
    """Take all steps without blocking the event loop for long; return the gravest change."""
    gravest, until = Change.NOTHING, time.monotonic() + _SLICE_SECONDS
    for change in steps:
        if change.value > gravest.value:
            gravest = change
        if time.monotonic() > until:
            await asyncio.sleep(0)
            until = time.monotonic() + _SLICE_SECONDS
    return gravest


def _gravest(changes: Iterable[Change]) -> Change:
    return max(changes, key=lambda change: change.value, default=Change.NOTHING)
