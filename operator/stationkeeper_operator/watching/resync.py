"""The authoritative LIST: everything there is, page by page; what it does not hold is gone.

A watch does not tell what was deleted while it was broken, nor what happened before it began. A LIST that fails, or is
cut, changes nothing.
"""

import itertools
import logging
from collections.abc import Collection

from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.resource_paths import RESOURCES, resource_path
from stationkeeper_operator.resources import decode_resource
from stationkeeper_operator.watching.reference_reader import ReferenceReader
from stationkeeper_operator.watching.resource_store import Change, ResourceStore

_log = logging.getLogger("stationkeeper.operator.resync")


class Resync:
    """Brings a store up to date.

    Args:
        api: of the cluster.
        store: what to bring up to date.
        reader: for the objects that resources name.
        namespaces: those that are served; none means all.
    """

    def __init__(
        self, api: KubernetesApi, store: ResourceStore, reader: ReferenceReader, namespaces: Collection[str]
    ) -> None:
        self._api = api
        self._store = store
        self._reader = reader
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)

    async def probe(self) -> None:
        """Return once every collection can be listed: the definitions are there, and the rights.

        Raises:
            ApiError: one cannot.
        """
        for kind, namespace in itertools.product(RESOURCES, self._namespaces):
            await self._api.get(f"{resource_path(kind, namespace)}?limit=1")

    async def run(self) -> Change:
        """Lists all, and reads all named objects anew.

        Returns:
            The gravest change that was found.

        Raises:
            ApiError: a LIST failed; those before it are taken in, which is no harm.
        """
        changes = [await self._list(kind, namespace) for kind in RESOURCES for namespace in self._namespaces]
        if await self._reader.read(self._store.named):
            changes.append(Change.SPEC)
        return max(changes, key=lambda change: change.value)

    async def _list(self, kind: str, namespace: str | None) -> Change:
        listed, version = self._store.begin_list(kind, namespace), ""
        async for page in self._api.pages(resource_path(kind, namespace)):
            version = page.resource_version
            for item in page.items:
                listed.add(decode_resource(kind, bytes(item)))
        change = self._store.merge_list(listed, version)
        fields = {"kind": kind, "namespace": namespace or "", "count": len(listed.found), "change": change.name}
        _log.info("listed", extra={"fields": fields})
        return change
