"""One count of registry documents replaces another: the pure part."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.published.documents import (
    RegisteredGateway,
    RegistryDocument,
    ReservedEUI,
    decode,
    encode,
)
from stationkeeper_core.published.registry_layout import BUCKET_COUNTS, bucket_of, layout_of, place_of
from stationkeeper_operator.compiling.registry_counts import (
    RegistryCounts,
    RegistryPlan,
    for_all_counts,
    in_force_of,
    leading_count,
    redistributed,
)
from stationkeeper_operator.compiling.retention.reductions import reduced_documents
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.resources.records import GATEWAY, Key, Resource, decode_resource
from stationkeeper_operator.rollout.enforcement import Enforcement
from stationkeeper_operator.rollout.resource_steps import ResourceRef
from stationkeeper_operator.rollout.step_fact import PodReport, Step
from tests.examples import examples
from tests.operator.counted_registry import FEW, RELEASE, documents_of, gateway, plan_of, records

COUNTS = st.sampled_from(BUCKET_COUNTS[:4])
GATEWAYS = st.lists(
    st.builds(
        gateway,
        st.integers(0, 200).map(lambda number: f"{number:016X}"),
        suspended=st.booleans(),
        trusted_cas=st.sampled_from([None, (), ("team/a",), ("team/a", "team/b")]),
        lns_uri=st.sampled_from(["wss://one:1", "wss://two:2"]),
    ),
    max_size=30,
    unique_by=lambda each: each.eui,
)


@given(COUNTS, COUNTS, GATEWAYS)
@settings(max_examples=examples(40))
def test_redistribution_to_another_count_and_back_changes_nothing(
    one: int, other: int, gateways: list[RegisteredGateway]
) -> None:
    before = [each for each in documents_of(one, gateways).values() if isinstance(each, RegistryDocument)]
    moved = redistributed(before, other)
    assert records(moved, other) == {each.uid: each for each in gateways}
    back = redistributed(moved.values(), one)
    assert set(back.values()) == {each for each in before if each.gateways}


def test_a_reservation_moves_too_and_never_next_to_a_gateway_of_its_namespace() -> None:
    kept, stale = (ReservedEUI(eui=eui, namespace="team", uid="gone") for eui in FEW[:2])
    document = RegistryDocument(bucket=0, gateways=(gateway(FEW[1]),), reserved=(kept, stale))
    moved = redistributed([document], 32).values()
    assert [each for document in moved for each in document.reserved] == [kept]


@given(COUNTS, COUNTS, GATEWAYS, GATEWAYS)
@settings(max_examples=examples(60), deadline=None)
def test_after_a_plan_every_count_that_is_read_holds_exactly_what_the_leading_one_holds(
    configured: int, read: int, before: list[RegisteredGateway], after: list[RegisteredGateway]
) -> None:
    in_force = {**documents_of(configured, before), **documents_of(read, before)}
    counts = RegistryCounts(configured, frozenset({read}))
    found = for_all_counts(plan_of(configured, after), counts, leading_count(counts, in_force), in_force, RELEASE)
    assert records(found.plan.documents, configured) == records(found.plan.documents, read)
    for name, payload in found.plan.payloads.items():
        decode(name, encode(name, 1, payload))
    reduced = reduced_documents(found.before, found.plan.documents)
    leading = {name for name in reduced if place_of(name) is None or found.leads(name)}
    assert bool(reduced - leading) == bool(leading) or configured == read


def test_the_count_of_the_release_leads_once_all_of_its_documents_are_there() -> None:
    counts = RegistryCounts(64, frozenset({16}))
    old, new = documents_of(16, [gateway(FEW[0])]), documents_of(64, [gateway(FEW[0])])
    assert leading_count(counts, {}) == 64
    assert leading_count(counts, old) == 16
    assert leading_count(counts, {**old, **dict(list(new.items())[:40])}) == 16
    assert leading_count(counts, {**old, **new}) == 64


def test_the_former_count_that_pods_read_leads_and_then_the_larger_one() -> None:
    both = {**documents_of(16, []), **documents_of(64, [])}
    assert leading_count(RegistryCounts(256, frozenset({16})), both) == 16
    assert leading_count(RegistryCounts(256, frozenset({16, 64})), both) == 64
    assert leading_count(RegistryCounts(256, frozenset()), both) == 64


def test_records_of_a_missing_document_come_from_another_count() -> None:
    gateways = [gateway(eui) for eui in FEW]
    in_force = {**documents_of(16, gateways), **documents_of(32, gateways)}
    lost = layout_of(32).document_of(EUI64(7))
    expected = in_force.pop(lost)
    assert in_force_of(32, in_force)[lost] == expected
    assert in_force_of(16, in_force) == {name: in_force[name] for name in layout_of(16).documents}


def _large(eui: str, size: int = 16_000) -> RegisteredGateway:
    return gateway(eui, lns_credentials=random.Random(eui).randbytes(size))  # noqa: S311 - incompressible, no secret


def _of_one_bucket(count: int) -> list[str]:
    """Return EUIs of one bucket of 16."""
    return [format_hex(EUI64(number)) for number in range(60_000) if bucket_of(EUI64(number), 16) == 0][:count]


def _begun(gateways: list[RegisteredGateway], configured: int = 16, leading: int = 64) -> RegistryPlan:
    in_force = documents_of(leading, gateways)
    counts = RegistryCounts(configured, frozenset({leading}))
    assert leading_count(counts, in_force) == leading
    return for_all_counts(plan_of(leading, gateways), counts, leading, in_force, RELEASE)


def test_a_count_that_is_too_small_does_not_begin_and_the_gateways_say_so() -> None:
    gateways = [_large(eui) for eui in _of_one_bucket(80)]
    found = _begun(gateways)
    assert records(found.plan.documents, 64) == {each.uid: each for each in gateways}
    assert not any(place_of(name) is not None and not found.leads(name) for name in found.plan.payloads)
    assert found.retired == frozenset()
    verdicts = found.plan.verdicts.values()
    told = [each for each in verdicts if "does not fit into the 16 registry Secrets" in each.message]
    assert 0 < len(told) < 80
    assert all(each.accepted for each in told)


def test_a_count_that_holds_all_begins_and_its_documents_come_last() -> None:
    gateways = [_large(eui) for eui in _of_one_bucket(30)]
    found = _begun(gateways)
    assert records(found.plan.documents, 16) == {each.uid: each for each in gateways}
    assert found.last == set(layout_of(16).registry)


def test_a_gateway_without_space_in_the_former_count_says_so_and_displaces_none() -> None:
    euis = _of_one_bucket(80)
    old = [_large(eui) for eui in euis[:50]]
    in_force = {**documents_of(16, old), **documents_of(64, old)}
    after = [*old, *(_large(eui) for eui in euis[50:])]
    found = for_all_counts(plan_of(64, after), RegistryCounts(64, frozenset({16, 64})), 64, in_force, RELEASE)
    held = records(found.plan.documents, 16)
    assert {each.uid for each in old} <= held.keys() < {each.uid for each in after}
    for each in after:
        verdict = found.plan.verdicts[Key(GATEWAY, each.namespace, each.name)]
        assert (verdict.accepted, bool(verdict.copies)) == (each.uid in held, each.uid in held)
        assert verdict.accepted or verdict.reason == "CapacityExceeded"


@pytest.mark.parametrize(
    ("narrower", "grown"),
    [
        ({"suspended": True}, False),
        ({"trusted_cas": ("team/a",)}, True),
        ({"sha256_fingerprints": ("ab" * 32,)}, True),
    ],
)
def test_a_reduction_acts_in_a_full_former_count_even_where_the_rest_of_the_change_does_not_fit(
    narrower: dict[str, Any], grown: bool
) -> None:
    euis = _of_one_bucket(58)
    old = [_large(eui) for eui in euis]
    in_force = {**documents_of(16, old), **documents_of(64, old)}
    changed = _large(euis[0], 200_000) if grown else old[0]
    changed = gateway(changed.eui, lns_credentials=changed.lns_credentials, **narrower)
    found = for_all_counts(
        plan_of(64, [changed, *old[1:]]), RegistryCounts(64, frozenset({16, 64})), 64, in_force, RELEASE
    )
    held = records(found.plan.documents, 16)
    assert {each.uid for each in old[1:]} <= held.keys()
    copy = held.get(changed.uid)
    assert copy is not None
    assert all(getattr(copy, name) == value for name, value in narrower.items())
    assert {layout_of(16).registry[0], layout_of(64).document_of(EUI64(int(euis[0], 16)))} <= reduced_documents(
        found.before, found.plan.documents
    )


def test_a_removed_gateway_is_removed_in_every_count() -> None:
    old = [gateway(eui) for eui in FEW]
    in_force = {**documents_of(16, old), **documents_of(64, old)}
    found = for_all_counts(plan_of(64, old[1:]), RegistryCounts(64, frozenset({16})), 64, in_force, RELEASE)
    assert records(found.plan.documents, 16) == {each.uid: each for each in old[1:]}


def test_a_count_is_emptied_only_once_it_is_known_that_no_pod_reads_it() -> None:
    in_force = {**documents_of(16, []), **documents_of(64, [])}
    plan = plan_of(64, [])

    def retired(read: frozenset[int] | None, configured: int = 64) -> frozenset[int]:
        counts = RegistryCounts(configured, read)
        return for_all_counts(plan, counts, leading_count(counts, in_force), in_force, RELEASE).retired

    assert retired(frozenset({64})) == {16}
    assert retired(frozenset()) == {16}
    assert retired(frozenset({16, 64})) == frozenset()
    assert retired(None) == frozenset()
    assert retired(frozenset({64}), configured=256) == {16}


TAKEN = Key(GATEWAY, "team", "gw")
SIXTEEN, SIXTY_FOUR = layout_of(16).registry[1], layout_of(64).registry[17]
IN_BOTH = Verdict(True, "Accepted", "fine", SIXTY_FOUR, copies=(SIXTEEN,))
SUSPENDED = Verdict(False, "Suspended", "fine", None)


def _published(since: float = 100) -> tuple[Enforcement, ResourceRef, Resource]:
    made, ref = Enforcement(), ResourceRef(TAKEN, "uid")
    list(made.published(Step(SIXTY_FOUR, 9, since), [ref]))
    list(made.published(Step(SIXTEEN, 8, since), [ref]))
    resource = decode_resource(GATEWAY, {"metadata": {"namespace": "team", "name": "gw", "uid": "uid"}})
    return made, ref, resource


def _pod(buckets: int, name: str = "", **generations: int) -> PodReport:
    held = {document.replace("_", "-"): number for document, number in generations.items()}
    return PodReport(name or f"cups-{buckets}", held, buckets=buckets)


@pytest.mark.parametrize("verdict", [IN_BOTH, SUSPENDED], ids=["growth", "reduction"])
def test_while_pods_of_both_counts_serve_what_one_of_them_has_not_loaded_is_not_enforced(verdict: Verdict) -> None:
    enforcement, ref, resource = _published()
    new, old = _pod(64, registry_64_17=9), _pod(16, registry_01=7)
    outcome = enforcement.take_in([new, old], 101)
    assert enforcement.fact(resource, verdict)[:2] == ("False", "Pending")
    assert enforcement.proven(outcome.to_check) == []
    outcome = enforcement.take_in([new, _pod(16, registry_01=8)], 102)
    assert enforcement.fact(resource, verdict)[:2] == ("True", "Enforced")
    assert [each for each, _ in enforcement.proven(outcome.to_check)] == [ref]


@pytest.mark.parametrize("verdict", [IN_BOTH, SUSPENDED], ids=["growth", "reduction"])
def test_an_unread_count_delays_nothing(verdict: Verdict) -> None:
    enforcement, ref, resource = _published()
    enforcement.take_in([_pod(64, registry_64_17=9), _pod(16, registry_01=7)], 101)
    outcome = enforcement.take_in([_pod(64, registry_64_17=9)], 102)
    assert enforcement.fact(resource, verdict)[:2] == ("True", "Enforced")
    assert [each for each, _ in enforcement.proven(outcome.to_check)] == [ref]
    assert enforcement.is_settled


def test_a_reduction_whose_secret_of_the_other_count_is_not_written_is_not_enforced() -> None:
    enforcement, ref, resource = Enforcement(), ResourceRef(TAKEN, "uid"), _published()[2]
    list(enforcement.published(Step(SIXTY_FOUR, 9, 100), [ref]))
    enforcement.note_unwritten({SIXTEEN}, {})
    outcome = enforcement.take_in([_pod(64, registry_64_17=9), _pod(16, registry_01=7)], 101)
    assert enforcement.proven(outcome.to_check) == []
    assert enforcement.fact(resource, SUSPENDED)[:2] == ("False", "Pending")


def test_a_gateway_that_is_not_in_the_documents_of_a_ready_pod_is_not_enforced() -> None:
    enforcement, _, resource = _published()
    enforcement.take_in([_pod(64, registry_64_17=9), _pod(32, registry_32_17=9)], 101)
    assert enforcement.fact(resource, IN_BOTH)[:2] == ("False", "Pending")
