"""Read the Secrets and ConfigMaps that resources name.

ConfigMaps are always read by name, because a cluster may have very many that nothing names. A few Secrets are read by
name too. For many Secrets, a LIST by label is used, and the Secrets that it does not show are read by name. The
namespaces take turns. Only a 404 means that an object does not exist; after any other failure it stays unknown.
"""

import asyncio
import itertools
import logging
from collections.abc import Collection, Iterable

import msgspec

from stationkeeper_operator.api.fair_queue import interleaved
from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi
from stationkeeper_operator.api.resource_paths import REFERENCED, referenced_path
from stationkeeper_operator.compiling.world import SECRET_LABELS
from stationkeeper_operator.resources.records import SECRET, Reference, decode_referenced
from stationkeeper_operator.watching.reference_index import ReferenceIndex

FEW = 32

_MAX_AT_ONCE = 16
_log = logging.getLogger("stationkeeper.operator.reference_reader")


class _Metadata(msgspec.Struct):
    name: str = ""
    namespace: str = ""


class _Named(msgspec.Struct):
    metadata: _Metadata


class ReferenceReader:
    """Reads named objects into the index.

    Args:
        api: the API client.
        references: the index that receives the objects.
        namespaces: the served namespaces; empty means all.
    """

    def __init__(self, api: KubernetesApi, references: ReferenceIndex, namespaces: Collection[str]) -> None:
        self._api = api
        self._index = references
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._slots = asyncio.Semaphore(_MAX_AT_ONCE)

    async def read(self, references: Iterable[Reference]) -> bool:
        """Read `references`; failures are logged, and the state of the object stays unknown.

        Returns:
            Whether anything that matters has changed.
        """
        wanted = set(references)
        changed = False
        for kind in REFERENCED:
            of_kind = {reference for reference in wanted if reference.kind == kind}
            if kind == SECRET and len(of_kind) > FEW:
                listed, any_changed = await self._list(kind, of_kind)
                of_kind -= listed
                changed |= any_changed
            in_turns = interleaved(of_kind, lambda reference: reference.namespace)
            changed |= any(await asyncio.gather(*(self.read_one(reference) for reference in in_turns)))
        return changed

    async def read_one(self, reference: Reference) -> bool:
        """Read one object; a failure is logged, and the next turn reads it again.

        Returns:
            Whether anything that matters has changed.
        """
        reports_before = self._index.reports_on(reference)
        path = referenced_path(*reference)
        async with self._slots:
            try:
                content = await self._api.get(path)
            except ApiError as error:
                if error.is_not_found:
                    return self._index.take_in_answer(reference, reports_before, None)
                fields = {"object": "/".join(reference), "detail": error}
                _log.warning("a named object cannot be read, trying again", extra={"fields": fields})
                self._index.mark_unresolved(reference)
                return False
        return self._index.take_in_answer(reference, reports_before, decode_referenced(reference.kind, content))

    async def _list(self, kind: str, wanted: Collection[Reference]) -> tuple[set[Reference], bool]:
        reports_before = {reference: self._index.reports_on(reference) for reference in wanted}
        listed: set[Reference] = set()
        changed = False
        for namespace, label in itertools.product(self._namespaces, SECRET_LABELS):
            query = {"labelSelector": f"{label}=true"}
            try:
                async for page in self._api.pages(referenced_path(kind, namespace), query):
                    for item in page.items:
                        reference = _reference(kind, item)
                        if reference in reports_before:
                            content = decode_referenced(kind, bytes(item))
                            changed |= self._index.take_in_answer(reference, reports_before[reference], content)
                            listed.add(reference)
            except ApiError as error:
                fields = {"kind": kind, "namespace": namespace, "detail": error}
                _log.warning("named objects cannot be listed", extra={"fields": fields})
        return listed, changed


def _reference(kind: str, item: msgspec.Raw) -> Reference:
    metadata = msgspec.json.decode(item, type=_Named).metadata
    return Reference(kind, metadata.namespace, metadata.name)
