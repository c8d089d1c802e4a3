"""The compiler that turns share, and the changes in the cluster since the last turn."""

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
from stationkeeper_operator.watching.known import StoreChanges
from stationkeeper_operator.watching.reference_reader import ReferenceReader
from stationkeeper_operator.watching.resource_store import ResourceStore

_REFERENCES_SECONDS = 1.0
_log = logging.getLogger("stationkeeper.operator.reconciler")


class Compilation:
    """Updates the compiler.

    Args:
        release_namespace: the namespace whose TrustedCAs and GatewayDefaults may serve all namespaces.
        cups_names: the names of the release's CUPS for gateways.
        store: the known state of the cluster.
        reader: reads named objects that were never read.
        counts: returns the counts of registry documents.
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
        """Whether named Secrets or ConfigMaps must be read."""
        return bool(self._store.references.unresolved)

    def discard_state(self) -> None:
        """Drop the stored state, because it was found to be wrong: the next turn compiles everything."""
        self._compiler = None

    async def resolve(self) -> None:
        """Read the named objects that were never read, for a limited time."""
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
        """Return the updated compiler and the changes; a new compiler if the stored state is not valid.

        Args:
            counts: the counts of registry documents.
            in_force: the documents in force.
            now: the time, aware.
        """
        compiler = self._compiler
        if compiler is None or not compiler.is_valid_for(counts, in_force, now):
            self._store.return_all_next()
            leading = leading_count(counts, in_force)
            compiler = self._compiler = TurnCompiler(self._release_namespace, self._cups_names, leading)
        known = self._store.changes()
        self._never_read = known.never_read
        return compiler, await asyncio.to_thread(_take_in, compiler, known)

    def is_decided(self, resource: Resource, compiler: TurnCompiler) -> bool:
        """Return whether the references of a resource, or of the GatewayDefaults that it uses, have been read."""
        if not self._never_read:
            return True
        default: Key | None = compiler.default_of(resource)
        named = (resource, compiler.resources.get(default) if default is not None else None)
        return all(each is None or self._never_read.isdisjoint(reference_keys(each)) for each in named)


def _take_in(compiler: TurnCompiler, known: StoreChanges) -> WorldChanges:
    changes = known.world
    compiler.take_in(changes)
    return changes
