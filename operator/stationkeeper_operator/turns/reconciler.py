"""One turn of the operator: what changed, compiled, into the Secrets, and what became of it, into the status.

What is to be trusted is compiled and written first: a reduction of trust never waits for the registry.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from enum import Enum

from stationkeeper_operator.compiling.incremental.turn_compiler import TurnPlan
from stationkeeper_operator.compiling.retention.reductions import reduced_documents
from stationkeeper_operator.compiling.world_changes import WorldChanges
from stationkeeper_operator.metrics import Metrics
from stationkeeper_operator.observing.observed_state import ObservedState
from stationkeeper_operator.observing.proof import Proof
from stationkeeper_operator.publishing.publisher import Publisher, SupersededError
from stationkeeper_operator.reporting.status_writer import StatusWriter
from stationkeeper_operator.resources.records import Key, Resource
from stationkeeper_operator.turns.batches import IN_ONE_GO, batches
from stationkeeper_operator.turns.compilation import Compilation
from stationkeeper_operator.turns.judging import Judging
from stationkeeper_operator.turns.plan_check import PlanCheck

_AT_ONCE = 8
"""Documents that are written side by side, before it is asked whether somebody waits."""


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
        compilation: what turns compile from.
        publisher: of the Secrets.
        status: of the resources.
        seen: told which resources there are, and what was published.
        proof: follows what is published.
        now: the time, aware.
        metrics: where it is measured what compiles take.
        is_pressed: whether something changed that waits for this turn to end.
        check: compares with a full compile now and then.

    Attributes:
        deadline: when another turn is due by time alone, aware; None for never.
    """

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        compilation: Compilation,
        *,
        publisher: Publisher,
        status: StatusWriter,
        seen: ObservedState,
        proof: Proof,
        now: Callable[[], datetime],
        metrics: Metrics,
        is_pressed: Callable[[], bool] = lambda: False,
        check: PlanCheck | None = None,
    ) -> None:
        self._compilation = compilation
        self._judging = Judging(status, compilation.is_decided)
        self._publisher = publisher
        self._status = status
        self._seen = seen
        self._proof = proof
        self._now = now
        self._metrics = metrics
        self._is_pressed = is_pressed
        self._check = check
        self.deadline: datetime | None = None

    def begin_anew(self) -> None:
        """Have the next turn compile all from nothing: what is remembered was found to be wrong."""
        self._compilation.begin_anew()

    async def turn(self) -> Turn:
        """One turn.

        Raises:
            ApiError: the Secrets cannot be read.
            SupersededError: somebody else wrote one of them.
            NotLeadingError: the Lease is not held any more.
        """
        self.deadline = None
        await self._compilation.resolve()
        counts = self._compilation.counts()
        in_force = await self._publisher.in_force(counts.needed)
        now = self._now()
        compiler, changes = await self._compilation.up_to_date(counts, in_force, now)
        await self._know(changes)
        self._proof.begin(self._publisher.generations, self._publisher.removed)
        trust = await asyncio.to_thread(compiler.compile_trust, in_force, now)
        await self._publish(self._reducing(trust), trust, compiler.resources)
        with self._metrics.compile_seconds.time():
            plan = await asyncio.to_thread(compiler.compile, counts, in_force, now, self._is_pressed)
        self._metrics.compiled.labels("Gateway").inc(plan.work.gateways)
        self._metrics.compiled.labels("Document").inc(plan.work.documents)
        self.deadline = plan.deadline
        self._judging.expect(plan.verdicts)
        wrote_all = await self._write(plan, compiler.resources)
        completes = wrote_all and await self._complete(plan, compiler.resources)
        unwritten = self._publisher.differing(plan.digests)
        self._proof.lacking(unwritten, plan.before, plan.documents)
        if compiler.is_whole:
            await self._judging.judge(compiler, unwritten, is_final=wrote_all)
        self._proof.tell(plan.documents, compiler.resources)
        if plan.retired:
            await self._publisher.empty(plan.retired)
        if not (wrote_all and plan.is_done):
            return Turn.MORE
        if unwritten or self._compilation.lacks_references or completes:
            return Turn.AGAIN
        if self._check is not None and self._check.is_due:
            self._check.begin(await asyncio.to_thread(compiler.compiled, plan, in_force, now))
        return Turn.DONE

    async def _know(self, changes: WorldChanges) -> None:
        # Also where there are none, as after an installation: the pods are asked, and handed documents, only then.
        self._seen.know({})
        for batch in batches(changes.resources.items(), IN_ONE_GO):
            changed = dict(batch)
            self._judging.take_in(changed)
            self._seen.know(changed)
            await asyncio.sleep(0)

    def _reducing(self, plan: TurnPlan) -> frozenset[str]:
        """The documents to be written first: those that take trust away."""
        differing = self._publisher.differing(plan.digests)
        return reduced_documents(plan.before, {name: plan.documents[name] for name in differing})

    async def _write(self, plan: TurnPlan, resources: Mapping[Key, Resource]) -> bool:
        """Write what differs, reductions first; whether that was done to its end."""
        first = self._reducing(plan) - plan.last
        await self._publish(first, plan, resources)
        rest = self._publisher.differing(plan.digests) - first - plan.last
        for batch in batches(sorted(rest), _AT_ONCE):
            if self._is_pressed():
                return False
            await self._publish(batch, plan, resources)
        return True

    async def _complete(self, plan: TurnPlan, resources: Mapping[Key, Resource]) -> bool:
        """Complete a count, whose pods may serve from then on, if all else of it is written; whether that was done.

        The next turn then begins with what it holds.
        """
        unwritten = self._publisher.differing(plan.digests)
        if not unwritten or not unwritten <= plan.last:
            return False
        await self._publish(unwritten, plan, resources)
        return True

    async def _publish(self, documents: Collection[str], plan: TurnPlan, resources: Mapping[Key, Resource]) -> None:
        if not documents:
            return
        payloads = await asyncio.to_thread(lambda: {name: plan.payload(name) for name in documents})
        removed = {
            name: self._proof.leaving(plan.before.get(name), plan.documents[name], resources)
            for name in documents
            if plan.leads(name)
        }
        superseded: SupersededError | None = None
        try:
            generations = await self._publisher.write(documents, payloads, removed)
        except SupersededError as error:
            # What was written beside it took trust away all the same, which has to be proven and told.
            superseded, generations = error, error.written
        for name in generations:
            self._publisher.share(name, plan.documents[name])
            await asyncio.sleep(0)
        leading = {name: number for name, number in generations.items() if plan.leads(name)}
        copies = {name: number for name, number in generations.items() if name not in leading}
        changes = self._proof.published(plan.before, plan.documents, leading)
        self._proof.also_published(plan.before, plan.documents, copies)
        for keys in batches(self._seen.reconfigured(changes), IN_ONE_GO):
            self._status.observe(keys)
            await asyncio.sleep(0)
        if superseded is not None:
            raise superseded
