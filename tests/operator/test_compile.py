import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import DOCUMENTS, REGISTRY, decode, encode
from stationkeeper_operator.compiling.compile import World, compile_plan
from stationkeeper_operator.compiling.retention.reductions import reduced_documents
from stationkeeper_operator.resources.records import Resource
from tests.operator.resource_building import (
    EUI,
    NOW,
    make_ca,
    make_defaults,
    make_gateway,
    make_pem,
    make_secret,
    plan_of,
    verdict_on,
)
from tests.operator.test_gateway_compiler import WSS, gateways, spec

RESOURCES: list[Resource] = [
    make_ca({"certificates": make_pem("one")}, "one"),
    make_ca({"certificates": make_pem("two") + make_pem("one")}, "two", "other"),
    make_ca({"certificates": "broken"}, "three"),
    make_defaults({"lns": WSS}),
    make_gateway({"eui": "00000000000000FF"}, "short"),
    make_gateway(spec(), "older", age=20),
    make_gateway(spec(), "newer", "other", age=10),
    *(make_gateway({"eui": f"{number:016X}", "lns": WSS}, f"gateway-{number}") for number in range(20)),
]


@pytest.mark.slow
@settings(deadline=None)
@given(st.permutations(RESOURCES))
def test_the_order_of_resources_does_not_matter(resources: list[Resource]) -> None:
    expected, found = plan_of(*RESOURCES), plan_of(*resources)
    assert found.payloads == expected.payloads
    assert found.verdicts == expected.verdicts


def test_every_document_of_the_contract_is_planned_and_can_be_decoded() -> None:
    plan = plan_of(*RESOURCES)
    assert set(plan.payloads) == set(DOCUMENTS)
    for name, payload in plan.payloads.items():
        assert decode(name, encode(name, 1, payload)).content == plan.documents[name]


def test_every_resource_has_a_verdict() -> None:
    assert set(plan_of(*RESOURCES).verdicts) == {each.key for each in RESOURCES}


def test_a_plan_over_its_own_documents_changes_nothing() -> None:
    plan = plan_of(*RESOURCES)
    again = plan_of(*RESOURCES, in_force=plan.documents)
    assert again.payloads == plan.payloads
    assert reduced_documents(plan.documents, again.documents) == frozenset()


def test_the_oldest_of_two_gateways_with_one_eui_in_a_namespace_wins() -> None:
    newer, older = make_gateway(spec(), "a", age=1), make_gateway(spec(), "z", age=2)
    plan = plan_of(newer, older)
    assert [each.name for each in gateways(plan)] == ["z"]
    assert verdict_on(newer, plan).reason == Reason.EUI_CONFLICT
    assert "older Gateway z of this namespace" in verdict_on(newer, plan).message
    assert verdict_on(newer, plan).document is None


def test_the_first_by_name_wins_of_two_created_in_the_same_second() -> None:
    first, second = make_gateway(spec(), "a", uid="2"), make_gateway(spec(), "b", uid="1")
    assert [each.name for each in gateways(plan_of(second, first))] == ["a"]


def test_the_one_in_force_keeps_its_eui_of_two_created_in_the_same_second() -> None:
    first, second = make_gateway(spec(), "z"), make_gateway(spec(), "a")
    before = plan_of(first)

    after = plan_of(second, first, in_force=before.documents)

    assert gateways(after) == gateways(before)
    assert verdict_on(second, after).reason == Reason.EUI_CONFLICT


def test_the_oldest_keeps_its_eui_even_when_it_is_broken() -> None:
    newer, older = make_gateway(spec(), "a", age=1), make_gateway(spec(), "z", age=2)
    broken = make_gateway({"eui": 7}, "z", age=2)
    before = plan_of(newer, older)
    after = plan_of(newer, broken, in_force=before.documents)
    assert gateways(after) == gateways(before)
    assert verdict_on(newer, after).reason == Reason.EUI_CONFLICT
    never_accepted = plan_of(newer, make_gateway(spec(None), "z", age=2))
    assert gateways(never_accepted) == []
    assert verdict_on(newer, never_accepted).reason == Reason.EUI_CONFLICT


def test_the_next_takes_over_when_the_winner_is_deleted() -> None:
    newer, older = make_gateway(spec(), "a", age=1), make_gateway(spec(), "z", age=2)
    before = plan_of(newer, older)
    after = plan_of(newer, in_force=before.documents)
    assert [each.name for each in gateways(after)] == ["a"]
    assert verdict_on(newer, after).accepted


