"""Follow the named Secrets and ConfigMaps: watch metadata, and read changed named objects by name.

A watch shows every ConfigMap of the cluster, and every Secret with a label. Most of them are not needed, and each may
have a megabyte. So the watch requests only metadata, and stores none of it. A named object in a new version is read;
the namespaces take turns.
"""

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Callable, Collection, Iterator
from typing import NoReturn

import msgspec

from stationkeeper_operator.api.fair_queue import FairQueue
from stationkeeper_operator.api.kubernetes_api import METADATA_ONLY, ApiError, KubernetesApi
from stationkeeper_operator.api.resource_paths import referenced_path
from stationkeeper_operator.compiling.world import SECRET_LABELS
from stationkeeper_operator.resources.records import CONFIG_MAP, SECRET, Reference
from stationkeeper_operator.watching.reference_index import ReferenceIndex
from stationkeeper_operator.watching.reference_reader import ReferenceReader

_READERS = 4
_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_AGAIN_SECONDS = 0.1
# Each namespace has this ConfigMap of Kubernetes, and no resource should name it.
_CONFIG_MAPS = {"fieldSelector": "metadata.name!=kube-root-ca.crt"}
_BOOKMARK, _DELETED, _ERROR = "BOOKMARK", "DELETED", "ERROR"
_log = logging.getLogger("stationkeeper.operator.reference_watch")


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _Object(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    code: int = 0


class _Event(msgspec.Struct):
    type: str
    object: _Object


class ReferenceWatch:
    """The watch of one operator.

    Args:
        api: the API client.
        references: the index of the named objects and their known versions.
        reader: reads changed objects into the index.
        namespaces: the served namespaces; empty means all.
        changed: called with each object whose used content changed.
        broken: called if an event may be lost, so that everything must be listed.

    Attributes:
        begun: set when every watch has begun, so that a later LIST misses nothing.
    """

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        api: KubernetesApi,
        references: ReferenceIndex,
        reader: ReferenceReader,
        namespaces: Collection[str],
        *,
        changed: Callable[[Reference], None],
        broken: Callable[[], None],
    ) -> None:
        self._api = api
        self._index = references
        self._reader = reader
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._changed = changed
        self._broken = broken
        self._stale: FairQueue[Reference] = FairQueue(lambda reference: reference.namespace)
        self._busy: set[Reference] = set()
        self._work = asyncio.Event()
        self._to_begin = {(kind, *query.values(), namespace) for kind, query, namespace in self._watches()}
        self.begun = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind, query, namespace in self._watches():
                group.create_task(self._follow(kind, namespace, query))
            for _ in range(_READERS):
                group.create_task(self._read())

    def _watches(self) -> Iterator[tuple[str, dict[str, str], str | None]]:
        """Yield kind, query and namespace of each watch."""
        queries = [(CONFIG_MAP, _CONFIG_MAPS), *((SECRET, {"labelSelector": f"{each}=true"}) for each in SECRET_LABELS)]
        for (kind, query), namespace in itertools.product(queries, self._namespaces):
            yield kind, query, namespace

    async def _follow(self, kind: str, namespace: str | None, query: dict[str, str]) -> NoReturn:
        path, version, pause = referenced_path(kind, namespace), "", _PAUSE_SECONDS
        while True:
            parameters = query | {"allowWatchBookmarks": "true"} | ({"resourceVersion": version} if version else {})
            try:
                async with contextlib.aclosing(self._api.watch(path, parameters, METADATA_ONLY)) as lines:
                    async for line in lines:
                        if line:
                            version = self._take_in(kind, line) or version
                        elif not version:
                            self._note_begin((kind, *query.values(), namespace))
                        pause = _PAUSE_SECONDS
            except ApiError as error:
                if error.is_gone or error.is_too_large:
                    version = ""
                else:
                    fields = {"kind": kind, "namespace": namespace or "", "detail": error}
                    _log.info("a watch broke off, starting it again", extra={"fields": fields})
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - nothing secret
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _note_begin(self, watch: tuple[str | None, ...]) -> None:
        """Record that a watch began without a version: with all objects, but without the deletions before it."""
        self._broken()
        self._to_begin.discard(watch)
        if not self._to_begin:
            self.begun.set()

    def _take_in(self, kind: str, line: bytes) -> str:
        """Take in a line of a watch; return the version of a bookmark, up to which everything is seen.

        Raises:
            ApiError: the line is an error, or cannot be decoded.
        """
        try:
            event = msgspec.json.decode(line, type=_Event)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise ApiError(0, "MalformedAnswer", type(error).__name__) from None
        if event.type == _ERROR:
            raise ApiError(event.object.code, "WatchError")
        metadata = event.object.metadata
        if event.type != _BOOKMARK:
            reference = Reference(kind, metadata.namespace, metadata.name)
            if self._index.note_change(reference, metadata.resource_version, deleted=event.type == _DELETED):
                self._stale.add((reference,))
                self._work.set()
        return metadata.resource_version

    async def _read(self) -> NoReturn:
        while True:
            reference = self._stale.take(self._busy)
            if reference is None:
                self._work.clear()
                await self._work.wait()
                continue
            self._busy.add(reference)
            try:
                if await self._reader.read_one(reference) or reference in self._index.unresolved:
                    self._changed(reference)
            finally:
                # An object that changes all the time is read only a few times a second.
                asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._free, reference)

    def _free(self, reference: Reference) -> None:
        self._busy.discard(reference)
        self._work.set()
