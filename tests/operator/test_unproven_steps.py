"""The memory of unproven publishes, while a pod cannot be reached for a long time: enough, and not too much."""

import pytest

from stationkeeper_core.published.documents import TRUST
from stationkeeper_operator.resources.records import TRUSTED_CA, decode_resource
from stationkeeper_operator.rollout import resource_steps
from stationkeeper_operator.rollout.enforcement import Enforcement
from stationkeeper_operator.rollout.resource_steps import ResourceRef, ResourceSteps
from stationkeeper_operator.rollout.step_fact import PodReport, Step
from tests.operator.enforcing import GOOD, ca, pod, ref, resources_in
from tests.operator.resource_building import metadata

CUT_OFF = pod(4, "cups-1", problem="it does not answer")


def begun() -> Enforcement:
    enforcement = Enforcement()
    enforcement.begin_turn({TRUST: 4})
    enforcement.note_unwritten((), {})
    return enforcement


def test_very_many_publishes_without_a_proof_make_few_steps() -> None:
    enforcement, many = begun(), [ca(f"ca-{number}") for number in range(500)]
    for generation, each in enumerate(many, start=5):
        list(enforcement.published(Step(TRUST, generation, 100.0), [ref(each)]))
        enforcement.take_in([pod(generation), CUT_OFF], 101)
    assert len(enforcement._facts) < 50
    assert {enforcement.fact(each, GOOD).reason for each in many} == {"PodUnreachable"}
    assert not enforcement.proven(each.key for each in many)


def test_a_resource_of_an_old_publish_is_not_proven_too_early_and_is_proven_in_the_end() -> None:
    enforcement, many = begun(), [ca(f"ca-{number}") for number in range(200)]
    for generation, each in enumerate(many, start=5):
        list(enforcement.published(Step(TRUST, generation, 100.0), [ref(each)]))
    for generation in range(4, 205):
        outcome = enforcement.take_in([pod(204), pod(generation, "cups-1")], 101)
        proven = {each for each, _ in enforcement.proven(outcome.to_check)}
        assert proven <= {ref(each) for each in many[: generation - 4]}
    assert {enforcement.fact(each, GOOD).status for each in many} == {"True"}


def test_the_merge_of_steps_pauses_between_many_resources() -> None:
    enforcement, many = begun(), [ref(ca(f"ca-{number}")) for number in range(3000)]
    list(enforcement.published(Step(TRUST, 5, 100.0), many))
    pauses = [len(list(enforcement.published(Step(TRUST, generation, 100.0), []))) for generation in range(6, 10)]
    assert pauses == [0, 0, 0, 0], "few steps need no merge"
    others = range(10, 60)
    pauses = [
        len(list(enforcement.published(Step(TRUST, number, 100.0), [ref(ca(f"other-{number}"))]))) for number in others
    ]
    assert max(pauses) == 3


def removed(namespace: str, number: int) -> ResourceRef:
    raw = {"metadata": {**metadata(f"gone-{number}", namespace), "uid": f"{namespace}-{number}"}}
    return ref(decode_resource(TRUSTED_CA, raw))


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Enforcement:
    """Return an enforcement that remembers the steps of ten removed resources of a namespace."""
    enforcement = begun()
    monkeypatch.setattr(enforcement, "_steps", ResourceSteps(most_removed=10))
    return enforcement


def test_a_namespace_that_removes_very_many_resources_waits_alone(limited: Enforcement) -> None:
    one_more = decode_resource(TRUSTED_CA, {"metadata": metadata("recreated", "crowded")})
    neighbour = decode_resource(TRUSTED_CA, {"metadata": metadata("fine", "quiet")})
    limited.take_in([pod(4), pod(4, "cups-1")], 100)
    for number in range(100):
        list(limited.published(Step(TRUST, 5 + number, 100.0), [], [removed("crowded", number)]))
    assert len(resources_in(limited._steps)) == 11
    assert [limited.waits_for(removed("crowded", number)) for number in (9, 10)] == [True, False]
    limited.take_in([pod(104), pod(103, "cups-1")], 101)
    assert limited.fact(one_more, GOOD).status == "False", "an earlier resource of its name may be among them"
    assert limited.fact(neighbour, GOOD).status == "True"
    outcome = limited.take_in([pod(104), pod(104, "cups-1")], 102)
    assert limited.fact(one_more, GOOD).status == "True"
    assert outcome.documents == [TRUST], "each status is compared again"
    assert not limited.waits_for(removed("crowded", 99)), "it gets no event"


def test_the_limit_is_one_for_each_namespace() -> None:
    assert resource_steps.MOST_REMOVED == 5_000
    steps = ResourceSteps()
    for number in range(5_200):
        steps.attach_removed(removed("crowded", number), Step(TRUST, number))
    steps.attach_removed(removed("quiet", 0), Step(TRUST, 9_999))
    assert len(resources_in(steps)) == 5_000 + 1 + 1
    assert steps.of(removed("quiet", 0))


def test_the_steps_of_all_documents_are_few_in_each_round() -> None:
    enforcement = begun()
    for number in range(64):
        document = f"registry-{number:02}"
        for generation in range(1, 60):
            list(enforcement.published(Step(document, generation, 100.0), [removed(str(number), generation)]))
    enforcement.take_in([PodReport("cups-0")], 101)
    assert len(enforcement._facts) <= 65 * 33


