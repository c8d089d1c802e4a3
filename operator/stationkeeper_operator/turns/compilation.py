"""The compiler that turns share, and the changes in the cluster since the last turn."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from stationkeeper_core.published.documents import Document
from stationkeeper_operator.compiling.incremental.turn_compiler import TurnCompiler, TurnPlan
from stationkeeper_operator.compiling.registry_counts import RegistryCounts, leading_count
from stationkeeper_operator.compiling.world_changes import WorldChanges
from stationkeeper_operator.metrics import Metrics
from stationkeeper_operator.resources.named_references import reference_keys
from stationkeeper_operator.resources.records import GATEWAY, Key, Reference, Resource
from stationkeeper_operator.turns.known_resources import KnownResources
from stationkeeper_operator.turns.plan_check import PlanCheck
from stationkeeper_operator.watching.reference_reader import ReferenceReader
from stationkeeper_operator.watching.store_results import StoreChanges

_REFERENCES_SECONDS = 1.0
_FEW = 500
"""The number of changed Gateways that are taken in without a thread: in less than 5 ms."""
_log = logging.getLogger("stationkeeper.operator.reconciler")


class Compilation:
    """Compiles what turns publish.

    Args:
        release_namespace: the namespace whose TrustedCAs and GatewayDefaults may serve all namespaces.
        cups_names: the names of the release's CUPS for gateways.
        known: the known resources.
        reader: reads named objects that were never read.
        metrics: receive the times and the work of compiles.
        counts: returns the counts of registry documents.
        permit: raises if the term of leadership is over.

    Attributes:
        check: compares with a full compile from time to time, while it runs.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a compile reads, and where its work is counted
        self,
        release_namespace: str,
        cups_names: tuple[str, ...],
        known: KnownResources,
        reader: ReferenceReader,
        metrics: Metrics,
        counts: Callable[[], RegistryCounts] = RegistryCounts,
        permit: Callable[[], None] = lambda: None,
    ) -> None:
        self._release_namespace = release_namespace
        self._cups_names = cups_names
        self._known = known
        self._store = known.store
        self._reader = reader
        self._metrics = metrics
        self._compiler: TurnCompiler | None = None
        self._never_read: frozenset[tuple[Reference, str]] = frozenset()
        self._permit = permit
        self.counts = counts
        self.check = PlanCheck(metrics.compile_differences, self._discard_state)

    @property
    def lacks_references(self) -> bool:
        """Whether named Secrets or ConfigMaps must be read."""
        return bool(self._store.references.unresolved)

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
        """Do the same as `take_in`, for a turn: `is_decided` then answers for the taken in state."""
        self._never_read = self._store.references.never_read
        return await self.take_in(counts, in_force, now)

    async def take_in(
        self, counts: RegistryCounts, in_force: Mapping[str, Document], now: datetime
    ) -> tuple[TurnCompiler, WorldChanges]:
        """Return the updated compiler and the changes; a new compiler if the stored state is not valid.

        Args:
            counts: the counts of registry documents.
            in_force: the documents in force.
            now: the time, aware.

        Raises:
            NotLeadingError: this process no longer holds the Lease.
        """
        # Each change is returned once. The next term may prepare already, and it needs all later changes.
        self._permit()
        compiler = self._compiler
        if compiler is None or not compiler.is_valid_for(counts, in_force, now):
            self._store.return_all_next()
            leading = leading_count(counts, in_force)
            compiler = self._compiler = TurnCompiler(self._release_namespace, self._cups_names, leading)
        known = self._store.changes()
        count = len(known.before) + len(known.restated)
        if count <= _FEW and not known.referenced and all(key.kind == GATEWAY for key in known.before):
            return compiler, _take_in(compiler, known)
        return compiler, await asyncio.to_thread(_take_in, compiler, known)

    def change_waits(self) -> bool:
        """Return whether a change waits for the end of this turn."""
        return self._known.changes.is_waiting

    async def compile(
        self, compiler: TurnCompiler, counts: RegistryCounts, in_force: Mapping[str, Document], now: datetime
    ) -> TurnPlan:
        """Return the plan of the updated compiler; the plan is not complete if a change waits meanwhile.

        Args:
            compiler: the result of `up_to_date`.
            counts: the counts of registry documents.
            in_force: the documents in force.
            now: the time, aware.
        """
        with self._metrics.compile_seconds.time():
            plan = await asyncio.to_thread(compiler.compile, counts, in_force, now, self.change_waits)
        self._metrics.compiled.labels("Gateway").inc(plan.work.gateways)
        self._metrics.compiled.labels("Document").inc(plan.work.documents)
        return plan

    async def check_when_due(
        self, compiler: TurnCompiler, plan: TurnPlan, in_force: Mapping[str, Document], now: datetime
    ) -> None:
        """Begin to compare a complete plan with a full compile, if the last check began long enough ago."""
        if self.check.is_due:
            self.check.begin(await asyncio.to_thread(compiler.compiled, plan, in_force, now))

    def _discard_state(self) -> None:
        """Drop the stored state, because it was found to be wrong: the next turn compiles everything."""
        self._compiler = None
        self._known.changes.wake(urgent=True)

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
