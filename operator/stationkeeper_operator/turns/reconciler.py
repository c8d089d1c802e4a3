"""One turn of the operator: compile the changes, write the Secrets, and write the results into the statuses.

The trust is compiled and written first: a reduction of trust never waits for the registry.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from enum import Enum

from stationkeeper_operator.compiling.incremental.turn_compiler import TurnPlan
from stationkeeper_operator.compiling.retention.reductions import reduced_documents
from stationkeeper_operator.compiling.world_changes import WorldChanges
from stationkeeper_operator.metrics import Metrics
from stationkeeper_operator.publishing.publisher import Publisher, SupersededError
from stationkeeper_operator.resources.records import Key, Resource
from stationkeeper_operator.turns.batches import IN_ONE_GO, batches
from stationkeeper_operator.turns.compilation import Compilation
from stationkeeper_operator.turns.judging import Judging
from stationkeeper_operator.turns.plan_check import PlanCheck
from stationkeeper_operator.turns.rollout_flow import RolloutFlow
from stationkeeper_operator.turns.status_loop import StatusLoop

_AT_ONCE = 4
"""The number of documents to write in parallel before a check for waiting changes."""


class Turn(Enum):
    """The result of a turn."""

    DONE = "Done"
    AGAIN = "Again"
    """A part failed, or is not known yet; try again in a while."""
    MORE = "More"
    """It stopped early for a waiting change; take another turn at once."""


class Reconciler:
    """Takes turns.

    Args:
        compilation: the compiler and its changes.
        publisher: writes the Secrets.
        status: receives the judgements.
        flow: follows each publish until the pods have loaded it.
        now: returns the time, aware.
        metrics: receive the times of compiles.
        change_waits: returns whether a change waits for the end of this turn.
        check: compares with a full compile from time to time.

    Attributes:
        deadline: the time of the next turn by time alone, aware; None for never.
    """

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        compilation: Compilation,
        *,
        publisher: Publisher,
        status: StatusLoop,
        flow: RolloutFlow,
        now: Callable[[], datetime],
        metrics: Metrics,
        change_waits: Callable[[], bool] = lambda: False,
        check: PlanCheck | None = None,
    ) -> None:
        self._compilation = compilation
        self._judging = Judging(status, compilation.is_decided)
        self._publisher = publisher
        self._flow = flow
        self._now = now
        self._metrics = metrics
        self._change_waits = change_waits
        self._check = check
        self.deadline: datetime | None = None

    def discard_state(self) -> None:
        """Drop the stored state, because it was found to be wrong: the next turn compiles everything."""
        self._compilation.discard_state()

    async def turn(self) -> Turn:
        """Take one turn.

        Raises:
            ApiError: the Secrets cannot be read.
            SupersededError: another program wrote one of them.
            NotLeadingError: this process no longer holds the Lease.
        """
        self.deadline = None
        await self._compilation.resolve()
        counts = self._compilation.counts()
        in_force = await self._publisher.in_force(counts.needed)
        now = self._now()
        compiler, changes = await self._compilation.up_to_date(counts, in_force, now)
        await self._take_in_resources(changes)
        self._flow.begin_turn(self._publisher.generations, self._publisher.removed)
        trust = await asyncio.to_thread(compiler.compile_trust, in_force, now)
        await self._publish(self._reducing(trust), trust, compiler.resources)
        with self._metrics.compile_seconds.time():
            plan = await asyncio.to_thread(compiler.compile, counts, in_force, now, self._change_waits)
        self._metrics.compiled.labels("Gateway").inc(plan.work.gateways)
        self._metrics.compiled.labels("Document").inc(plan.work.documents)
        self.deadline = plan.deadline
        self._judging.expect(plan.verdicts)
        wrote_all = await self._write(plan, compiler.resources)
        completes = wrote_all and await self._complete(plan, compiler.resources)
        unwritten = self._publisher.differing(plan.digests)
        await self._flow.note_unwritten(unwritten, plan.before, plan.documents)
        judged_all = not compiler.has_compiled_all or await self._judging.judge(
            compiler, unwritten, is_final=wrote_all, change_waits=self._change_waits
        )
        await self._flow.record_removals(plan.documents, compiler.resources)
        if plan.retired:
            await self._publisher.empty(plan.retired)
        if not (wrote_all and plan.is_done and judged_all):
            return Turn.MORE
        if unwritten or self._compilation.lacks_references or completes:
            return Turn.AGAIN
        if self._check is not None and self._check.is_due:
            self._check.begin(await asyncio.to_thread(compiler.compiled, plan, in_force, now))
        return Turn.DONE

    async def _take_in_resources(self, changes: WorldChanges) -> None:
        # Call it also without resources, as after an installation: the pods are asked and served only after that.
        self._flow.take_in_resources({})
        for batch in batches(changes.resources.items(), IN_ONE_GO):
            changed = dict(batch)
            self._judging.take_in(changed)
            self._flow.take_in_resources(changed)
            await asyncio.sleep(0)
        self._judging.end_first_list()

    def _reducing(self, plan: TurnPlan) -> frozenset[str]:
        """Return the documents to write first: those that remove trust."""
        differing = self._publisher.differing(plan.digests)
        return reduced_documents(plan.before, {name: plan.documents[name] for name in differing})

    async def _write(self, plan: TurnPlan, resources: Mapping[Key, Resource]) -> bool:
        """Write the differing documents, reductions first; return whether all were written."""
        first = self._reducing(plan) - plan.last
        await self._publish(first, plan, resources)
        rest = self._publisher.differing(plan.digests) - first - plan.last
        # Documents of events come first. One batch is written in any case: otherwise, with changes all the time,
        # only reductions would be written.
        order = sorted(rest, key=lambda each: (each not in plan.payloads, each))
        for number, batch in enumerate(batches(order, _AT_ONCE)):
            if number and self._change_waits():
                return False
            await self._publish(batch, plan, resources)
        return True

    async def _complete(self, plan: TurnPlan, resources: Mapping[Key, Resource]) -> bool:
        """Write the last documents of a count, if all others are written; its pods may then serve.

        The next turn then begins with these documents.

        Returns:
            Whether they were written.
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
            name: self._flow.removals_in(plan.before.get(name), plan.documents[name], resources)
            for name in documents
            if plan.leads(name)
        }
        superseded: SupersededError | None = None
        try:
            generations = await self._publisher.write(documents, payloads, removed, plan.documents)
        except SupersededError as error:
            # Other documents were written, and may have removed trust: that needs its proof and its event.
            superseded, generations = error, error.written
        leading = {name: number for name, number in generations.items() if plan.leads(name)}
        copies = {name: number for name, number in generations.items() if name not in leading}
        await self._flow.published(plan.before, plan.documents, leading, copies)
        if superseded is not None:
            raise superseded
