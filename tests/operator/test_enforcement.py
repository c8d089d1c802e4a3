import pytest

from stationkeeper_core.published.documents import TRUST
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.resources.records import TRUSTED_CA, decode_resource
from stationkeeper_operator.rollout.enforcement import Enforcement
from stationkeeper_operator.rollout.generation_report import LoadRefusal
from stationkeeper_operator.rollout.step_fact import PodReport, Step
from tests.operator.enforcing import GOOD, HERE, REFUSAL, THERE, ca, gateway, holder, pod, published, ref
from tests.operator.resource_building import metadata

SUSPENDED = Verdict(False, "Suspended", "by its spec", None)


def test_it_is_enforced_once_every_pod_reports_the_generation_or_a_later_one() -> None:
    enforcement = published(ca())
    assert enforcement.fact(ca(), GOOD)[:2] == ("False", "Pending")
    enforcement.take_in([pod(5), pod(4, "cups-1")], 100.3)
    assert enforcement.fact(ca(), GOOD)[:2] == ("False", "Pending")
    assert not enforcement.is_settled
    list(enforcement.published(Step(TRUST, 7, 100.5), []))
    outcome = enforcement.take_in([pod(5), pod(7, "cups-1")], 100.7)
    assert enforcement.fact(ca(), GOOD) == (
        "True",
        "Enforced",
        "loaded by every ready CUPS pod 0.70 s after it was published",
    )
    assert [each for each, _ in enforcement.proven(outcome.to_check)] == [ref(ca())]
    assert enforcement.is_settled


@pytest.mark.parametrize(
    ("pods", "status", "reason", "said"),
    [
        ([], "Unknown", "NoCUPSPod", "no CUPS pod"),
        (
            [pod(5), pod(4, "cups-1", refuses=True)],
            "False",
            "PodCannotLoad",
            "cups-1 cannot load trust: DigestMismatch",
        ),
        ([pod(5), pod(4, "cups-1", problem="timeout")], "Unknown", "PodUnreachable", "cups-1"),
        ([PodReport("cups-9", problem="refused")], "Unknown", "PodUnreachable", "cups-9"),
    ],
)
def test_the_obstacle_to_enforcement_is_named(pods: list[PodReport], status: str, reason: str, said: str) -> None:
    enforcement = published(ca())
    outcome = enforcement.take_in(pods, 101)
    fact = enforcement.fact(ca(), GOOD)
    assert (fact.status, fact.reason) == (status, reason)
    assert said in fact.message
    assert list(outcome.resources) == [ref(ca())]


def test_a_refusal_of_an_older_document_does_not_matter() -> None:
    enforcement = published(ca())
    enforcement.take_in([pod(5, refuses=True)], 101)
    assert enforcement.fact(ca(), GOOD).status == "True"


def test_a_proof_stays_if_the_pod_does_not_answer_or_is_deleted() -> None:
    enforcement = published(ca())
    enforcement.take_in([pod(5)], 101)
    for pods in ([pod(5, problem="timeout")], [PodReport("cups-1", problem="timeout")], []):
        assert list(enforcement.take_in(pods, 102).resources) == []
        assert enforcement.fact(ca(), GOOD).status == "True"


def test_a_new_pod_with_an_older_document_revokes_the_proof() -> None:
    enforcement = published(ca())
    enforcement.take_in([pod(5)], 101)
    assert list(enforcement.take_in([pod(5), pod(4, "stale")], 102).resources) == [ref(ca())]
    assert enforcement.fact(ca(), GOOD).status == "False"


def test_another_resource_of_the_same_document_does_not_disturb() -> None:
    enforcement = published(ca("first"))
    enforcement.take_in([pod(5)], 101)
    list(enforcement.published(Step(TRUST, 6, 200.0), [ref(ca("second"))]))
    outcome = enforcement.take_in([pod(5)], 201)
    assert list(outcome.resources) == [ref(ca("second"))]
    assert not outcome.documents, "the other statuses need no comparison"
    assert enforcement.fact(ca("first"), GOOD).status == "True"
    assert enforcement.fact(ca("second"), GOOD).status == "False"


def test_a_suspended_ca_is_enforced_when_every_pod_has_the_document_without_it() -> None:
    enforcement = published(ca())
    enforcement.take_in([pod(4)], 101)
    assert enforcement.fact(ca(), SUSPENDED).status == "False"
    enforcement.take_in([pod(5)], 101)
    assert enforcement.fact(ca(), SUSPENDED).status == "True"


