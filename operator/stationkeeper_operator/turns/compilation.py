"""What turns compile from: the compiler that they share, and what changed in the cluster since the last one."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from stationkeeper_core.published.documents import Document
from stationkeeper_operator.compiling.incremental.turn_compiler import TurnCompiler
from stationkeeper_operator.compiling.registry_counts import RegistryCounts, leading_count
from stationkeeper_operator.compiling.world_changes import WorldChanges
from stationkeeper_operator.resources.named_references import reference_keys
from stationkeeper_operator.resources.records import Key, Reference, Resource
from stationkeeper_operator.watching.known import KnownChanges
from stationkeeper_operator.watching.reference_reader import ReferenceReader
from stationkeeper_operator.watching.resource_store import ResourceStore

_REFERENCES_SECONDS = 1.0
_log = logging.getLogger("stationkeeper.operator.reconciler")


class Compilation:
    """Brings the compiler up to date.

    Args:
        release_namespace: whose TrustedCAs and GatewayDefaults are for all.
        cups_names: by which gateways reach the release's CUPS.
        store: what is known.
        reader: for named objects that were never read.
        counts: of registry documents that are asked for.
    """

    def __init__(
        self,
        release_namespace: str,
        cups_names: tuple[str, ...],
        store: ResourceStore,
        reader: ReferenceReader,
        counts: Callable[[], RegistryCounts] = RegistryCounts,
    ) -> None:
        self._release_namespace = release_namespace
        self._cups_names = cups_names
        self._store = store
        self._reader = reader
        self._compiler: TurnCompiler | None = None
        self._never_read: frozenset[tuple[Reference, str]] = frozenset()
        self.counts = counts

    @property
    def lacks_references(self) -> bool:
        """Whether named Secrets or ConfigMaps have to be read."""
        return bool(self._store.references.unresolved)

    def begin_anew(self) -> None:
        """Have the next turn compile all from nothing: what is remembered was found to be wrong."""
        self._compiler = None

    async def resolve(self) -> None:
        """Read the named objects that were never read, as far as that is quick."""
        if not self._store.references.unresolved:
            return
        try:
            async with asyncio.timeout(_REFERENCES_SECONDS):
                await self._reader.read(self._store.references.unresolved)
        except TimeoutError:
            fields = {"unresolved": len(self._store.references.unresolved)}
            _log.warning("not all named Secrets and ConfigMaps are read yet", extra={"fields": fields})

    async def up_to_date(
        self, counts: RegistryCounts, in_force: Mapping[str, Document], now: datetime
    ) -> tuple[TurnCompiler, WorldChanges]:
        """Return the compiler, told what changed, and that; a new one where what it remembers does not hold.

        Args:
            counts: of registry documents.
            in_force: the documents.
            now: aware.
        """
        compiler = self._compiler
        if compiler is None or not compiler.serves(counts, in_force, now):
            self._store.give_all()
            leading = leading_count(counts, in_force)
            compiler = self._compiler = TurnCompiler(self._release_namespace, self._cups_names, leading)
        known = self._store.changes()
        self._never_read = known.never_read
        return compiler, await asyncio.to_thread(_take_in, compiler, known)

    def is_decided(self, resource: Resource, compiler: TurnCompiler) -> bool:
        """Return whether it is known what a resource names, itself or through the GatewayDefaults that it looks to."""
        if not self._never_read:
            return True
        default: Key | None = compiler.default_of(resource)
        named = (resource, compiler.resources.get(default) if default is not None else None)
        return all(each is None or self._never_read.isdisjoint(reference_keys(each)) for each in named)


def _take_in(compiler: TurnCompiler, known: KnownChanges) -> WorldChanges:
    changes = known.world
    compiler.take_in(changes)
    return changes
