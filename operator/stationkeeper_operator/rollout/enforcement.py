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
from itertools import chain

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import TRUST, secret_name
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.resources.fact import ENFORCED, NOT_PUBLISHED, Fact
from stationkeeper_operator.resources.records import GATEWAY, Key, Resource, TrustedCA
from stationkeeper_operator.rollout.resource_steps import ResourceRef, ResourceSteps
from stationkeeper_operator.rollout.step_fact import (
    PENDING,
    POD_UNREACHABLE,
    WAITING,
    Generations,
    PodReport,
    Step,
    count_of,
    step_fact,
)
from stationkeeper_operator.rollout.unwritten import Unwritten

NOT_ACCEPTED = "NotAccepted"

_MAX_PROVEN = 1000
_MAX_WAITING, _MAX_WAITING_TOGETHER = 32, 2048
"""The maximum number of steps that wait for the pods: of one document, and about that of all."""
_MANY = 2000
"""The number of resources from which all names are checked, instead of a list of theirs."""
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
        to_check: the names to ask `Enforcement.proven` about: every ready pod may have loaded them now.
    """

    resources: Collection[ResourceRef] = ()
    documents: Collection[str] = ()
    to_check: Collection[Key] = ()


class Enforcement:
    """The enforcement of one release, as its leader knows it."""

    def __init__(self) -> None:
        self._base: dict[str, Step] = {}
        self._known: dict[str, Generations] = {}
        self._steps = ResourceSteps()
        self._facts: dict[Step, Fact] = {}
        self._read: frozenset[int] = frozenset()
        self._served: frozenset[int] = frozenset()
        self._unloaded: list[Step] | None = None
        self._had_unloaded = False  # Whether a condition or proof since the last round waited for one of them.
        # No report proves these yet: their resources are still being added, or a turn must still name its resources.
        self._open: set[Step] = set()
        self._unwritten = Unwritten()

    @property
    def is_settled(self) -> bool:
        """Whether the pods have loaded everything that this operator published."""
        return all(
            self._facts.get(step, WAITING).status == _TRUE for step in self._steps.steps if self._is_read(step.document)
        )

    def begin_turn(self, generations: Mapping[str, int]) -> Collection[str]:
        """Take in the generations in force.

        A generation may be unknown to `published`: at the start, after a write without an answer, or if another program
        wrote an older document. Then all resources of that document wait until the pods have loaded it.

        Returns:
            The documents with such a generation.
        """
        unknown = {name: number for name, number in generations.items() if number != self._latest(name)}
        for document, generation in unknown.items():
            # A restored Secret may have an earlier resource of the same name. At the start, no verdict is shown yet.
            if document in self._known:
                self._open.add(Step(document, generation))
            self._replace_base(Step(document, generation))
        return unknown.keys()

    def wait_for_base(self, ref: ResourceRef, document: str) -> None:
        """Make a resource wait until the pods have loaded a document as this operator first read it."""
        self._open.add(self._base[document])
        self._steps.attach_removed(ref, self._base[document])

    def _latest(self, document: str) -> int | None:
        known = self._known.get(document)
        return known.latest if known is not None else None

    def waits_for(self, ref: ResourceRef) -> bool:
        """Return whether a resource has a step of its own, which `proven` returns when all pods have loaded it."""
        return bool(self._steps.of(ref))

    def replaced(self, step: Step) -> None:
        """Record that a document was written and that its earlier content is not known, for example because of damage.

        So the changed records are not known either, and the step counts for all resources of the document, including
        those that it no longer has.
        """
        self._replace_base(step)

    def _replace_base(self, step: Step) -> None:
        self._facts.pop(self._base.get(step.document, _NO_STEP), None)
        self._base[step.document] = step
        self._known[step.document] = Generations(step.generation)
        self._unloaded = None
        for each in [each for each in self._steps.steps if each.document == step.document and each != step]:
            for ref in tuple(self._steps.refs(each)):
                self._steps.replace(ref, step)

    def published(
        self, step: Step, changed: Iterable[ResourceRef], removed: Iterable[ResourceRef] = ()
    ) -> Iterator[None]:
        """Record that a document was written.

        Args:
            step: the document and its generation.
            changed: the resources whose records are new or have changed.
            removed: the resources whose records were removed.

        Yields:
            None, between parts of the work. The caller must take all of them; before that, no report proves the step.
        """
        self._base.setdefault(step.document, step)
        # Before the first publish of a new document, no generation of it was found.
        self._known[step.document] = self._known.get(step.document, Generations(0, range(0))).followed_by(
            step.generation
        )
        self._unloaded = None
        self._open.add(step)
        attaching = chain(
            ((self._steps.attach, ref) for ref in changed), ((self._steps.attach_removed, ref) for ref in removed)
        )
        for number, (attach, ref) in enumerate(attaching, start=1):
            attach(ref, step)
            if number % _IN_ONE_STEP == 0:
                yield
        self._open.discard(step)
        yield from self._merge_oldest(step.document)

    def _merge_oldest(self, document: str) -> Iterator[None]:
        """Let resources wait for a later step of a document if too many of its steps wait for the pods.

        A pod may be unreachable for days, and each round looks at each step. A later step is proven later or together.
        """
        steps = [each for each in self._steps.steps if each.document == document]
        waiting = [each for each in steps if self._facts.get(each, WAITING).status != _TRUE]
        limit = max(2, min(_MAX_WAITING, _MAX_WAITING_TOGETHER // len(self._base)))
        if len(waiting) <= limit:
            return
        *older, last = waiting[: -limit // 2]
        for number, (step, ref) in enumerate(
            [(each, ref) for each in older for ref in self._steps.refs(each)], start=1
        ):
            # A resource may have got a later step, or was forgotten, since the list was made.
            if self._steps.of(ref).get(document) == step:
                self._steps.replace(ref, last)
            if number % _IN_ONE_STEP == 0:
                yield

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
        self._unwritten.note(documents, unchanged, unknown)
        self._open.clear()
        self._unloaded = None

    def take_in(self, pods: Sequence[PodReport], now: float) -> Outcome:
        """Take in the reports of all pods.

        Args:
            pods: the reports of all pods that have not ended.
            now: the time in monotonic seconds.
        """
        self._drop_oldest_proven()
        before = self._read, self._served
        was_noted = self._unwritten.take_noted()
        self._read = frozenset(pod.buckets for pod in pods)
        self._served = frozenset(pod.buckets for pod in pods if pod.ready)
        changed, proofs = self._compare_steps(pods, now)
        had_unloaded, self._had_unloaded, self._unloaded = self._had_unloaded, False, None
        resources = [ref for step in changed for ref in self._steps.refs(step)]
        if was_noted:
            resources += self._unwritten.written_since()
        documents = [step.document for step in changed if step == self._base.get(step.document)]
        # The condition of each resource depends on the counts that pods read, and on whether all bases are loaded.
        depends = before != (self._read, self._served) or (had_unloaded and not self._unloaded_bases)
        if depends or any(self._steps.is_in_common(step) for step in proofs):
            return Outcome(resources, list(self._base), self._steps.keys)
        provable = [self._steps.refs(step) for step in proofs]
        # It takes longer to collect the names of very many resources than to check all names.
        if was_noted or sum(map(len, provable)) > _MANY:
            return Outcome(resources, documents, self._steps.keys)
        return Outcome(resources, documents, list(dict.fromkeys(ref.key for ref in chain(*provable))))

    def _compare_steps(self, pods: Sequence[PodReport], now: float) -> tuple[list[Step], list[Step]]:
        """Return the steps whose facts changed, and those of them that are proven now or were proven before."""
        changed: list[Step] = []
        proofs: list[Step] = []
        steps = dict.fromkeys((*self._steps.steps, *self._base.values()))
        self._facts = {step: fact for step, fact in self._facts.items() if step in steps}
        loading: dict[str, Sequence[PodReport]] = {}
        for step in steps:
            if step in self._open:
                continue
            earlier = self._facts.get(step)
            if step.document not in loading:
                count = count_of(step.document)
                loading[step.document] = [pod for pod in pods if count in {0, pod.buckets}]
            fact = step_fact(step, self._known.get(step.document, Generations(0)), loading[step.document], now)
            if earlier is not None and earlier.status == _TRUE and fact.status != _FALSE:
                continue
            if fact != earlier:
                self._facts[step] = fact
                changed.append(step)
                if fact.status == _TRUE or (earlier is not None and earlier.status == _TRUE):
                    proofs.append(step)
        return changed, proofs

    def proven(self, keys: Iterable[Key]) -> list[tuple[ResourceRef, Fact]]:
        """Return the resources of these names that every ready pod has loaded by now, each once, with its condition."""
        facts = ((key, self._proven(key, self._steps.of_name(key))) for key in dict.fromkeys(keys))
        return [(ref, fact) for key, fact in facts if fact is not None for ref in self._steps.of_one_name(key)]

    def note_told(self, refs: Iterable[ResourceRef]) -> None:
        """Record that the proof of these resources has its event, so that removed ones may be forgotten."""
        for ref in refs:
            self._steps.note_told(ref)

    def fact(self, resource: Resource, verdict: Verdict) -> Fact:
        """Return the condition `Enforced` of `resource`."""
        documents = self._documents_of(resource, verdict)
        if not documents or (verdict.document is None and verdict.reason not in _INTENDED_REMOVALS):
            return Fact(_FALSE, NOT_PUBLISHED, "nothing of it is published")
        ref = ResourceRef(resource.key, resource.metadata.uid)
        unwritten = self._unwritten.shown_for(ref, documents, self._read)
        if unwritten:
            return Fact(_FALSE, PENDING, f"Secret {secret_name(unwritten)} is not written yet")
        if verdict.document not in {None, TRUST} and self._served - {count_of(each) for each in documents}:
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
            self._unloaded += [
                Step(each, 0) for each in self._unwritten.unknown if each != TRUST and self._is_read(each)
            ]
            self._had_unloaded = self._had_unloaded or bool(self._unloaded)
        return self._unloaded

    def _proven(self, key: Key, steps: Mapping[str, Step]) -> Fact | None:
        """Return the condition of the resources of a name that every pod has loaded; None if one has not.

        Args:
            key: the name.
            steps: the steps of all resources of this name. A person may have restored an old Secret that has an earlier
                one.
        """
        read = [step for step in steps.values() if self._is_read(step.document)]
        if not read:
            return Fact(_TRUE, ENFORCED, "loaded by every ready CUPS pod: no pod reads a document that had it any more")
        facts = [self._facts.get(step, WAITING) for step in read]
        if any(fact.status != _TRUE for fact in facts) or self._unwritten.must_leave(key):
            return None
        if key.kind == GATEWAY and self._unloaded_bases:
            return None
        return None if self._unwritten.elsewhere([step.document for step in read], self._read) else facts[0]

    def _is_read(self, document: str) -> bool:
        """Return whether a pod loads the document; always true if there is no pod."""
        return not self._read or count_of(document) in {0, *self._read}

    def _loaded(self, resource: Resource, document: str) -> Fact:
        """Return whether the pods have loaded the part of `resource` that is in force."""
        step = self._steps.of_name(resource.key).get(document) or self._base.get(document)
        fact = self._facts.get(step) if step is not None else None
        present = _present(resource)
        is_unproven = fact is not None and (fact.status == _FALSE or fact.reason == POD_UNREACHABLE)
        if present is not None and (step is None or step.since is None) and not is_unproven:
            return present
        return fact or WAITING

    def _drop_oldest_proven(self) -> None:
        """Drop the oldest proven steps; the statuses have shown them as enforced for a long time."""
        proven = [step for step in self._steps.steps if self._facts.get(step, WAITING).status == _TRUE]
        latest = {step.document: step for step in sorted(proven, key=lambda each: each.generation)}
        for step in proven[: max(0, len(proven) - _MAX_PROVEN)]:
            for ref in tuple(self._steps.refs(step)):
                if self._steps.awaits_event(ref):
                    # It waits for another document as well.
                    self._steps.replace(ref, latest[step.document])
                else:
                    self._steps.drop(ref, step.document)
            self._raise_base(step)

    def _raise_base(self, step: Step) -> None:
        """Let the resources without a step wait for a proven one: a pod may come back with an older generation."""
        base = self._base[step.document]
        if base.generation < step.generation:
            raised = self._base[step.document] = Step(step.document, step.generation)
            # The message stays the same: otherwise the status of each resource would be written again.
            earlier = self._facts.get(base, WAITING)
            self._facts[raised] = earlier if earlier.status == _TRUE else self._facts[step]


def _waiting_for(step: Step) -> Fact:
    return (
        WAITING if step.generation else Fact(_FALSE, PENDING, f"Secret {secret_name(step.document)} is not written yet")
    )


def _present(resource: Resource) -> Fact | None:
    """Return the condition in the present status, if it is `True` for the present generation; else None."""
    for each in resource.status.conditions:
        if each.type == ENFORCED and each.status == _TRUE and each.observed_generation == resource.metadata.generation:
            return Fact(_TRUE, each.reason, each.message)
    return None
