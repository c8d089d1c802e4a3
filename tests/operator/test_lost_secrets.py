"""The condition `Enforced` while a Secret is lost, and after a person or the operator restored it."""

import pytest

from stationkeeper_core.published.documents import TRUST
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.rollout.enforcement import Enforcement
from stationkeeper_operator.rollout.step_fact import Step
from tests.operator.enforcing import GOOD, HERE, THERE, ca, gateway, holder, ref


def test_a_gateway_waits_for_a_document_whose_secret_is_lost_until_all_pods_have_the_new_one() -> None:
    enforcement, here = Enforcement(), Verdict(True, "Accepted", "fine", HERE)
    enforcement.begin_turn({HERE: 4})
    list(enforcement.published(Step(HERE, 5, 100.0), [ref(gateway())]))
    enforcement.note_unwritten({THERE}, {}, {THERE})
    outcome = enforcement.take_in([holder(5, 3)], 101)
    lost = "Secret stationkeeper-registry-01 is not written yet"
    assert enforcement.fact(gateway(), here) == ("False", "Pending", lost), "it was made again, and may be there too"
    assert not enforcement.proven(outcome.to_check)
    enforcement.replaced(Step(THERE, 6, 101.0))
    enforcement.note_unwritten((), {})
    outcome = enforcement.take_in([holder(5, 3)], 102)
    assert enforcement.fact(gateway(), here)[:2] == ("False", "Pending")
    assert not enforcement.proven(outcome.to_check)
    outcome = enforcement.take_in([holder(5, 6)], 103)
    assert enforcement.fact(gateway(), here).status == "True"
    assert [each for each, _ in enforcement.proven(outcome.to_check)] == [ref(gateway())]
    assert HERE in outcome.documents


def test_a_status_that_waited_for_a_secret_is_written_again_when_a_person_restored_it() -> None:
    enforcement, here = Enforcement(), Verdict(True, "Accepted", "fine", HERE)
    enforcement.begin_turn({HERE: 4, THERE: 4})
    enforcement.note_unwritten({THERE}, {ref(gateway()): THERE})
    enforcement.take_in([holder(4, 4)], 101)
    assert enforcement.fact(gateway(), here).message == "Secret stationkeeper-registry-01 is not written yet"
    enforcement.note_unwritten((), {})
    assert ref(gateway()) in enforcement.take_in([holder(4, 4)], 102).resources
    assert enforcement.fact(gateway(), here).status == "True"


def test_a_status_that_waited_for_the_secret_of_its_own_step_is_written_again_too() -> None:
    enforcement, here = Enforcement(), Verdict(True, "Accepted", "fine", HERE)
    enforcement.begin_turn({HERE: 4, THERE: 4})
    for document in (HERE, THERE):
        list(enforcement.published(Step(document, 5, 100.0), [ref(gateway())]))
    enforcement.take_in([holder(5, 5)], 101)
    enforcement.note_unwritten({THERE}, {})
    enforcement.take_in([holder(5, 5)], 102)
    assert enforcement.fact(gateway(), here).status == "False"
    enforcement.note_unwritten((), {})
    assert ref(gateway()) in enforcement.take_in([holder(5, 5)], 103).resources
    assert enforcement.fact(gateway(), here).status == "True"


def test_a_status_that_waited_for_an_unwritten_secret_is_compared_again_although_nothing_of_it_changed() -> None:
    enforcement, here = Enforcement(), Verdict(True, "Accepted", "fine", HERE)
    enforcement.begin_turn({HERE: 4})
    enforcement.note_unwritten((), {})
    enforcement.take_in([holder(4, 0)], 100)
    # A turn ends early for a waiting change, and the next one writes the document, perhaps before the next round.
    for rounds in (0, 1):
        enforcement.note_unwritten(frozenset({HERE}), {})
        assert "not written yet" in enforcement.fact(gateway(), here).message
        for _ in range(rounds):
            assert not enforcement.take_in([holder(4, 0)], 101).resources
        enforcement.note_unwritten((), {})
        assert list(enforcement.take_in([holder(4, 0)], 102).resources) == [ref(gateway())]
        assert enforcement.fact(gateway(), here).status == "True"
        assert not enforcement.take_in([holder(4, 0)], 103).resources


def test_resources_that_no_longer_exist_fill_no_memory_while_a_secret_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stationkeeper_operator.rollout.unwritten.MOST_SHOWN", 10)
    enforcement = Enforcement()
    for number in range(40):
        enforcement.note_unwritten(frozenset({TRUST, f"registry-{number % 2:02}"}), {})
        assert enforcement.fact(ca(f"ca-{number}"), GOOD).reason == "Pending"
        enforcement.take_in([holder(4, 0)], 100)
        assert len(enforcement._unwritten._shown) <= 10


def test_a_status_that_had_to_leave_an_unwritten_document_is_compared_again_when_it_may_stay() -> None:
    enforcement, there = Enforcement(), Verdict(True, "Accepted", "fine", THERE)
    enforcement.begin_turn({HERE: 4, THERE: 4})
    enforcement.note_unwritten(frozenset({HERE}), {ref(gateway()): HERE})
    assert "not written yet" in enforcement.fact(gateway(), there).message
    enforcement.take_in([holder(4, 4)], 100)
    enforcement.note_unwritten(frozenset({HERE}), {})
    assert list(enforcement.take_in([holder(4, 4)], 101).resources) == [ref(gateway())]
