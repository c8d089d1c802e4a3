"""Enforcement against a model that keeps every step for ever and compares each of them with each pod."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.published.documents import TRUST
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.resources.fact import Fact
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA, Key, Resource, decode_resource
from stationkeeper_operator.rollout import enforcement as module
from stationkeeper_operator.rollout.enforcement import Enforcement, Outcome
from stationkeeper_operator.rollout.resource_steps import ResourceRef, ResourceSteps
from stationkeeper_operator.rollout.step_fact import PodReport, Step
from tests.examples import examples
from tests.operator.resource_building import metadata

HERE, THERE = "registry-00", "registry-01"
DOCUMENTS = (TRUST, HERE, THERE)
PODS = ("cups-0", "cups-1")

writes = st.tuples(
    st.sampled_from(DOCUMENTS), st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from("12"), st.booleans()
)
publishes = st.tuples(st.just("publish"), st.lists(writes, min_size=1, max_size=4))
restores = st.tuples(st.just("restore"), st.sampled_from(DOCUMENTS))
loads = st.tuples(st.just("load"), st.sampled_from(PODS), st.sampled_from(DOCUMENTS))
reports = st.tuples(st.just("report"), st.sets(st.sampled_from(PODS)), st.sets(st.sampled_from(PODS)))
ends = st.tuples(st.just("end"), st.sets(st.sampled_from(DOCUMENTS), max_size=1))
operations = st.lists(
    st.one_of(publishes, publishes, restores, loads, loads, reports, ends, ends, st.just(("compare",))), max_size=40
)


def resource(kind: str, namespace: str, name: str) -> Resource:
    return decode_resource(kind, {"metadata": {**metadata(name, namespace), "uid": "1"}})


PRESENT = [
    (resource(kind, "a", name), Verdict(True, "Accepted", "fine", document))
    for kind, document in ((TRUSTED_CA, TRUST), (GATEWAY, HERE))
    for name in ("x", "never-published")
]


class Model:
    """The pods' documents, for each name every generation that it ever had to wait for, and the shown conditions."""

    def __init__(self) -> None:
        self.enforcement = Enforcement()
        self.enforcement._steps = ResourceSteps(most_removed=2)
        self.number = 4
        self.latest = dict.fromkeys(DOCUMENTS, 4)
        self.pods = {name: dict.fromkeys(DOCUMENTS, 4) for name in PODS}
        self.needed: dict[Key, set[tuple[str, int]]] = defaultdict(set)
        self.proven: set[tuple[str, int]] = set()
        self.open: set[tuple[str, int]] = set()
        self.awaiting: set[ResourceRef] = set()
        self.shown: dict[ResourceRef, Fact] = {}
        self.enforcement.begin_turn(self.latest)
        self.end(set())
        self.compare()

    def publish(self, listed: Sequence[tuple[str, str, str, str, bool]]) -> None:
        for document in dict.fromkeys(document for document, *_ in listed):
            self.number += 1
            self.latest[document] = self.number
            # The new content has only what must be there.
            self.open = {each for each in self.open if each[0] != document}
            changes: dict[bool, list[ResourceRef]] = {True: [], False: []}
            for _, namespace, name, uid, is_removed in (each for each in listed if each[0] == document):
                ref = ResourceRef(Key(TRUSTED_CA if document == TRUST else GATEWAY, namespace, name), uid)
                if ref not in (*changes[True], *changes[False]):
                    changes[is_removed].append(ref)
                    self.needed[ref.key].add((document, self.number))
                    self.awaiting.discard(ref)
            list(self.enforcement.published(Step(document, self.number, 100.0), changes[False], changes[True]))
            self.awaiting |= {ref for ref in changes[True] if self.enforcement.waits_for(ref)}
            self.awaiting = {ref for ref in self.awaiting if self.enforcement.waits_for(ref)}

    def restore(self, document: str) -> None:
        self.number += 1
        self.latest[document] = self.number
        self.enforcement.begin_turn(self.latest)
        self.open.add((document, self.number))
        for needed in self.needed.values():
            if any(each == document for each, _ in needed):
                needed.add((document, self.number))

    def load(self, pod: str, document: str) -> None:
        self.pods[pod][document] = self.latest[document]

    def end(self, unwritten: set[str]) -> None:
        self.enforcement.note_unwritten(frozenset(unwritten), {})
        self.open.clear()

    def compare(self) -> None:
        """Show the condition of each present resource, as a new observation of it does."""
        self.shown = {_ref(each): self.enforcement.fact(each, verdict) for each, verdict in PRESENT}

    def _compare_some(self, outcome: Outcome) -> None:
        for each, verdict in PRESENT:
            if _ref(each).key in {ref.key for ref in outcome.resources} or verdict.document in outcome.documents:
                self.shown[_ref(each)] = self.enforcement.fact(each, verdict)

    def report(self, silent: set[str], unready: set[str]) -> None:
        pods = [
            PodReport(name, dict(held), problem="timeout" if name in silent else "", ready=name not in unready)
            for name, held in self.pods.items()
        ]
        outcome = self.enforcement.take_in(pods, 101.0)
        self._compare_some(outcome)
        for step in {step for needed in self.needed.values() for step in needed} - self.open:
            self._judge(step, pods)
        told = self.enforcement.proven(outcome.to_check)
        self.enforcement.note_told(ref for ref, _ in told)
        self.awaiting -= {ref for ref, _ in told}
        for ref, _ in self.enforcement.proven(self.needed):
            assert self.needed[ref.key] <= self.proven, "a pod may still have it"

    def _judge(self, step: tuple[str, int], pods: Sequence[PodReport]) -> None:
        document, generation = step
        asked = [each for each in pods if each.ready or not each.problem]
        if any(each.ready for each in pods) and all(each.generations[document] >= generation for each in asked):
            self.proven.add(step)

    def finish(self) -> None:
        self.end(set())
        for pod in PODS:
            for document in DOCUMENTS:
                self.load(pod, document)
        self.report(set(), set())
        assert not self.awaiting, "each removal that is remembered is told"
        found = {ref.key for ref, _ in self.enforcement.proven(self.enforcement._steps.keys)}
        assert found == set(self.enforcement._steps.keys)
        assert self.enforcement.is_settled
        assert {fact.status for fact in self.shown.values()} == {"True"}, "each condition is compared in the end"


def _ref(each: Resource) -> ResourceRef:
    return ResourceRef(each.key, each.metadata.uid)


@contextmanager
def small_limits() -> Iterator[None]:
    with mock.patch.multiple(module, _MAX_PROVEN=3, _MAX_WAITING=2, _IN_ONE_STEP=1, _MANY=5):
        yield


@settings(deadline=None, max_examples=examples(400))
@given(operations)
def test_what_is_proven_was_loaded_by_every_pod_and_all_is_proven_in_the_end(listed: list[tuple[str, ...]]) -> None:
    with small_limits():
        model = Model()
        for name, *arguments in listed:
            getattr(model, name)(*arguments)
        model.finish()
