"""One turn of the operator: what is known, compiled, into the Secrets, and what became of it, into the status."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from prometheus_client import Histogram

from stationkeeper_core.published import Document
from stationkeeper_operator.compiling.compile import PublishPlan, compile_plan
from stationkeeper_operator.compiling.registry_counts import (
    RegistryCounts,
    RegistryPlan,
    for_all_counts,
    in_force_of,
    leading_count,
)
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.observing.observed_state import ObservedState
from stationkeeper_operator.observing.proof import Proof
from stationkeeper_operator.publishing.publisher import Publisher
from stationkeeper_operator.reporting.status_writer import Judgement, StatusWriter
from stationkeeper_operator.resources import Key
from stationkeeper_operator.watching.reference_reader import ReferenceReader
from stationkeeper_operator.watching.resource_store import Known, ResourceStore

_REFERENCES_SECONDS = 1.0
_log = logging.getLogger("stationkeeper.operator.reconciler")


class Reconciler:
    """Does turns.

    Args:
        release_namespace: whose TrustedCAs and GatewayDefaults are for all.
        store: what is known.
        reader: for named objects that were never read.
        publisher: of the Secrets.
        status: of the resources.
        seen: told which resources there are, and what was published.
        proof: follows what is published.
        now: the time, aware.
        compile_seconds: where it is measured what a compile takes.
        cups_names: by which gateways reach the release's CUPS.
        counts: of registry documents that are asked for.

    Attributes:
        deadline: when another turn is due by time alone, aware; None for never.
    """

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        release_namespace: str,
        store: ResourceStore,
        *,
        reader: ReferenceReader,
        publisher: Publisher,
        status: StatusWriter,
        seen: ObservedState,
        proof: Proof,
        now: Callable[[], datetime],
        compile_seconds: Histogram,
        cups_names: tuple[str, ...] = (),
        counts: Callable[[], RegistryCounts] = RegistryCounts,
    ) -> None:
        self._release_namespace = release_namespace
        self._cups_names = cups_names
        self._store = store
        self._reader = reader
        self._publisher = publisher
        self._status = status
        self._seen = seen
        self._proof = proof
        self._now = now
        self._compile_seconds = compile_seconds
        self._counts = counts
        self.deadline: datetime | None = None

    async def turn(self) -> bool:
        """One turn.

        Returns:
            Whether all is done; otherwise another turn has to follow soon.

        Raises:
            ApiError: the Secrets cannot be read.
            SupersededError: somebody else wrote one of them.
            NotLeadingError: the Lease is not held any more.
        """
        self.deadline = None
        await self._resolve()
        known = self._store.picture()
        counts = self._counts()
        in_force = await self._publisher.in_force(counts.needed)
        self._seen.know(known.resources)
        self._proof.begin(self._publisher.generations)
        leading = leading_count(counts, in_force)
        world = World(self._release_namespace, known.resources, known.referenced, self._cups_names, leading)
        with self._compile_seconds.time():
            found = await asyncio.to_thread(_compile, world, counts, in_force, self._now())
        plan = found.plan
        self.deadline = plan.deadline
        differing = self._publisher.differing(plan.payloads)
        first = plan.reduces(found.before) & differing - found.last if differing else frozenset[str]()
        for batch in (first, differing - first - found.last):
            await self._publish(batch, found)
        unwritten = self._publisher.differing(plan.payloads)
        # A count is completed when all else of it is written: its pods may serve from then on. The next turn then
        # begins with what it holds.
        completes = bool(unwritten) and unwritten <= found.last
        if completes:
            await self._publish(unwritten, found)
            unwritten = self._publisher.differing(plan.payloads)
        self._proof.lacking(unwritten)
        self._status.judge(
            {
                key: _judgement(known, plan, key, unwritten)
                for key in plan.verdicts
                if key in known.resources and _is_decided(known, world, key)
            }
        )
        self._proof.tell(plan.documents, known.resources)
        if found.retired:
            await self._publisher.empty(found.retired)
        return not unwritten and not self._store.unresolved and not completes

    async def _resolve(self) -> None:
        if not self._store.unresolved:
            return
        try:
            async with asyncio.timeout(_REFERENCES_SECONDS):
                await self._reader.read(self._store.unresolved)
        except TimeoutError:
            fields = {"unresolved": len(self._store.unresolved)}
            _log.warning("not all named Secrets and ConfigMaps are read yet", extra={"fields": fields})

    async def _publish(self, documents: Collection[str], found: RegistryPlan) -> None:
        if not documents:
            return
        generations = await self._publisher.write(documents, found.plan.payloads)
        leading = {name: number for name, number in generations.items() if found.leads(name)}
        copies = {name: number for name, number in generations.items() if name not in leading}
        changes = self._proof.published(found.before, found.plan.documents, leading)
        self._proof.also_published(found.before, found.plan.documents, copies)
        self._status.observe(self._seen.reconfigured(changes))


def _compile(world: World, counts: RegistryCounts, in_force: Mapping[str, Document], now: datetime) -> RegistryPlan:
    plan = compile_plan(world, in_force_of(world.buckets, in_force), now)
    return for_all_counts(plan, counts, world.buckets, in_force, world.release_namespace)


def _is_decided(known: Known, world: World, key: Key) -> bool:
    """Whether it is known what the resource names, itself or through the GatewayDefaults that it looks to."""
    return not known.undecided or not known.undecided & {key, world.defaults_of(known.resources[key])}


def _judgement(known: Known, plan: PublishPlan, key: Key, unwritten: Collection[str]) -> Judgement:
    metadata, verdict = known.resources[key].metadata, plan.verdicts[key]
    published = verdict.document is not None and verdict.document not in unwritten
    return Judgement(metadata.uid, metadata.generation, verdict, published)
