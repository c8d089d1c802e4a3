"""The proofs after a person restored an old Secret, which may have an earlier resource of the same name."""

from stationkeeper_core.published.documents import TRUST
from stationkeeper_operator.rollout.enforcement import Enforcement
from stationkeeper_operator.rollout.resource_steps import ResourceRef
from stationkeeper_operator.rollout.step_fact import Step
from tests.operator.enforcing import GOOD, ca, pod, published, ref


def recreated(uid: str) -> ResourceRef:
    return ref(ca())._replace(uid=uid)


def test_a_removal_waits_for_an_earlier_resource_of_its_name_that_a_restored_secret_brought_back() -> None:
    enforcement, earlier, later = Enforcement(), recreated("earlier"), recreated("later")
    enforcement.begin_turn({TRUST: 4})
    list(enforcement.published(Step(TRUST, 5, 100.0), [later]))
    enforcement.note_unwritten((), {})
    pods = [pod(4), pod(4, "cups-1")]
    assert not enforcement.proven(enforcement.take_in(pods, 100).to_check)
    enforcement.begin_turn({TRUST: 6})
    list(enforcement.published(Step(TRUST, 7, 101.0), [earlier]))
    enforcement.note_unwritten((), {})
    assert not enforcement.proven(enforcement.take_in([pod(7), pod(6, "cups-1")], 102).to_check)
    outcome = enforcement.take_in([pod(7), pod(7, "cups-1")], 103)
    assert [each for each, _ in enforcement.proven(outcome.to_check)] == [later, earlier]


def test_a_removal_waits_while_an_earlier_resource_of_its_name_cannot_be_taken_out() -> None:
    enforcement, earlier, later = Enforcement(), recreated("earlier"), recreated("later")
    enforcement.begin_turn({TRUST: 4})
    list(enforcement.published(Step(TRUST, 5, 100.0), [later]))
    enforcement.note_unwritten({TRUST}, {earlier: TRUST})
    assert not enforcement.proven(enforcement.take_in([pod(5)], 101).to_check)
    enforcement.note_unwritten((), {})
    outcome = enforcement.take_in([pod(5)], 102)
    assert [each for each, _ in enforcement.proven(outcome.to_check)] == [later]


def test_a_removal_that_waited_between_two_rounds_is_told_after_the_second() -> None:
    enforcement = published(ca())
    enforcement.note_unwritten(frozenset({TRUST}), {ref(ca()): TRUST})
    enforcement.take_in([pod(4)], 100)
    enforcement.note_unwritten((), {})
    enforcement.note_unwritten(frozenset({TRUST}), {ref(ca()): TRUST})
    assert not enforcement.proven(enforcement.take_in([pod(5)], 101).to_check)
    enforcement.note_unwritten((), {})
    outcome = enforcement.take_in([pod(5)], 102)
    assert [each for each, _ in enforcement.proven(outcome.to_check)] == [ref(ca())]
    enforcement.note_unwritten(frozenset({TRUST}), {ref(ca()): TRUST})
    assert not enforcement.proven([ca().key])
    enforcement.note_unwritten((), {})
    enforcement.note_unwritten((), {})
    assert ca().key in enforcement.take_in([pod(5)], 103).to_check


def test_nothing_of_a_restored_secret_is_enforced_before_the_turn_that_read_it_ends() -> None:
    enforcement = published(ca())
    enforcement.take_in([pod(5)], 101)
    enforcement.begin_turn({TRUST: 6})
    assert not enforcement.proven(enforcement.take_in([pod(6)], 102).to_check)
    assert enforcement.fact(ca(), GOOD).status == "False"
    enforcement.note_unwritten((), {})
    assert enforcement.take_in([pod(6)], 103).documents == [TRUST]
    assert enforcement.fact(ca(), GOOD).status == "True"


def test_the_removal_of_an_earlier_operator_is_not_proven_before_the_first_turn_ends() -> None:
    enforcement = Enforcement()
    enforcement.begin_turn({TRUST: 4})
    enforcement.wait_for_base(ref(ca()), TRUST)
    assert not enforcement.proven(enforcement.take_in([pod(4)], 100).to_check)
    enforcement.note_unwritten((), {})
    outcome = enforcement.take_in([pod(4)], 101)
    assert [each for each, _ in enforcement.proven(outcome.to_check)] == [ref(ca())]


def test_a_pod_with_what_was_in_force_before_an_older_secret_was_restored_proves_nothing() -> None:
    enforcement, restored, before, after = Enforcement(), 4, 6, 8
    enforcement.begin_turn({TRUST: before})
    enforcement.note_unwritten((), {})
    enforcement.begin_turn({TRUST: restored})
    list(enforcement.published(Step(TRUST, after, 100.0), []))
    enforcement.note_unwritten((), {})
    cut_off = pod(before, "cups-1", problem="it does not answer")
    enforcement.take_in([pod(after), cut_off], 101)
    assert enforcement.fact(ca(), GOOD)[:2] == ("Unknown", "PodUnreachable")
    enforcement.take_in([pod(after), pod(before, "cups-1")], 102)
    assert enforcement.fact(ca(), GOOD)[:2] == ("False", "Pending")
    enforcement.take_in([pod(after), pod(restored, "cups-1")], 103)
    assert enforcement.fact(ca(), GOOD).status == "True", "the restored Secret had it as this operator wants it"


def test_an_operator_that_starts_after_an_older_secret_was_restored_counts_no_later_generation() -> None:
    enforcement = Enforcement()
    enforcement.begin_turn({TRUST: 4})
    list(enforcement.published(Step(TRUST, 8, 100.0), []))
    list(enforcement.published(Step(TRUST, 9, 100.0), []))
    enforcement.note_unwritten((), {})
    enforcement.take_in([pod(9), pod(6, "cups-1")], 101)
    assert enforcement.fact(ca(), GOOD).status == "False"
    enforcement.take_in([pod(9), pod(8, "cups-1")], 102)
    assert enforcement.fact(ca(), GOOD).status == "True"


def test_all_resources_of_a_restored_secret_wait_for_it_whatever_step_they_waited_for() -> None:
    enforcement, names = published(ca("first")), [ca("first"), ca("second"), ca("third")]
    for generation, each in enumerate(names[1:], start=6):
        list(enforcement.published(Step(TRUST, generation, 100.0), [ref(each)]))
    enforcement.take_in([pod(7)], 101)
    enforcement.begin_turn({TRUST: 9})
    enforcement.note_unwritten((), {})
    outcome = enforcement.take_in([pod(7)], 102)
    assert set(outcome.resources) == {ref(each) for each in names}
    assert {enforcement.fact(each, GOOD).status for each in names} == {"False"}