def test_a_recreated_resource_waits_for_the_removal_of_the_earlier_one() -> None:
    enforcement = published(ca())
    enforcement.take_in([pod(5)], 101)
    again = decode_resource(TRUSTED_CA, {"metadata": {**metadata("acme", "lorawan", generation=2), "uid": "another"}})
    list(enforcement.published(Step(TRUST, 6, 200.0), [ref(ca())]))
    assert enforcement.fact(again, SUSPENDED).status == "False"
    enforcement.take_in([pod(5)], 201)
    assert enforcement.fact(again, SUSPENDED).status == "False"
    enforcement.take_in([pod(6)], 202)
    assert enforcement.fact(again, SUSPENDED).status == "True"


def test_records_of_a_damaged_document_are_enforced_after_its_successor_is_loaded() -> None:
    enforcement = published(ca())
    enforcement.take_in([pod(5)], 101)
    assert enforcement.fact(ca(), GOOD).status == "True"
    # Somebody damages the Secret; then `acme` is suspended. Nothing shows which records the next document leaves out.
    enforcement.replaced(Step(TRUST, 6, 200.0))
    list(enforcement.published(Step(TRUST, 6, 200.0), [ref(ca("other"))]))
    assert enforcement.fact(ca(), SUSPENDED).status == "False"
    enforcement.take_in([pod(5)], 201)
    assert enforcement.fact(ca(), SUSPENDED).status == "False"
    enforcement.take_in([pod(6)], 202)
    assert enforcement.fact(ca(), SUSPENDED).status == "True"


MOVED = Verdict(True, "Accepted", "fine", THERE)


def test_a_gateway_with_another_eui_waits_for_the_document_that_it_left_too() -> None:
    enforcement = Enforcement()
    enforcement.begin_turn({HERE: 4, THERE: 4})
    enforcement.take_in([holder(4, 4)], 100)
    for document in (HERE, THERE):
        list(enforcement.published(Step(document, 5, 100.0), [ref(gateway())]))
    assert not enforcement.proven(enforcement.take_in([holder(4, 5)], 101).to_check)
    assert enforcement.fact(gateway(), MOVED)[:2] == ("False", "Pending")
    assert [each for each, _ in enforcement.proven(enforcement.take_in([holder(5, 5)], 102).to_check)] == [
        ref(gateway())
    ]
    assert enforcement.fact(gateway(), MOVED).status == "True"


def test_a_gateway_whose_old_eui_could_not_be_taken_out_is_not_enforced() -> None:
    enforcement = Enforcement()
    enforcement.begin_turn({HERE: 4, THERE: 4})
    list(enforcement.published(Step(THERE, 5, 100.0), [ref(gateway())]))
    enforcement.note_unwritten({HERE}, {ref(gateway()): HERE})
    assert not enforcement.proven(enforcement.take_in([holder(4, 5)], 101).to_check)
    assert enforcement.fact(gateway(), MOVED) == ("False", "Pending", f"Secret stationkeeper-{HERE} is not written yet")


def test_a_gateway_that_an_operator_before_moved_waits_for_all_that_was_published_then() -> None:
    enforcement = Enforcement()
    enforcement.begin_turn({HERE: 5, THERE: 5})
    enforcement.take_in([holder(4, 5)], 100)
    assert enforcement.fact(gateway(), MOVED).status == "False"
    outcome = enforcement.take_in([holder(5, 5)], 101)
    assert set(outcome.documents) == {HERE, THERE}
    assert enforcement.fact(gateway(), MOVED).status == "True"


def test_all_resources_are_checked_again_after_the_last_pod_of_a_count_ends() -> None:
    enforcement = Enforcement()
    enforcement.begin_turn({HERE: 4, THERE: 4})
    other = PodReport("cups-9", {"registry-32-00": 3, "registry-32-01": 3}, buckets=32)
    enforcement.take_in([holder(4, 4), other], 100)
    assert "another count" in enforcement.fact(gateway(), MOVED).message
    assert set(enforcement.take_in([holder(4, 4)], 101).documents) == {HERE, THERE}
    assert enforcement.fact(gateway(), MOVED).status == "True"


def test_an_unpublished_resource_is_not_enforced() -> None:
    refused = Verdict(False, "MalformedPEM", "no PEM", None)
    assert Enforcement().fact(ca(), refused)[:2] == ("False", "NotPublished")


def test_an_unwritten_resource_is_not_enforced() -> None:
    enforcement = published(ca())
    enforcement.take_in([pod(5)], 101)
    enforcement.note_unwritten({TRUST}, {})
    assert enforcement.fact(ca(), SUSPENDED)[:2] == ("False", "Pending")


