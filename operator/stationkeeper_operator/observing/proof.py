"""Follow each publish until every CUPS pod has loaded it; update statuses and record events."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from stationkeeper_core.published.documents import TRUST, Document, TrustDocument
from stationkeeper_operator.compiling.retention.document_changes import (
    DocumentChanges,
    document_changes,
    has_left,
    record_key,
    removed_records,
)
from stationkeeper_operator.observing.enforcement import Enforcement, PodReport, ResourceRef, Step
from stationkeeper_operator.observing.removal_events import RemovalEvents
from stationkeeper_operator.publishing.removed import Removed
from stationkeeper_operator.reporting.conditions import Fact
from stationkeeper_operator.reporting.status_writer import StatusWriter
from stationkeeper_operator.resources.records import Key, Resource

QUICK_SECONDS = 0.2
HURRY_SECONDS = 10.0


class Proof:
    """The proof of one release.

    Args:
        enforcement: the state of the proofs.
        removal_events: records events on removed trust.
        status: is told which conditions change.
        asks: whether the pods are asked for loaded generations.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        enforcement: Enforcement,
        removal_events: RemovalEvents,
        status: StatusWriter,
        *,
        asks: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._enforcement = enforcement
        self._removal_events = removal_events
        self._status = status
        self._asks = asks
        self._clock = clock
        self._wake = asyncio.Event()
        self._hurry_until = float("-inf")
        self._changes: list[DocumentChanges] = []
        self._proven: list[tuple[ResourceRef, Fact]] = []

    def begin(self, generations: Mapping[str, int], removed: Mapping[str, Sequence[Removed]] | None = None) -> None:
        """Take in what is in force before a turn writes.

        Args:
            generations: by document.
            removed: what was taken out of each document, and was not told yet.
        """
        unknown = self._enforcement.begin(generations)
        for document in unknown:
            for each in (removed or {}).get(document, ()):
                self._enforcement.wait_for_base(self._removal_events.expect(each), document)
        if unknown:
            self._wake.set()

    def leaving(self, before: Document | None, after: Document, present: Mapping[Key, Resource]) -> tuple[Removed, ...]:
        """Return the removals in a written document that need an event after their proof.

        Args:
            before: what is in force.
            after: what is written.
            present: all resources.
        """
        if not self._asks:
            return ()
        gone = (each for each in removed_records(before, after) if has_left(each, present))
        return tuple(Removed(*record_key(each), each.uid) for each in gone)

    def published(
        self, before: Mapping[str, Document], after: Mapping[str, Document], generations: Mapping[str, int]
    ) -> Sequence[DocumentChanges]:
        """Take in that documents were written.

        Args:
            before: the earlier contents, by document.
            after: the new contents, by document.
            generations: the generations of the written documents.

        Returns:
            The changes of each document.
        """
        now, found = self._clock(), list[DocumentChanges]()
        for document, generation in generations.items():
            changes = document_changes(before.get(document), after[document])
            found.append(changes)
            self._expect(Step(document, generation, now), changes, is_known=document in before)
        self._changes += found
        if generations:
            self._hurry_until = now + HURRY_SECONDS
            self._wake.set()
        return found

    def also_published(
        self, before: Mapping[str, Document], after: Mapping[str, Document], generations: Mapping[str, int]
    ) -> None:
        """Take in that copies in documents of another count were written; `published` reports the changes themselves.

        Args:
            before: the contents by document.
            after: likewise.
            generations: of those that were written.
        """
        for document, generation in generations.items():
            changes = document_changes(before.get(document), after[document])
            self._expect(Step(document, generation, self._clock()), changes, is_known=document in before)
        if generations:
            self._hurry_until = self._clock() + HURRY_SECONDS
            self._wake.set()

    def _expect(self, step: Step, changes: DocumentChanges, *, is_known: bool) -> None:
        if not self._asks:
            return
        if not is_known:
            self._enforcement.replaced(step)
        self._enforcement.published(step, (ResourceRef(record_key(each), each.uid) for each in changes.records))

    def lacking(
        self, documents: Collection[str], before: Mapping[str, Document], after: Mapping[str, Document]
    ) -> None:
        """Take in which documents a turn could not write.

        Args:
            documents: their names.
            before: the contents by document that are in force.
            after: the new contents.
        """
        self._enforcement.unwritten = frozenset(documents)
        # A Gateway that moves to another document stays in this one as well.
        self._enforcement.unchanged = {
            ResourceRef(record_key(each), each.uid): document
            for document in documents
            if document in before
            for each in document_changes(before[document], after[document]).removed
        }

    def tell(self, after: Mapping[str, Document], present: Mapping[Key, Resource]) -> None:
        """Record events on removed trust since the last call, and on its proofs.

        Args:
            after: the present contents, by document.
            present: all resources.
        """
        trust = after.get(TRUST)
        while self._changes:
            if isinstance(trust, TrustDocument):
                self._removal_events.announce(self._changes[0], trust, present)
            del self._changes[:1]
        proven, self._proven = self._proven, []
        self._removal_events.enforced(proven)

    async def due(self, pace: float) -> None:
        """Wait until the pods must be asked: at once after a publish, then often, later every `pace` seconds."""
        hurries = self._clock() < self._hurry_until and not self._enforcement.is_settled
        with contextlib.suppress(TimeoutError):
            # `asyncio.wait_for` of Python 3.11 forgets a cancellation that comes with the end of what it waits for.
            async with asyncio.timeout(QUICK_SECONDS if hurries else pace):
                await self._wake.wait()
        self._wake.clear()

    def take_in(self, reports: Sequence[PodReport]) -> None:
        """Take in the reports of the pods."""
        outcome = self._enforcement.take_in(reports, self._clock())
        self._status.recheck(ref.key for ref in outcome.resources)
        if outcome.documents:
            self._status.look_again_at(outcome.documents)
        if self._changes:
            # The pods were quicker than the turn: the removal is not announced yet.
            self._proven += outcome.proven
        else:
            self._removal_events.enforced(outcome.proven)
