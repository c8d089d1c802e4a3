"""The authoritative LIST of all resources, page by page; a resource that is not in it does not exist.

A watch does not report deletions while it was broken, or changes before it began. A LIST that fails or is cut removes
nothing, and adds only items that were true when they were listed.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Collection, Iterable, Sequence

import msgspec

from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.resource_paths import NO_OBJECT, RESOURCES, resource_path
from stationkeeper_operator.resources.records import Key, Resource, decode_resource, read_identity
from stationkeeper_operator.watching.known import Change, ListInProgress
from stationkeeper_operator.watching.reference_reader import ReferenceReader
from stationkeeper_operator.watching.resource_store import ResourceStore

_SLICE_SECONDS = 0.005
_Decoded = tuple[Sequence[Key], Sequence[Resource]]
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

        Raises:
            ApiError: a collection cannot be listed.
        """
        for kind, namespace in itertools.product(RESOURCES, self._namespaces):
            async for _ in self._api.pages(resource_path(kind, namespace), {"fieldSelector": NO_OBJECT}):
                pass

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

    async def _list(self, kind: str, namespace: str | None) -> Change:
        listed, version = self._store.begin_list(kind, namespace), ""
        decoding: asyncio.Task[_Decoded] | None = None
        changes: list[Change] = []
        try:
            async for page in self._api.pages(resource_path(kind, namespace)):
                version = page.resource_version
                # A page is decoded while the API server makes the next one.
                if decoding is not None:
                    changes.append(await self._add(listed, await decoding, version))
                decoding = asyncio.create_task(asyncio.to_thread(_decoded, kind, page.items, listed))
            if decoding is not None:
                changes.append(await self._add(listed, await decoding, version))
        finally:
            if decoding is not None:
                decoding.cancel()
        count = len(listed.found)
        change = _gravest((*changes, await _in_slices(self._store.merge_steps(listed, version))))
        fields = {"kind": kind, "namespace": namespace or "", "count": count, "change": change.name}
        _log.info("listed", extra={"fields": fields})
        return change

    async def _add(self, listed: ListInProgress, decoded: _Decoded, version: str) -> Change:
        """Add a page to a LIST; return its gravest change, where its items count at once."""
        known, others = decoded
        listed.add_known(known)
        if not listed.is_first:
            for resource in others:
                listed.add(resource)
            return Change.NOTHING
        # There is time for it while the API server makes the next page, and nothing is compiled before the end.
        self._store.count_at_once(listed, version)
        listed.add_known(resource.key for resource in others)
        return await _in_slices(self._store.put(resource) for resource in others)


async def _in_slices(steps: Iterable[Change]) -> Change:
    """Take all steps without blocking the event loop for long; return the gravest change."""
    gravest, until = Change.NOTHING, time.monotonic() + _SLICE_SECONDS
    for change in steps:
        gravest = _gravest((gravest, change))
        if time.monotonic() > until:
            await asyncio.sleep(0)
            until = time.monotonic() + _SLICE_SECONDS
    return gravest


def _gravest(changes: Iterable[Change]) -> Change:
    return max(changes, key=lambda change: change.value, default=Change.NOTHING)


def _decoded(kind: str, items: Sequence[msgspec.Raw], listed: ListInProgress) -> _Decoded:
    """Return the keys of the items whose version is known, and the other items."""
    if listed.is_first:
        return (), [decode_resource(kind, bytes(item)) for item in items]
    known: list[Key] = []
    others: list[Resource] = []
    for item in items:
        raw = bytes(item)
        namespace, name, resource_version = read_identity(raw)
        key = Key(kind, namespace, name)
        if listed.is_known(key, resource_version):
            known.append(key)
        else:
            others.append(decode_resource(kind, raw))
    return known, others