def test_after_a_restart_the_status_counts_until_a_pod_shows_something_older() -> None:
    condition = {
        "type": "Enforced",
        "status": "True",
        "reason": "Enforced",
        "message": "0.2 s",
        "observedGeneration": 1,
    }
    before = ca(status={"conditions": [condition]})
    enforcement = Enforcement()
    enforcement.begin_turn({TRUST: 5})
    assert enforcement.fact(before, GOOD) == ("True", "Enforced", "0.2 s")
    assert enforcement.fact(ca(), GOOD).status == "False"
    assert list(enforcement.take_in([pod(5)], 1).documents) == [TRUST]
    assert enforcement.fact(before, GOOD) == ("True", "Enforced", "0.2 s")
    assert enforcement.fact(ca(), GOOD).status == "True"
    enforcement.take_in([pod(4)], 2)
    assert enforcement.fact(before, GOOD).status == "False"


def test_a_write_that_was_not_answered_is_proven_like_any_other() -> None:
    enforcement = published(ca())
    enforcement.take_in([pod(5)], 101)
    assert enforcement.begin_turn({TRUST: 6})
    assert not enforcement.begin_turn({TRUST: 6})
    enforcement.note_unwritten((), {})
    enforcement.take_in([pod(5)], 102)
    assert enforcement.fact(ca(), GOOD).status == "False"
    enforcement.take_in([pod(6)], 103)
    assert enforcement.fact(ca(), GOOD).status == "True"


def test_a_removal_that_waited_for_a_secret_is_proven_when_it_is_written_even_if_pods_were_quicker() -> None:
    enforcement = Enforcement()
    enforcement.begin_turn({HERE: 4})
    enforcement.note_unwritten({HERE}, {ref(gateway()): HERE})
    enforcement.take_in([holder(4, 0)], 100)
    list(enforcement.published(Step(HERE, 5, 100.0), [ref(gateway())]))
    assert not enforcement.proven(enforcement.take_in([holder(5, 0)], 101).to_check), "the turn is not over"
    enforcement.note_unwritten((), {})
    outcome = enforcement.take_in([holder(5, 0)], 102)
    assert [each for each, _ in enforcement.proven(outcome.to_check)] == [ref(gateway())]
    assert not enforcement.take_in([holder(5, 0)], 103).to_check


def test_a_removal_that_waited_for_another_document_is_proven_although_something_was_published_meanwhile() -> None:
    enforcement = Enforcement()
    enforcement.begin_turn({HERE: 4, THERE: 4})
    list(enforcement.published(Step(HERE, 5, 100.0), [ref(gateway())]))
    waiting = enforcement.take_in([PodReport("cups-0", {HERE: 5, THERE: 3})], 101)
    assert not enforcement.proven(waiting.to_check), "it may be in the other document too"
    list(enforcement.published(Step(HERE, 6, 101.5), []))
    outcome = enforcement.take_in([PodReport("cups-0", {HERE: 6, THERE: 4})], 102)
    assert [each for each, _ in enforcement.proven(outcome.to_check)] == [ref(gateway())]


def test_a_status_that_waited_for_a_replaced_document_is_written_again_after_the_next_round() -> None:
    enforcement = Enforcement()
    enforcement.begin_turn({HERE: 4, THERE: 4})
    list(enforcement.published(Step(HERE, 5, 100.0), [ref(gateway())]))
    enforcement.take_in([holder(5, 4)], 101)
    here = Verdict(True, "Accepted", "fine", HERE)
    assert enforcement.fact(gateway(), here).status == "True"
    enforcement.begin_turn({HERE: 5, THERE: 6})
    enforcement.note_unwritten((), {})
    assert enforcement.fact(gateway(), here).status == "False"
    outcome = enforcement.take_in([holder(5, 6)], 102)
    assert enforcement.fact(gateway(), here).status == "True"
    assert HERE in outcome.documents


def test_a_document_is_not_proven_before_all_its_resources_are_taken_in() -> None:
    enforcement, many = Enforcement(), [ref(ca(f"ca-{number}")) for number in range(2500)]
    enforcement.begin_turn({TRUST: 4})
    steps = 0
    for _ in enforcement.published(Step(TRUST, 5, 100.0), many):
        assert not enforcement.proven(enforcement.take_in([pod(5)], 101).to_check)
        assert not enforcement.is_settled
        steps += 1
    assert steps == 2
    outcome = enforcement.take_in([pod(5)], 102)
    assert {each for each, _ in enforcement.proven(outcome.to_check)} == set(many)


@pytest.mark.slow
def test_very_many_publishes_are_not_remembered_for_ever() -> None:
    enforcement = Enforcement()
    for number in range(1300):
        list(enforcement.published(Step(TRUST, number + 1, 0.0), [ref(ca(f"ca-{number}"))]))
        enforcement.take_in([pod(number + 1)], 1)
    assert len(enforcement._facts) < 1100
    assert enforcement.fact(ca("ca-1299"), GOOD).status == "True"


