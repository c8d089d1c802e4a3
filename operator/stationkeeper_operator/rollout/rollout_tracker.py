"""Follow what is published until every CUPS pod has loaded it, and what the pods saw of gateways. Pure.

The input is what was published and what the pods report; the output is values: whose status may change, and the events
on removed trust. The tracker calls nobody who writes. It computes the part of one status that it knows at the moment at
which that status is compared, so that it does not hold 100,000 statuses.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from stationkeeper_core.published.documents import TRUST, Document, TrustDocument
from stationkeeper_core.published.observation import Observation
from stationkeeper_operator.compiling.retention.document_changes import (
    DocumentChanges,
    document_changes,
    has_left,
    record_key,
    removed_records,
)
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.compiling.world_changes import ResourceChange
from stationkeeper_operator.publishing.removed import Removed
from stationkeeper_operator.resources.fact import NOT_OBSERVED, Fact
from stationkeeper_operator.resources.records import Key, Resource
from stationkeeper_operator.rollout.enforcement import Enforcement, PodReport, ResourceRef, Step
from stationkeeper_operator.rollout.observed_state import ObservedState
from stationkeeper_operator.rollout.removal_events import RemovalEvent, RemovalEvents

_NOT_OBSERVED = Fact("Unknown", NOT_OBSERVED, "the operator has no token to ask the CUPS pods with")


@dataclass(frozen=True)
class RolloutChanges:
    """The result of a round of reports.

    Attributes:
        keys: the resources whose condition `Enforced` changed.
        documents: the documents of which it changed for resources without a change of their own.
        events: the events on removals that are proven now; made as they are read.
    """

    keys: Collection[Key]
    documents: Collection[str]
    events: Iterable[RemovalEvent]


class RolloutTracker:
    """The rollout of one release, as its leader knows it.

    Args:
        current: returns the present resource; None if it no longer exists.
        release_namespace: the namespace whose TrustedCAs may vouch for the Gateways of other namespaces.
        asks: whether the pods are asked for loaded generations.

    Attributes:
        enforcement: the state of the proofs.
        observed: what the pods saw.
    """

    def __init__(self, current: Callable[[Key], Resource | None], release_namespace: str, *, asks: bool) -> None:
        self.enforcement = Enforcement()
        self.observed = ObservedState(current, release_namespace)
        self._removal_events = RemovalEvents(self.observed.usage.users, awaits_proof=asks)
        self._asks = asks
        self._changes: list[DocumentChanges] = []
        self._proven: list[tuple[ResourceRef, Fact]] = []

    @property
    def is_known(self) -> bool:
        """Whether the resources are known."""
        return self.observed.is_known

    @property
    def is_settled(self) -> bool:
        """Whether the pods have loaded everything that this operator published."""
        return self.enforcement.is_settled

    def know(self, changes: Mapping[Key, ResourceChange]) -> None:
        """Take in the resources.

        Args:
            changes: the changes since the last call; at the first call, all resources.
        """
        self.observed.know(changes)

    def begin(self, generations: Mapping[str, int], removed: Mapping[str, Sequence[Removed]] | None = None) -> bool:
        """Take in what is in force before a turn writes.

        Args:
            generations: by document.
            removed: what was taken out of each document, and was not told yet.

        Returns:
            Whether some of it was unknown, so that the pods must be asked at once.
        """
        unknown = self.enforcement.begin(generations)
        for document in unknown:
            for each in (removed or {}).get(document, ()):
                self.enforcement.wait_for_base(self._removal_events.expect(each), document)
        return bool(unknown)

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
        self, before: Mapping[str, Document], after: Mapping[str, Document], generations: Mapping[str, int], now: float
    ) -> Iterator[Key]:
        """Record that documents were written.

        Args:
            before: the earlier contents, by document.
            after: the new contents, by document.
            generations: the generations of the written documents.
            now: the time in monotonic seconds.

        Returns:
            The resources whose status must be written now, because their gateways have a new target; found as they are
            read.
        """
        found = [
            self._expect(Step(document, generation, now), before.get(document), after[document])
            for document, generation in generations.items()
        ]
        self._changes += found
        return self.observed.reconfigured(found)

    def also_published(
        self, before: Mapping[str, Document], after: Mapping[str, Document], generations: Mapping[str, int], now: float
    ) -> None:
        """Record that copies in documents of another count were written; `published` takes in the changes themselves.

        Args:
            before: the contents by document.
            after: likewise.
            generations: of those that were written.
            now: the time in monotonic seconds.
        """
        for document, generation in generations.items():
            self._expect(Step(document, generation, now), before.get(document), after[document])

    def _expect(self, step: Step, before: Document | None, after: Document) -> DocumentChanges:
        changes = document_changes(before, after)
        if self._asks:
            if before is None:
                self.enforcement.replaced(step)
            self.enforcement.published(step, (ResourceRef(record_key(each), each.uid) for each in changes.records))
        return changes

    def lacking(
        self, documents: Collection[str], before: Mapping[str, Document], after: Mapping[str, Document]
    ) -> None:
        """Take in which documents a turn could not write.

        Args:
            documents: their names.
            before: the contents by document that are in force.
            after: the new contents.
        """
        self.enforcement.unwritten = frozenset(documents)
        # A Gateway that moves to another document stays in this one as well.
        self.enforcement.unchanged = {
            ResourceRef(record_key(each), each.uid): document
            for document in documents
            if document in before
            for each in document_changes(before[document], after[document]).removed
        }

    def removals(self, after: Mapping[str, Document], present: Mapping[Key, Resource]) -> Iterator[RemovalEvent]:
        """Yield the events on removed trust since the last call, and on its proofs.

        Args:
            after: the present contents, by document.
            present: all resources.
        """
        trust = after.get(TRUST)
        while self._changes:
            if isinstance(trust, TrustDocument):
                yield from self._removal_events.announce(self._changes[0], trust, present)
            del self._changes[:1]
        proven, self._proven = self._proven, []
        yield from self._removal_events.enforced(proven)

    def reported(self, reports: Sequence[PodReport], now: float) -> RolloutChanges:
        """Take in the reports of all pods that have not ended.

        Args:
            reports: one of each pod.
            now: the time in monotonic seconds.
        """
        outcome = self.enforcement.take_in(reports, now)
        proven = outcome.proven
        if self._changes:
            # The pods were quicker than the turn: the removal is not announced yet.
            self._proven += proven
            proven = ()
        keys = [ref.key for ref in outcome.resources]
        return RolloutChanges(keys, outcome.documents, self._removal_events.enforced(proven))

    def visited(self, instance: str, observations: Iterable[Observation], now: datetime) -> Collection[Key]:
        """Take in what a pod saw; return the resources whose status must be written now.

        Args:
            instance: the name of the pod's process.
            observations: the observations, in any order; one may come twice.
            now: the time, aware; a visit after it is ignored.
        """
        return self.observed.take_in(instance, observations, now)

    def due(self, now: datetime) -> Collection[Key]:
        """Return the resources whose status is old and must be written."""
        return self.observed.due(now)

    def counting(self, now: datetime) -> Iterator[None]:
        """Count the gateways of each TrustedCA again, in steps; see `CertificateUsage.counting`."""
        return self.observed.counting(now)

    def authorities(self) -> Collection[Key]:
        """Return the keys of all TrustedCAs."""
        return self.observed.authorities()

    def enforced(self, resource: Resource, verdict: Verdict) -> Fact:
        """Return the condition `Enforced` of a resource."""
        return self.enforcement.fact(resource, verdict) if self._asks else _NOT_OBSERVED

    def fields(self, resource: Resource) -> Mapping[str, object]:
        """Return the status fields about visits that must be written now; a field that is None is removed."""
        return self.observed.fields(resource)

    def written(self, resource: Resource) -> None:
        """Record that a status was written."""
        self.observed.written(resource)
