"""The condition `Enforced`: whether every CUPS pod that may serve has loaded what was published. Pure; time passed in.

A step is a generation of a document with the resources whose records it changed. A resource is enforced when every
ready pod reports the generation of its last step, or a later one. Every other pod that answers must report it too,
because it may still serve connected gateways; a pod that is not ready and does not answer is only named. CUPS never
goes back to an older generation. So a proof stays valid while a pod cannot be reached; only a report of an older
generation ends it. A resource without a step has not changed since this operator began to lead. Until the pods have
reported, its status counts: the earlier operator may have published more than it could prove.

While the count of registry documents changes, a resource has a step in each count. For each pod, the step of the count
that it loads matters. Counts that no pod loads do not matter.

A Gateway whose EUI changes has a step in its old document and in its new one. If an earlier operator wrote that change,
the old document is not known. So a Gateway whose status does not yet say that its present spec is enforced waits for
all documents as they were when this operator began to lead.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import TRUST, secret_name
from stationkeeper_core.published.registry_layout import place_of
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.resources.fact import ENFORCED, NOT_PUBLISHED, Fact
from stationkeeper_operator.resources.records import GATEWAY, Key, Resource, TrustedCA
from stationkeeper_operator.rollout.resource_steps import ResourceRef, ResourceSteps
from stationkeeper_operator.rollout.step_fact import PENDING, POD_UNREACHABLE, WAITING, PodReport, Step, step_fact

NOT_ACCEPTED = "NotAccepted"

_MAX_PROVEN = 1000
_IN_ONE_STEP = 1000
_TRUE, _FALSE, _UNKNOWN = "True", "False", "Unknown"


_NO_STEP = Step("", 0)
_INTENDED_REMOVALS = frozenset({Reason.SUSPENDED, Reason.BEING_DELETED})


@dataclass(frozen=True)
class Outcome:
    """The result of a round.

    Attributes:
        resources: the resources whose condition changed.
        documents: the documents in which the condition of all resources without a step changed.
        to_check: the resources to ask `Enforcement.proven` about: every ready pod may have loaded them now.
    """

    resources: Collection[ResourceRef] = ()
    documents: Collection[str] = ()
    to_check: Collection[ResourceRef] = ()


class Enforcement:
    """The enforcement of one release, as its leader knows it."""

    def __init__(self) -> None:
        self._base: dict[str, Step] = {}
        self._latest: dict[str, int] = {}
        self._steps = ResourceSteps()
        self._resources: dict[Step, set[ResourceRef]] = {}
        self._facts: dict[Step, Fact] = {}
        self._read: frozenset[int] = frozenset()
        self._served: frozenset[int] = frozenset()
        self._unloaded: list[Step] | None = None
        self._had_unloaded = False  # Whether a condition or proof since the last round waited for one of them.
        # No report proves these yet: their resources are still being added, or a turn must still name its resources.
        self._open: set[Step] = set()
        self._last_unwritten: tuple[Collection[str], Mapping[ResourceRef, str]] = ((), {})
        self._unwritten: Collection[str] = ()
        self._unchanged: Mapping[ResourceRef, str] = {}
        self._unchanged_keys: frozenset[Key] = frozenset()
        self._unknown: Collection[str] = ()

    @property
    def is_settled(self) -> bool:
        """Whether the pods have loaded everything that this operator published."""
        return all(
            self._facts.get(step, WAITING).status == _TRUE for step in self._resources if self._is_read(step.document)
        )

    def begin_turn(self, generations: Mapping[str, int]) -> Collection[str]:
        """Take in the generations in force.

        A generation may be unknown to `published`: at the start, after a write without an answer, or if another program
        wrote an older document. Then all resources of that document wait until the pods have loaded it.

        Returns:
            The documents with such a generation.
        """
        unknown = {name: number for name, number in generations.items() if number != self._latest.get(name)}
        for document, generation in unknown.items():
            # A restored Secret may have an earlier resource of the same name. At the start, no verdict is shown yet.
            if document in self._latest:
                self._open.add(Step(document, generation))
            self._replace_base(Step(document, generation))
        return unknown.keys()

    def wait_for_base(self, ref: ResourceRef, document: str) -> None:
        """Make a resource wait until the pods have loaded a document as this operator first read it."""
        self._open.add(self._base[document])
        self._attach(ref, self._base[document])

    def replaced(self, step: Step) -> None:
        """Record that a document was written and that its earlier content is not known, for example because of damage.

        So the changed records are not known either, and the step counts for all resources of the document, including
        those that it no longer has.
        """
        self._replace_base(step)

    def _replace_base(self, step: Step) -> None:
        waiting = [each for each in self._resources if each.document == step.document]
        resources = [ref for each in waiting for ref in self._resources[each]]
        for ref in resources:
            self._drop(ref, step.document)
        self._facts.pop(self._base.get(step.document, _NO_STEP), None)
        self._base[step.document] = step
        self._latest[step.document] = step.generation
        self._unloaded = None
        for ref in resources:
            self._attach(ref, step)

    def published(self, step: Step, resources: Iterable[ResourceRef]) -> Iterator[None]:
        """Record that a document was written, and the resources whose records it changed.

        Yields:
            None, between parts of the work. The caller must take all of them; before that, no report proves the step.
        """
        self._base.setdefault(step.document, step)
        self._latest[step.document] = step.generation
        self._unloaded = None
        self._open.add(step)
        for number, ref in enumerate(resources, start=1):
            self._attach(ref, step)
            if number % _IN_ONE_STEP == 0:
                yield
        self._open.discard(step)

    def _attach(self, ref: ResourceRef, step: Step) -> None:
        self._drop(ref, step.document)
        self._steps.attach(ref, step)
        self._resources.setdefault(step, set()).add(ref)

    def note_unwritten(
        self, documents: Collection[str], unchanged: Mapping[ResourceRef, str], unknown: Collection[str] = ()
    ) -> None:
        """End a turn: record which documents it could not write.

        Args:
            documents: their names.
            unchanged: the resources that must still leave one of these documents, with its name.
            unknown: those whose content in force is not known. A Gateway whose EUI changed, or that was made again, may
                still be in one of them.
        """
        self._unwritten, self._unchanged, self._unknown = documents, unchanged, unknown
        self._unchanged_keys = frozenset(ref.key for ref in unchanged)
        self._open.clear()
        self._unloaded = None

    def take_in(self, pods: Sequence[PodReport], now: float) -> Outcome:
        """Take in the reports of all pods.

        Args:
            pods: the reports of all pods that have not ended.
            now: the time in monotonic seconds.
        """
        self._drop_oldest_proven()
        before, last_unwritten = (self._read, self._served), self._last_unwritten
        self._last_unwritten = self._unwritten, self._unchanged
        self._read = frozenset(pod.buckets for pod in pods)
        self._served = frozenset(pod.buckets for pod in pods if pod.ready)
        changed: list[Step] = []
        for step in dict.fromkeys((*self._resources, *self._base.values())):
            if step in self._open:
                continue
            earlier = self._facts.get(step)
            loading = [pod for pod in pods if _count(step.document) in {0, pod.buckets}]
            fact = step_fact(step, self._latest.get(step.document, 0), loading, now)
            if earlier is not None and earlier.status == _TRUE and fact.status != _FALSE:
                continue
            if fact != earlier:
                self._facts[step] = fact
                changed.append(step)
        had_unloaded, self._had_unloaded, self._unloaded = self._had_unloaded, False, None
        resources = [ref for step in changed for ref in self._resources.get(step, ())]
        resources += self._written_since(*last_unwritten)
        documents = [step.document for step in changed if step in self._base.values()]
        # A proof waits for the steps of all resources of one name.
        to_check: Collection[ResourceRef] = [each for ref in resources for each in self._steps.of_one_name(ref.key)]
        # The condition of each resource depends on the counts that pods read, and on whether all bases are loaded.
        if (had_unloaded and not self._unloaded_bases) or before != (self._read, self._served):
            to_check, documents = list(self._steps), list(self._base)
        elif last_unwritten != self._last_unwritten:
            to_check = list(self._steps)
        return Outcome(resources, documents, to_check)

    def _written_since(self, unwritten: Collection[str], unchanged: Mapping[ResourceRef, str]) -> Iterator[ResourceRef]:
        """Yield the resources whose condition waited for a document that is not unwritten any more.

        A person may have restored its Secret, so that no publish changes the condition.
        """
        yield from (ref for ref in unchanged if ref not in self._unchanged)
        written = frozenset(unwritten).difference(self._unwritten)
        if written:
            yield from (ref for ref in self._steps if not written.isdisjoint(self._steps.of(ref)))

    def proven(self, refs: Iterable[ResourceRef]) -> list[tuple[ResourceRef, Fact]]:
        """Return the resources that every ready pod has loaded by now, each once, with its condition."""
        facts = ((ref, self._proven(ref)) for ref in dict.fromkeys(refs))
        return [(ref, fact) for ref, fact in facts if fact is not None]

    def fact(self, resource: Resource, verdict: Verdict) -> Fact:
        """Return the condition `Enforced` of `resource`."""
        documents = self._documents_of(resource, verdict)
        if not documents or (verdict.document is None and verdict.reason not in _INTENDED_REMOVALS):
            return Fact(_FALSE, NOT_PUBLISHED, "nothing of it is published")
        unwritten = next(
            (each for each in documents if each in self._unwritten), self._unwritten_elsewhere(documents)
        ) or self._unchanged.get(ResourceRef(resource.key, resource.metadata.uid), "")
        if unwritten:
            return Fact(_FALSE, PENDING, f"Secret {secret_name(unwritten)} is not written yet")
        if verdict.document not in {None, TRUST} and self._served - {_count(each) for each in documents}:
            return Fact(
                _FALSE, PENDING, "some pods read another count of registry Secrets, and it is not published there"
            )
        facts = [self._loaded(resource, each) for each in documents]
        if TRUST not in documents and _present(resource) is None:
            facts += [self._facts.get(step) or _waiting_for(step) for step in self._unloaded_bases[:1]]
        fact = next((each for status in (_FALSE, _UNKNOWN) for each in facts if each.status == status), facts[0])
        if fact.status == _TRUE and not verdict.accepted and verdict.reason not in _INTENDED_REMOVALS:
            return Fact(_FALSE, NOT_ACCEPTED, f"the spec is not accepted; its part in force is {fact.message}")
        return fact

    def _documents_of(self, resource: Resource, verdict: Verdict) -> list[str]:
        """Return the documents that pods load and that hold `resource`, or held it before its removal."""
        if isinstance(resource, TrustedCA):
            return [TRUST]
        own = self._steps.of(ResourceRef(resource.key, resource.metadata.uid))
        published = [verdict.document, *verdict.copies] if verdict.document is not None else []
        documents = list(dict.fromkeys([*published, *own, *self._steps.of_name(resource.key)]))
        return [each for each in documents if self._is_read(each)] or documents[:1]

    @property
    def _unloaded_bases(self) -> list[Step]:
        """The registry documents, as this operator first read them or must make them, that not every pod has loaded."""
        if self._unloaded is None:
            registry = (step for document, step in self._base.items() if document != TRUST and self._is_read(document))
            self._unloaded = [step for step in registry if self._facts.get(step, WAITING).status != _TRUE]
            self._unloaded += [Step(each, 0) for each in self._unknown if each != TRUST and self._is_read(each)]
            self._had_unloaded = self._had_unloaded or bool(self._unloaded)
        return self._unloaded

    def _unwritten_elsewhere(self, documents: Collection[str]) -> str:
        """Return an unwritten document of a count that pods read and that `documents` lacks; empty if there is none."""
        counts = self._read - {_count(each) for each in documents}
        is_trust = TRUST in documents
        return "" if is_trust else next((each for each in sorted(self._unwritten) if _count(each) in counts), "")

    def _proven(self, ref: ResourceRef) -> Fact | None:
        """Return the condition of a resource that every pod has loaded; None if one has not.

        It waits for the steps of all resources of this name. A person may have restored an old Secret that has an
        earlier one.
        """
        steps = self._steps.of_name(ref.key) if self._steps.of(ref) else {}
        read = [step for step in steps.values() if self._is_read(step.document)]
        if steps and not read:
            return Fact(_TRUE, ENFORCED, "loaded by every ready CUPS pod: no pod reads a document that had it any more")
        facts = [self._facts.get(step, WAITING) for step in read]
        if not facts or any(fact.status != _TRUE for fact in facts) or ref.key in self._unchanged_keys:
            return None
        if ref.key.kind == GATEWAY and self._unloaded_bases:
            return None
        return None if self._unwritten_elsewhere([step.document for step in read]) else facts[0]

    def _is_read(self, document: str) -> bool:
        """Return whether a pod loads the document; always true if there is no pod."""
        return not self._read or _count(document) in {0, *self._read}

    def _loaded(self, resource: Resource, document: str) -> Fact:
        """Return whether the pods have loaded the part of `resource` that is in force."""
        step = self._steps.of_name(resource.key).get(document) or self._base.get(document)
        fact = self._facts.get(step) if step is not None else None
        present = _present(resource)
        is_unproven = fact is not None and (fact.status == _FALSE or fact.reason == POD_UNREACHABLE)
        if present is not None and (step is None or step.since is None) and not is_unproven:
            return present
        return fact or WAITING

    def _drop(self, ref: ResourceRef, document: str) -> None:
        step = self._steps.drop(ref, document)
        if step is None:
            return
        self._resources[step].discard(ref)
        if not self._resources[step]:
            del self._resources[step]
            if step not in self._base.values():
                self._facts.pop(step, None)

    def _drop_oldest_proven(self) -> None:
        """Drop the oldest proven steps; the statuses have shown them as enforced for a long time."""
        proven = [step for step in self._resources if self._facts.get(step, WAITING).status == _TRUE]
        for step in proven[: max(0, len(proven) - _MAX_PROVEN)]:
            for ref in tuple(self._resources[step]):
                self._drop(ref, step.document)


def _waiting_for(step: Step) -> Fact:
    return (
        WAITING if step.generation else Fact(_FALSE, PENDING, f"Secret {secret_name(step.document)} is not written yet")
    )


def _count(document: str) -> int:
    """Return the count of registry documents that it belongs to; 0 for the trust document."""
    place = place_of(document)
    return place[0] if place is not None else 0


def _present(resource: Resource) -> Fact | None:
    """Return the condition in the present status, if it is `True` for the present generation; else None."""
    for each in resource.status.conditions:
        if each.type == ENFORCED and each.status == _TRUE and each.observed_generation == resource.metadata.generation:
            return Fact(_TRUE, each.reason, each.message)
    return None