def test_a_spec_that_is_refused_is_not_enforced_however_well_the_last_accepted_one_is_loaded() -> None:
    refused = Verdict(False, "MalformedCRL", "revocation.crl cannot be read", TRUST)
    enforcement = published(ca())
    assert enforcement.fact(ca(), refused)[:2] == ("False", "Pending")
    enforcement.take_in([pod(5)], 100.3)
    fact = enforcement.fact(ca(), refused)
    assert fact[:2] == ("False", "NotAccepted")
    assert "its part in force is loaded by every ready CUPS pod 0.30 s after" in fact.message
    assert enforcement.fact(ca(), GOOD).status == "True"


def test_after_a_restart_a_silent_pod_leaves_the_condition_unknown() -> None:
    condition = {"type": "Enforced", "status": "True", "reason": "Enforced", "message": "0.2 s"}
    before = ca(status={"conditions": [{**condition, "observedGeneration": 1}]})
    enforcement = Enforcement()
    enforcement.begin_turn({TRUST: 5})
    enforcement.take_in([PodReport("cups-0", problem="timeout")], 1)
    assert enforcement.fact(before, GOOD)[:2] == ("Unknown", "PodUnreachable")
    enforcement.take_in([pod(5)], 2)
    assert enforcement.fact(before, GOOD) == ("True", "Enforced", "0.2 s")
    enforcement.take_in([pod(5, problem="timeout")], 3)
    assert enforcement.fact(before, GOOD) == ("True", "Enforced", "0.2 s")


def test_a_pod_that_holds_a_later_generation_than_was_ever_published_and_refuses_this_one_is_named() -> None:
    enforcement = published(ca())
    older = LoadRefusal("OlderGeneration", "trust has generation 5, 9 is in force")
    enforcement.take_in([PodReport("cups-0", {TRUST: 9}, {TRUST: older})], 101)
    fact = enforcement.fact(ca(), GOOD)
    assert fact[:2] == ("False", "PodCannotLoad")
    assert "pod cups-0 cannot load trust: OlderGeneration" in fact.message


@pytest.mark.parametrize(
    "other",
    [
        PodReport("cups-1", {TRUST: 4}, ready=False),
        PodReport("cups-1", {TRUST: 4}, ends=True),
        PodReport("cups-1", {TRUST: 4}, ready=False, ends=True),
    ],
)
def test_a_pod_that_ends_or_is_not_ready_and_still_holds_something_older_is_waited_for(other: PodReport) -> None:
    enforcement = published(ca())
    enforcement.take_in([pod(5), other], 101)
    fact = enforcement.fact(ca(), GOOD)
    assert fact[:2] == ("False", "Pending")
    assert "cups-1" in fact.message
    enforcement.take_in([pod(5)], 102)
    assert enforcement.fact(ca(), GOOD).status == "True"


def test_a_pod_that_is_not_ready_and_holds_nothing_is_not_waited_for() -> None:
    enforcement = published(ca())
    refusing = PodReport("cups-1", {}, {TRUST: REFUSAL}, ready=False)
    enforcement.take_in([pod(5), refusing], 101)
    assert enforcement.fact(ca(), GOOD)[2] == "loaded by every ready CUPS pod 1.00 s after it was published"


def test_an_unready_pod_without_an_answer_is_only_named() -> None:
    enforcement = published(ca())
    silent = PodReport("cups-1", {TRUST: 4}, problem="timeout", ready=False)
    enforcement.take_in([pod(5), silent], 101)
    fact = enforcement.fact(ca(), GOOD)
    assert fact.status == "True"
    assert fact.message.endswith("; not ready and without an answer: pod cups-1")


def test_a_silent_terminating_pod_leaves_the_condition_unknown_until_it_ends() -> None:
    enforcement = published(ca())
    enforcement.take_in([pod(5), PodReport("cups-1", {TRUST: 4}, problem="refused", ends=True)], 101)
    assert enforcement.fact(ca(), GOOD)[:2] == ("Unknown", "PodUnreachable")
    enforcement.take_in([pod(5)], 102)
    assert enforcement.fact(ca(), GOOD).status == "True"


def test_unready_pods_alone_prove_nothing() -> None:
    enforcement = published(ca())
    enforcement.take_in([PodReport("cups-0", {TRUST: 5}, ready=False)], 101)
    assert enforcement.fact(ca(), GOOD)[:2] == ("Unknown", "NoCUPSPod")