def test_a_gateway_that_loses_its_eui_to_an_older_one_leaves_nothing_in_force() -> None:
    newer, older = make_gateway(spec(), "a", age=1), make_gateway(spec(None), "z", age=2)
    before = plan_of(newer)
    assert gateways(plan_of(newer, older, in_force=before.documents)) == []


def test_a_secret_changes_what_is_published_and_its_loss_does_not() -> None:
    ref = {"token": {"secretKeyRef": {"name": "lns-token", "key": "token"}}}
    resource = make_gateway(spec({**WSS, "auth": ref}))
    first = plan_of(resource, referenced=make_secret({"token": "Zmlyc3Q="}))
    second = plan_of(resource, referenced=make_secret({"token": "c2Vjb25k"}), in_force=first.documents)
    lost = plan_of(resource, in_force=second.documents)
    assert gateways(second) != gateways(first)
    assert gateways(lost) == gateways(second)
    assert verdict_on(resource, lost).reason == Reason.REFERENCE_NOT_FOUND


def test_an_empty_world_is_published_too() -> None:
    plan = compile_plan(World("stationkeeper", {}, {}), {}, NOW)
    assert set(plan.payloads) == set(DOCUMENTS)
    assert plan.verdicts == {}


def test_the_verdict_names_the_bucket_of_the_eui() -> None:
    resource = make_gateway({"eui": EUI, "lns": WSS})
    assert verdict_on(resource, plan_of(resource)).document in REGISTRY


def being_deleted(resource: Resource) -> Resource:
    metadata = replace(resource.metadata, deletion_timestamp="2026-06-01T00:00:00Z")
    return replace(resource, metadata=metadata)


def test_a_resource_being_deleted_is_removed_although_a_finalizer_holds_it() -> None:
    authority, gateway = make_ca({"certificates": make_pem("one")}), make_gateway(spec())
    before = plan_of(authority, gateway)
    for leaving in (authority, gateway):
        held = [being_deleted(each) if each is leaving else each for each in (authority, gateway)]
        gone = [each for each in (authority, gateway) if each is not leaving]
        for in_force in ({}, before.documents):
            plan = plan_of(*held, in_force=in_force)
            assert plan.payloads == plan_of(*gone, in_force=in_force).payloads
            verdict = verdict_on(leaving, plan)
            assert (verdict.accepted, verdict.reason, verdict.document) == (False, Reason.BEING_DELETED, None)
        assert reduced_documents(before.documents, plan.documents)


def test_the_status_of_a_ca_being_deleted_names_the_cas_that_trust_its_key() -> None:
    other = make_ca({"certificates": make_pem("one")}, "another")
    leaving = being_deleted(make_ca({"certificates": make_pem("one")}))
    assert verdict_on(leaving, plan_of(leaving, other)).still_trusted_by == ("lorawan/another",)


def test_defaults_that_are_being_deleted_give_no_lns() -> None:
    gateway, release = make_gateway({"eui": EUI}), make_defaults({"lns": {"uri": "ws://all:1"}}, "stationkeeper")
    leaving = being_deleted(make_defaults({"lns": WSS}))
    (found,) = gateways(plan_of(gateway, leaving, release))
    assert found.lns_uri == "ws://all:1"
    alone = plan_of(gateway, leaving)
    assert gateways(alone) == []
    assert verdict_on(gateway, alone).reason == Reason.LNS_MISSING
    assert verdict_on(leaving, alone).reason == Reason.BEING_DELETED


def test_a_gateway_being_deleted_frees_its_eui_at_once() -> None:
    old, new = make_gateway(spec(), "old", age=9), make_gateway(spec(), "new", age=1)
    plan = plan_of(being_deleted(old), new, in_force=plan_of(old).documents)
    assert [each.name for each in gateways(plan)] == ["new"]


def test_a_referenced_object_being_deleted_gives_nothing_new_and_removes_nothing() -> None:
    ref = {"token": {"secretKeyRef": {"name": "lns-token", "key": "token"}}}
    resource = make_gateway(spec({**WSS, "auth": ref}))
    first = plan_of(resource, referenced=make_secret({"token": "Zmlyc3Q="}))
    (reference, found), *_ = make_secret({"token": "c2Vjb25k"}).items()
    leaving = {reference: replace(found, metadata=replace(found.metadata, deletion_timestamp="now"))}
    assert verdict_on(resource, plan_of(resource, referenced=leaving)).reason == Reason.REFERENCE_NOT_FOUND
    plan = plan_of(resource, referenced=leaving, in_force=first.documents)
    assert gateways(plan) == gateways(first)
    assert "being deleted" in verdict_on(resource, plan).message
