"""One turn of the operator: compile the changes, write the Secrets, and write the results into the statuses.

The trust is compiled and written first: a reduction of trust never waits for the registry.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from enum import Enum

from stationkeeper_operator.compiling.world_changes import ResourceChange, WorldChanges
from stationkeeper_operator.publishing.publisher import Publisher
from stationkeeper_operator.resources.records import Key
from stationkeeper_operator.turns.batches import IN_ONE_GO, batches
from stationkeeper_operator.turns.compilation import Compilation
from stationkeeper_operator.turns.judging import Judging
from stationkeeper_operator.turns.plan_writer import PlanWriter
from stationkeeper_operator.turns.rollout_flow import RolloutFlow
from stationkeeper_operator.turns.status_loop import StatusLoop


class Turn(Enum):
    """The result of a turn."""

    DONE = "Done"
    AGAIN = "Again"
    """Something failed, or is not known yet; try again in a while."""
    MORE = "More"
    """It stopped early for a waiting change; take another turn at once."""


class Reconciler:
    """Takes turns.

    Args:
        compilation: the compiler and the changes in the cluster.
        publisher: writes the Secrets.
        status: receives the judgements.
        flow: follows each publish until the pods have loaded it.
        now: returns the time, aware.

    Attributes:
        deadline: the time of the next turn if nothing changes before, aware; None for never.
    """

    def __init__(
        self,
        compilation: Compilation,
        *,
        publisher: Publisher,
        status: StatusLoop,
        flow: RolloutFlow,
        now: Callable[[], datetime],
    ) -> None:
        self._compilation = compilation
        self._judging = Judging(status, compilation.is_decided)
        self._publisher = publisher
        self._writer = PlanWriter(publisher, flow, compilation.change_waits)
        self._flow = flow
        self._now = now
        # The changes since the last turn that the compiler has taken in, but judging and flow have not: one for each
        # resource, because a LIST may fail for hours while the watch reports changes.
        self._prepared: dict[Key, ResourceChange] = {}
        self.deadline: datetime | None = None

    async def prepare(self) -> bool:
        """Do a part of the next turn's work that needs no complete LIST: read the documents, and take in resources.

        Returns:
            Whether there were changed resources.

        Raises:
            ApiError: the Secrets cannot be read.
            SupersededError: another program wrote one of them.
            NotLeadingError: this process no longer holds the Lease.
        """
        counts = self._compilation.counts()
        in_force = await self._publisher.in_force(counts.needed)
        compiler, changes = await self._compilation.take_in(counts, in_force, self._now())
        await asyncio.to_thread(_add, self._prepared, changes)
        await asyncio.to_thread(compiler.set_in_force, in_force)
        return bool(changes.resources)

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
        await asyncio.to_thread(_add, self._prepared, changes)
        await self._take_in_resources()
        self._flow.begin_turn(self._publisher.generations, self._publisher.removed)
        trust = await asyncio.to_thread(compiler.compile_trust, in_force, now)
        await self._writer.write_reductions(trust, compiler.resources)
        plan = await self._compilation.compile(compiler, counts, in_force, now)
        self.deadline = plan.deadline
        await self._judging.expect(plan.verdicts)
        written = await self._writer.write(plan, compiler.resources)
        judged_all = not compiler.has_compiled_all or await self._judging.judge(
            compiler, written.unwritten, is_final=written.tried_all, change_waits=self._compilation.change_waits
        )
        await self._flow.record_removals(plan.documents, compiler.resources)
        if plan.retired:
            await self._publisher.empty(plan.retired)
        if not (written.tried_all and plan.is_done and judged_all):
            return Turn.MORE
        if written.unwritten or self._compilation.lacks_references or written.completed:
            return Turn.AGAIN
        await self._compilation.check_when_due(compiler, plan, in_force, now)
        return Turn.DONE

    async def _take_in_resources(self) -> None:
        # Call it also without resources, as after an installation: the pods are asked and served only after that.
        self._flow.take_in_resources({})
        changes, self._prepared = self._prepared, {}
        for batch in batches(changes.items(), IN_ONE_GO):
            changed = dict(batch)
            self._judging.take_in(changed)
            self._flow.take_in_resources(changed)
            await asyncio.sleep(0)
        self._judging.end_first_list()


def _add(changes: dict[Key, ResourceChange], later: WorldChanges) -> None:
    for key, (before, after) in later.resources.items():
        earlier = changes.get(key)
        changes[key] = ResourceChange(before if earlier is None else earlier.before, after)
    # The flow reads the status of a new resource only once, so pass on the newest version of the resource.
    for key, resource in later.restated.items():
        if key in changes:
            changes[key] = ResourceChange(changes[key].before, resource)
