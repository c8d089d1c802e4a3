"""One turn of the operator: what changed, compiled, into the Secrets, and what became of it, into the status.

What is to be trusted is compiled and written first: a reduction of trust never waits for the registry.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from enum import Enum
from itertools import islice
from typing import TypeVar

from prometheus_client import Counter, Histogram

from stationkeeper_core.published.documents import Document
from stationkeeper_operator.compiling.incremental.turn_compiler import TurnCompiler, TurnPlan
from stationkeeper_operator.compiling.registry_counts import RegistryCounts, leading_count
from stationkeeper_operator.compiling.retention.reductions import reduced_documents
from stationkeeper_operator.compiling.world_changes import WorldChanges
from stationkeeper_operator.observing.observed_state import ObservedState
from stationkeeper_operator.observing.proof import Proof
from stationkeeper_operator.publishing.publisher import Publisher
from stationkeeper_operator.reporting.status_writer import Judgement, StatusWriter
from stationkeeper_operator.resources.named_references import reference_keys
from stationkeeper_operator.resources.records import Key, Reference, Resource
from stationkeeper_operator.turns.plan_check import PlanCheck
from stationkeeper_operator.watching.known import KnownChanges
from stationkeeper_operator.watching.reference_reader import ReferenceReader
from stationkeeper_operator.watching.resource_store import ResourceStore

_REFERENCES_SECONDS = 1.0
_AT_ONCE = 8
"""Documents that are written side by side, before it is asked whether somebody waits."""
_IN_ONE_GO = 200
"""Resources that are gone through before other tasks of the event loop have their turn."""
T = TypeVar("T")
_log = logging.getLogger("stationkeeper.operator.reconciler")


class Turn(Enum):
    """How a turn ended."""

    DONE = "Done"
    AGAIN = "Again"
    """Something failed, or is not known yet; to be tried again in a while."""
    MORE = "More"
    """It made way for what somebody waits for; to be followed by another turn at once."""


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
        compiled: counts what was compiled, by what it is.
        cups_names: by which gateways reach the release's CUPS.
        counts: of registry documents that are asked for.
        is_pressed: whether something changed that waits for this turn to end.
        check: compares with a full compile now and then.

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
        compiled: Counter,
        cups_names: tuple[str, ...] = (),
        counts: Callable[[], RegistryCounts] = RegistryCounts,
        is_pressed: Callable[[], bool] = lambda: False,
        check: PlanCheck | None = None,
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
        self._compiled = compiled
        self._counts = counts
        self._is_pressed = is_pressed
        self._check = check
        self._compiler: TurnCompiler | None = None
        self._never_read: frozenset[tuple[Reference, str]] = frozenset()
        self._unwritten: frozenset[str] = frozenset()
        self._to_judge: dict[Key, None] = {}
        self._gone: dict[Key, None] = {}
        self._has_judged = False
        self.deadline: datetime | None = None

    def begin_anew(self) -> None:
        """Have the next turn compile all from nothing: what is remembered was found to be wrong."""
        self._compiler = None

    async def turn(self) -> Turn:
        """One turn.

        Raises:
            ApiError: the Secrets cannot be read.
            SupersededError: somebody else wrote one of them.
            NotLeadingError: the Lease is not held any more.
        """
        self.deadline = None
        await self._resolve()
        counts = self._counts()
        in_force = await self._publisher.in_force(counts.needed)
        now = self._now()
        compiler = await self._up_to_date(counts, in_force, now)
        self._proof.begin(self._publisher.generations)
        trust = await asyncio.to_thread(compiler.compile_trust, in_force, now)
        await self._publish(self._reducing(trust), trust)
        with self._compile_seconds.time():
            plan = await asyncio.to_thread(compiler.compile, counts, in_force, now, self._is_pressed)
        self._compiled.labels("Gateway").inc(plan.work.gateways)
        self._compiled.labels("Document").inc(plan.work.documents)
        self.deadline = plan.deadline
        self._to_judge.update(dict.fromkeys(plan.verdicts))
        wrote_all = await self._write(plan)
        completes = wrote_all and await self._complete(plan)
        unwritten = self._publisher.differing(plan.digests)
        self._proof.lacking(unwritten)
        if compiler.is_whole:
            await self._judge(compiler, unwritten, is_final=wrote_all)
        self._proof.tell(plan.documents, compiler.resources)
        if plan.retired:
            await self._publisher.empty(plan.retired)
        if not (wrote_all and plan.is_done):
            return Turn.MORE
        if unwritten or self._store.references.unresolved or completes:
            return Turn.AGAIN
        if self._check is not None and self._check.is_due:
            self._check.begin(await asyncio.to_thread(compiler.compiled, plan, in_force, now))
        return Turn.DONE

    async def _up_to_date(
        self, counts: RegistryCounts, in_force: Mapping[str, Document], now: datetime
    ) -> TurnCompiler:
        """The compiler, told what changed; a new one where what it remembers does not hold."""
        compiler = self._compiler
        if compiler is None or not compiler.serves(counts, in_force, now):
            self._store.give_all()
            leading = leading_count(counts, in_force)
            compiler = self._compiler = TurnCompiler(self._release_namespace, self._cups_names, leading)
        known = self._store.changes()
        self._never_read = known.never_read
        changes = await asyncio.to_thread(self._take_in, compiler, known)
        # Also where there are none, as after an installation: the pods are asked, and handed documents, only then.
        self._seen.know({})
        for batch in _batches(changes.resources.items(), _IN_ONE_GO):
            self._seen.know(dict(batch))
            await asyncio.sleep(0)
        return compiler

    def _take_in(self, compiler: TurnCompiler, known: KnownChanges) -> WorldChanges:
        changes = known.world
        compiler.take_in(changes)
        for key, change in changes.resources.items():
            if change.after is None:
                self._gone[key] = None
                self._to_judge.pop(key, None)
            else:
                self._gone.pop(key, None)
                self._to_judge[key] = None
        return changes

    async def _resolve(self) -> None:
        if not self._store.references.unresolved:
            return
        try:
            async with asyncio.timeout(_REFERENCES_SECONDS):
                await self._reader.read(self._store.references.unresolved)
        except TimeoutError:
            fields = {"unresolved": len(self._store.references.unresolved)}
            _log.warning("not all named Secrets and ConfigMaps are read yet", extra={"fields": fields})

    def _reducing(self, plan: TurnPlan) -> frozenset[str]:
        """The documents to be written first: those that take trust away."""
        differing = self._publisher.differing(plan.digests)
        return reduced_documents(plan.before, {name: plan.documents[name] for name in differing})

    async def _write(self, plan: TurnPlan) -> bool:
        """Write what differs, reductions first; whether that was done to its end."""
        first = self._reducing(plan) - plan.last
        await self._publish(first, plan)
        rest = self._publisher.differing(plan.digests) - first - plan.last
        for batch in _batches(sorted(rest), _AT_ONCE):
            if self._is_pressed():
                return False
            await self._publish(batch, plan)
        return True

    async def _complete(self, plan: TurnPlan) -> bool:
        """Complete a count, whose pods may serve from then on, if all else of it is written; whether that was done.

        The next turn then begins with what it holds.
        """
        unwritten = self._publisher.differing(plan.digests)
        if not unwritten or not unwritten <= plan.last:
            return False
        await self._publish(unwritten, plan)
        return True

    async def _publish(self, documents: Collection[str], plan: TurnPlan) -> None:
        if not documents:
            return
        payloads = await asyncio.to_thread(lambda: {name: plan.payload(name) for name in documents})
        generations = await self._publisher.write(documents, payloads)
        for name in generations:
            self._publisher.share(name, plan.documents[name])
            await asyncio.sleep(0)
        leading = {name: number for name, number in generations.items() if plan.leads(name)}
        copies = {name: number for name, number in generations.items() if name not in leading}
        changes = self._proof.published(plan.before, plan.documents, leading)
        self._proof.also_published(plan.before, plan.documents, copies)
        for keys in _batches(self._seen.reconfigured(changes), _IN_ONE_GO):
            self._status.observe(keys)
            await asyncio.sleep(0)

    async def _judge(self, compiler: TurnCompiler, unwritten: frozenset[str], *, is_final: bool) -> None:
        """Say what became of the resources of which that is other than before.

        Args:
            compiler: knows what became of them.
            unwritten: the documents that are not in force as they are to be.
            is_final: whether these failed; else they are written in the next turn, and what they carry is said then.
        """
        for document in unwritten ^ self._unwritten:
            self._to_judge.update(dict.fromkeys(compiler.carried_by(document)))
        self._unwritten = unwritten
        gone, self._gone = self._gone, {}
        is_news, self._has_judged = self._has_judged, True
        self._status.judge({}, gone)
        resources = compiler.resources
        for keys in _batches(list(self._to_judge), _IN_ONE_GO):
            judgements: dict[Key, Judgement] = {}
            for key in keys:
                resource, verdict = resources.get(key), compiler.verdict_on(key)
                if resource is None or verdict is None or not self._is_decided(resource, compiler):
                    continue
                is_written = verdict.document is not None and verdict.document not in unwritten
                if verdict.document is None or is_written or is_final:
                    metadata = resource.metadata
                    judgements[key] = Judgement(metadata.uid, metadata.generation, verdict, is_written)
            self._status.judge(judgements, is_news=is_news)
            for key in judgements:
                del self._to_judge[key]
            await asyncio.sleep(0)

    def _is_decided(self, resource: Resource, compiler: TurnCompiler) -> bool:
        """Whether it is known what a resource names, itself or through the GatewayDefaults that it looks to."""
        if not self._never_read:
            return True
        default = compiler.default_of(resource)
        named = (resource, compiler.resources.get(default) if default is not None else None)
        return all(each is None or self._never_read.isdisjoint(reference_keys(each)) for each in named)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
