"""Follow what is published until every CUPS pod has loaded it, and what the pods saw of gateways. Pure.

The input is what was published and what the pods report; the output is values: whose status may change, and the events
on removed trust. The tracker writes nothing. It computes its part of a status only when that status is compared, so
that it does not hold 100,000 statuses.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from stationkeeper_core.published.documents import TRUST, Document, TrustDocument
from stationkeeper_core.published.observation import Observation
from stationkeeper_operator.compiling.retention.document_changes import (
    DocumentChanges,
    Record,
    is_deleted,
    record_key,
    removed_records,
)
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.compiling.world_changes import ResourceChange
from stationkeeper_operator.publishing.removal_annotation import Removed
from stationkeeper_operator.resources.fact import NOT_OBSERVED, Fact
from stationkeeper_operator.resources.records import Key, Resource
from stationkeeper_operator.rollout.enforcement import Enforcement
from stationkeeper_operator.rollout.observed_state import ObservedState
from stationkeeper_operator.rollout.removal_events import RemovalEvent, RemovalEvents
from stationkeeper_operator.rollout.resource_steps import ResourceRef
from stationkeeper_operator.rollout.step_fact import PodReport, Step

_IN_ONE_STEP = 200
_NOT_OBSERVED = Fact(
    "Unknown",
    NOT_OBSERVED,
    "the operator does not ask the CUPS pods: set --internal-token-file, and internalToken in the chart",
)


@dataclass(frozen=True)
class RolloutChanges:
    """The result of a round of reports.

    Attributes:
        resources: the resources whose condition `Enforced` changed.
        documents: the documents in which it changed for all resources without a change of their own.
        to_check: the names to ask `RolloutTracker.proven` about.
    """

    resources: Collection[ResourceRef]
    documents: Collection[str]
    to_check: Collection[Key]


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
        self._removal_events = RemovalEvents(
            self.observed.usage.users, self.observed.key_of, self.enforcement.waits_for
        )
        self._asks = asks
        self._changes: list[DocumentChanges] = []
        self._proven_early: dict[Key, None] = {}

    @property
    def is_known(self) -> bool:
        """Whether the resources are known."""
        return self.observed.is_known

    @property
    def is_settled(self) -> bool:
        """Whether the pods have loaded everything that this operator published."""
        return self.enforcement.is_settled

    def take_in_resources(self, changes: Mapping[Key, ResourceChange]) -> None:
        """Take in the resources.

        Args:
            changes: the changes since the last call; at the first call, all resources.
        """
        self.observed.take_in_resources(changes)

    def begin_turn(
        self, generations: Mapping[str, int], removed: Mapping[str, Sequence[Removed]] | None = None
    ) -> bool:
        """Take in what is in force before a turn writes.

        Args:
            generations: by document.
            removed: the removals from each document without an event yet.

        Returns:
            Whether some of it was unknown, so that the pods must be asked at once.
        """
        unknown = self.enforcement.begin_turn(generations)
        # Without a token no pod is asked, and nothing is ever proven.
        for document in unknown if self._asks else ():
            for each in (removed or {}).get(document, ()):
                ref = ResourceRef(Key(each.kind, each.namespace, each.name), each.uid)
                self.enforcement.wait_for_base(ref, document)
                self._removal_events.await_proof(ref)
        return bool(unknown)

    def removals_in(self, changes: DocumentChanges, present: Mapping[Key, Resource]) -> tuple[Removed, ...]:
        """Return the removals in a document that need an event after their proof; any thread may call it.

        Args:
            changes: the changes of the document.
            present: all resources.
        """
        if not self._asks:
            return ()
        deleted = (each for each in changes.removed if is_deleted(each, present))
        return tuple(Removed(*record_key(each), each.uid) for each in deleted)

    def published(
        self, changes: Mapping[str, DocumentChanges], generations: Mapping[str, int], now: float
    ) -> Iterator[Collection[Key]]:
        """Record that documents were written, in steps.

        Args:
            changes: the changes, by document.
            generations: the generations of the written documents.
            now: the time in monotonic seconds.

        Yields:
            Of each step, the resources whose status must be written now: their gateways have a new target. The caller
            must take all steps.
        """
        for document, generation in generations.items():
            # Do this before the first step: otherwise a report between two steps could prove a removal before its first
            # event.
            self._changes.append(changes[document])
            for _ in self._add_step(Step(document, generation, now), changes[document]):
                yield ()
            keys = self.observed.reconfigured([changes[document]])
            while batch := list(islice(keys, _IN_ONE_STEP)):
                yield batch
            yield ()

    def published_copies(
        self, changes: Mapping[str, DocumentChanges], generations: Mapping[str, int], now: float
    ) -> Iterator[None]:
        """Record that copies in documents of another count were written; `published` takes in the changes themselves.

        Args:
            changes: the changes, by document.
            generations: the generations of the written documents.
            now: the time in monotonic seconds.

        Yields:
            Between the steps. The caller must take all steps.
        """
        for document, generation in generations.items():
            yield from self._add_step(Step(document, generation, now), changes[document])
            yield

    def _add_step(self, step: Step, changes: DocumentChanges) -> Iterator[None]:
        if not self._asks:
            return
        if not changes.replaces_known:
            self.enforcement.replaced(step)
        yield from self.enforcement.published(step, map(_ref, changes.changed), map(_ref, changes.removed))

    def note_unwritten(
        self, documents: Collection[str], unchanged: Mapping[ResourceRef, str], unknown: Collection[str]
    ) -> None:
        """Record which documents a turn could not write.

        Args:
            documents: their names.
            unchanged: the resources that are still in one of them, as `still_held` returns them.
            unknown: those whose content in force is not known.
        """
        self.enforcement.note_unwritten(frozenset(documents), unchanged, frozenset(unknown))

    def removals(self, after: Mapping[str, Document], present: Mapping[Key, Resource]) -> Iterator[RemovalEvent | None]:
        """Yield the events on removed trust since the last call, and on its proofs; None between the steps.

        Args:
            after: the present contents, by document.
            present: all resources.
        """
        trust = after.get(TRUST)
        while self._changes:
            if isinstance(trust, TrustDocument):
                yield from self._removal_events.announce(self._changes[0], trust, present)
            del self._changes[:1]
            yield None
        early, self._proven_early = self._proven_early, {}
        keys = iter(early)
        while batch := list(islice(keys, _IN_ONE_STEP)):
            # Since then, a write may have failed, and pods of another count may have to load its copy.
            yield from self._end(self.enforcement.proven(batch))
            yield None

    def reported(self, reports: Sequence[PodReport], now: float) -> RolloutChanges:
        """Take in the reports of all pods that have not ended.

        Args:
            reports: one of each pod.
            now: the time in monotonic seconds.
        """
        outcome = self.enforcement.take_in(reports, now)
        return RolloutChanges(outcome.resources, outcome.documents, outcome.to_check)

    def proven(self, keys: Iterable[Key]) -> Iterator[RemovalEvent]:
        """Yield the events on the removed resources of these names that every pod has loaded by now."""
        proven = self.enforcement.proven(keys)
        if self._changes:
            # The pods were quicker than the turn: the removal has no first event yet.
            self._proven_early.update(dict.fromkeys(ref.key for ref, _ in proven))
        else:
            yield from self._end(proven)

    def _end(self, proven: Sequence[tuple[ResourceRef, Fact]]) -> Iterator[RemovalEvent]:
        self.enforcement.note_told(ref for ref, _ in proven)
        yield from self._removal_events.enforced(proven)

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


def still_held(
    documents: Iterable[str], before: Mapping[str, Document], after: Mapping[str, Document]
) -> Mapping[ResourceRef, str]:
    """Return the resources that are still in a document and must leave it, each with the name of one such document.

    Args:
        documents: the names of the documents that could not be written.
        before: the contents in force, by document.
        after: the new contents, by document.
    """
    # A Gateway that moves to another document stays in this one as well.
    return {
        _ref(each): document
        for document in documents
        if document in before
        for each in removed_records(before[document], after[document])
    }


def _ref(record: Record) -> ResourceRef:
    return ResourceRef(record_key(record), record.uid)