def test_the_steps_of_very_many_documents_are_few_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stationkeeper_operator.rollout.enforcement._MAX_WAITING_TOGETHER", 64)
    enforcement = begun()
    for generation in range(1, 20):
        for number in range(32):
            step = Step(f"registry-{number:02}", generation, 100.0)
            list(enforcement.published(step, [removed(str(number), generation)]))
    enforcement.take_in([PodReport("cups-0")], 101)
    assert len(enforcement._facts) <= 64 + 33


def test_all_names_are_checked_if_very_many_are_proven_at_once() -> None:
    enforcement, many = begun(), [ref(ca(f"ca-{number}")) for number in range(2_100)]
    list(enforcement.published(Step(TRUST, 5, 100.0), many))
    enforcement.take_in([pod(4)], 101)
    outcome = enforcement.take_in([pod(5)], 102)
    assert outcome.to_check == enforcement._steps.keys, "a list of those names takes longer"
    assert {each for each, _ in enforcement.proven(outcome.to_check)} == set(many)


def test_each_name_is_checked_once_however_many_resources_had_it() -> None:
    enforcement = begun()
    list(enforcement.published(Step(TRUST, 5, 100.0), [], [ref(ca())._replace(uid=str(uid)) for uid in range(1_000)]))
    outcome = enforcement.take_in([pod(5)], 101)
    assert list(outcome.to_check) == [ca().key]
    assert len(enforcement.proven(outcome.to_check)) == 1_000


def test_a_step_in_common_that_is_forgotten_is_in_common_no_more() -> None:
    steps = ResourceSteps(most_removed=1)
    for number in (0, 1):
        steps.attach_removed(removed("crowded", number), Step(TRUST, number))
    assert [steps.is_in_common(Step(TRUST, number)) for number in (0, 1)] == [False, True]
    (in_common,) = steps.refs(Step(TRUST, 1))
    steps.drop(in_common, TRUST)
    assert not steps._in_common


def test_a_proven_resource_stays_proven_when_steps_that_wait_are_merged() -> None:
    enforcement, first, later = begun(), [ca(f"ca-{n}") for n in range(20)], [ca(f"later-{n}") for n in range(40)]
    for generation, each in enumerate(first, start=5):
        list(enforcement.published(Step(TRUST, generation, 100.0), [ref(each)]))
    enforcement.take_in([pod(24)], 101)
    for generation, each in enumerate(later, start=25):
        list(enforcement.published(Step(TRUST, generation, 100.0), [ref(each)]))
    enforcement.take_in([pod(24)], 101)
    assert {enforcement.fact(each, GOOD).status for each in first} == {"True"}


def test_a_resource_that_changes_while_steps_are_merged_waits_for_its_last_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stationkeeper_operator.rollout.enforcement._IN_ONE_STEP", 1)
    enforcement, many = begun(), [ca(f"ca-{number}") for number in range(33)]
    for generation, each in enumerate(many, start=5):
        merging = enforcement.published(Step(TRUST, generation, 100.0), [ref(each)])
        if generation < 37:
            list(merging)
    next(merging)
    next(merging)
    for each in many[:16]:
        enforcement._steps.attach(ref(each), Step(TRUST, 38, 100.0))
    list(merging)
    enforcement.take_in([pod(37)], 101)
    assert {enforcement.fact(each, GOOD).status for each in many[:16]} == {"False"}


def test_statuses_of_a_crowded_namespace_are_compared_again_when_its_proof_ends(limited: Enforcement) -> None:
    for number in range(12):
        list(limited.published(Step(TRUST, 5 + number, 100.0), [], [removed("crowded", number)]))
    limited.take_in([pod(16)], 101)
    assert limited.take_in([pod(16), pod(15, "stale")], 102).documents == [TRUST]


def test_noted_removals_of_an_earlier_operator_are_few_too(limited: Enforcement) -> None:
    limited.begin_turn({TRUST: 5})
    for number in range(12):
        limited.wait_for_base(removed("crowded", number), TRUST)
    assert len(resources_in(limited._steps)) == 11


@pytest.mark.slow
def test_a_pod_that_comes_back_with_an_older_generation_ends_also_proofs_of_long_ago() -> None:
    enforcement, gone = begun(), PodReport("cups-1", {TRUST: 5}, problem="it does not answer", ready=False)
    enforcement.take_in([pod(4), pod(4, "cups-1")], 100)
    last = 1_100
    for generation in range(5, last + 1):
        list(enforcement.published(Step(TRUST, generation, 100.0), [ref(ca(f"ca-{generation}"))]))
        enforcement.take_in([pod(generation), pod(5, "cups-1") if generation == 5 else gone], 101)
    assert not enforcement.waits_for(ref(ca("ca-6"))), "its step was forgotten, as that of many others"
    assert {enforcement.fact(ca(f"ca-{number}"), GOOD).status for number in (5, 6, last)} == {"True"}
    outcome = enforcement.take_in([pod(last), pod(5, "cups-1")], 102)
    assert {enforcement.fact(ca(f"ca-{number}"), GOOD).status for number in (6, last)} == {"False"}
    assert outcome.documents == [TRUST]
    enforcement.take_in([pod(last), pod(last, "cups-1")], 103)
    assert {enforcement.fact(ca(f"ca-{number}"), GOOD).status for number in (5, 6, last)} == {"True"}
