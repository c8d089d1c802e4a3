"""Write the documents of a plan in their order, and pass each publish on to the rollout.

Documents that remove trust come first, those of a waiting event next, and those that complete a count last.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from stationkeeper_operator.compiling.incremental.turn_compiler import TurnPlan
from stationkeeper_operator.compiling.retention.document_changes import DocumentChanges, document_changes
from stationkeeper_operator.compiling.retention.reductions import reduced_documents
from stationkeeper_operator.publishing.publisher import Publisher, SupersededError
from stationkeeper_operator.publishing.removal_annotation import Removed
from stationkeeper_operator.resources.records import Key, Resource
from stationkeeper_operator.turns.batches import batches
from stationkeeper_operator.turns.rollout_flow import RolloutFlow

_AT_ONCE = 4
"""The number of documents to write in parallel before a check for waiting changes."""


@dataclass(frozen=True)
class Written:
    """The result of the writes of a plan.

    Attributes:
        unwritten: the documents in force that still differ from the plan.
        tried_all: whether each write was tried; if not, a change waits, and the next turn writes the rest.
        completed: whether the last documents of a count were written; its pods may then serve.
    """

    unwritten: frozenset[str]
    tried_all: bool
    completed: bool


class PlanWriter:
    """Writes the plans of one release.

    Args:
        publisher: writes the Secrets.
        flow: follows each publish until the pods have loaded it.
        change_waits: returns whether a change waits for the end of this turn.
    """

    def __init__(self, publisher: Publisher, flow: RolloutFlow, change_waits: Callable[[], bool]) -> None:
        self._publisher = publisher
        self._flow = flow
        self._change_waits = change_waits

    async def write_reductions(self, plan: TurnPlan, resources: Mapping[Key, Resource]) -> None:
        """Write only the documents that remove trust.

        Args:
            plan: the documents.
            resources: all resources.

        Raises:
            SupersededError: another program wrote a Secret.
            NotLeadingError: this process no longer holds the Lease.
        """
        await self._publish(await self._reducing(plan), plan, resources)

    async def write(self, plan: TurnPlan, resources: Mapping[Key, Resource]) -> Written:
        """Write the documents that differ from those in force; stop early for a waiting change.

        Args:
            plan: the documents.
            resources: all resources.

        Raises:
            SupersededError: another program wrote a Secret.
            NotLeadingError: this process no longer holds the Lease.
        """
        tried_all = await self._write_in_order(plan, resources)
        completed = tried_all and await self._complete(plan, resources)
        unwritten = self._publisher.differing(plan.digests)
        await self._flow.note_unwritten(unwritten, plan.before, plan.documents)
        return Written(unwritten, tried_all, completed)

    async def _reducing(self, plan: TurnPlan) -> frozenset[str]:
        differing = {name: plan.documents[name] for name in self._publisher.differing(plan.digests)}
        return await asyncio.to_thread(reduced_documents, plan.before, differing) if differing else frozenset()

    async def _write_in_order(self, plan: TurnPlan, resources: Mapping[Key, Resource]) -> bool:
        first = await self._reducing(plan) - plan.last
        await self._publish(first, plan, resources)
        rest = self._publisher.differing(plan.digests) - first - plan.last
        # Documents of events come first. At least one batch is written: otherwise, while changes come all the time,
        # only reductions would be written.
        order = sorted(rest, key=lambda each: (each not in plan.payloads, each))
        for number, batch in enumerate(batches(order, _AT_ONCE)):
            if number and self._change_waits():
                return False
            await self._publish(batch, plan, resources)
        return True

    async def _complete(self, plan: TurnPlan, resources: Mapping[Key, Resource]) -> bool:
        """Write the last documents of a count if all others are written; return whether they were written.

        The next turn then begins with these documents.
        """
        unwritten = self._publisher.differing(plan.digests)
        if not unwritten or not unwritten <= plan.last:
            return False
        await self._publish(unwritten, plan, resources)
        return True

    async def _publish(self, documents: Collection[str], plan: TurnPlan, resources: Mapping[Key, Resource]) -> None:
        if not documents:
            return
        payloads, changes, removed = await asyncio.to_thread(self._prepare, documents, plan, resources)
        superseded: SupersededError | None = None
        try:
            generations = await self._publisher.write(documents, payloads, removed, plan.documents)
        except SupersededError as error:
            # Other documents were written, and may have removed trust: that needs its proof and its event.
            superseded, generations = error, error.written
        leading = {name: number for name, number in generations.items() if plan.leads(name)}
        copies = {name: number for name, number in generations.items() if name not in leading}
        await self._flow.published(changes, leading, copies)
        if superseded is not None:
            raise superseded

    def _prepare(
        self, documents: Collection[str], plan: TurnPlan, resources: Mapping[Key, Resource]
    ) -> tuple[dict[str, bytes], dict[str, DocumentChanges], dict[str, tuple[Removed, ...]]]:
        """Return the payloads of documents, their changes, and the removals of those that lead; takes long."""
        payloads = {name: plan.payload(name) for name in documents}
        changes = {name: document_changes(plan.before.get(name), plan.documents[name]) for name in documents}
        leading = (name for name in documents if plan.leads(name))
        return payloads, changes, {name: self._flow.removals_in(changes[name], resources) for name in leading}
