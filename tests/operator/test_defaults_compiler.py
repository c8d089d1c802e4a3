import base64
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import Document, RegisteredGateway
from stationkeeper_operator.compiling.compile import PublishPlan
from stationkeeper_operator.compiling.retention.reductions import reduced_documents
from stationkeeper_operator.resources.named_references import references
from stationkeeper_operator.resources.records import Gateway, GatewayDefaults, Resource
from tests.operator.resource_building import (
    EUI,
    NOW,
    der,
    make_defaults,
    make_gateway,
    make_pem,
    make_secret,
    plan_of,
    verdict_on,
    world_of,
)
from tests.operator.test_gateway_compiler import TOKEN_REF, TRUST_PEM, gateways

RELEASE = "stationkeeper"
OWN, TEAM, ALL = "wss://own.example.com:1", "wss://team.example.com:2", "wss://all.example.com:3"
BROKEN = "wss://broken.example.com:4/path"


def lns(uri: str, **more: Any) -> dict[str, Any]:
    return {"lns": {"uri": uri, "trust": TRUST_PEM, **more}}


def defaults(uri: str | None, namespace: str) -> list[Resource]:
    return [] if uri is None else [make_defaults(lns(uri), namespace)]


def gateway(uri: str | None = None, **more: Any) -> Gateway:
    return make_gateway({"eui": EUI, **({} if uri is None else lns(uri)), **more})


def published(*resources: Resource, in_force: PublishPlan | None = None, **more: Any) -> list[RegisteredGateway]:
    return gateways(plan_of(*resources, in_force=documents(in_force), **more))


def documents(plan: PublishPlan | None) -> dict[str, Document]:
    return {} if plan is None else dict(plan.documents)


def token(text: str, namespace: str, **more: Any) -> Any:
    return make_secret({"token": base64.b64encode(text.encode()).decode()}, namespace=namespace, **more)


PRECEDENCE: list[tuple[str | None, str | None, str | None, str | None]] = [
    (OWN, TEAM, ALL, OWN),
    (OWN, None, None, OWN),
    (OWN, BROKEN, BROKEN, OWN),
    (None, TEAM, ALL, TEAM),
    (None, TEAM, None, TEAM),
    (None, TEAM, BROKEN, TEAM),
    (None, None, ALL, ALL),
    (None, None, None, None),
    (None, None, BROKEN, None),
    (None, BROKEN, ALL, None),
    (BROKEN, TEAM, ALL, None),
]


@pytest.mark.parametrize(("own", "team", "release", "expected"), PRECEDENCE)
def test_a_gateways_own_lns_comes_first_then_its_namespaces_then_the_releases(
    own: str | None, team: str | None, release: str | None, expected: str | None
) -> None:
    resource = gateway(own)
    plan = plan_of(resource, *defaults(team, "lorawan"), *defaults(release, RELEASE))
    assert [each.lns_uri for each in gateways(plan)] == ([] if expected is None else [expected])
    assert verdict_on(resource, plan).accepted == (expected is not None)


def test_the_default_of_one_namespace_never_reaches_the_gateways_of_another() -> None:
    mine, theirs = gateway(), make_gateway({"eui": "00000000000000BB"}, namespace="other")
    plan = plan_of(mine, theirs, *defaults(TEAM, "other"))
    assert [(each.namespace, each.lns_uri) for each in gateways(plan)] == [("other", TEAM)]
    assert verdict_on(mine, plan).reason == Reason.LNS_MISSING


def test_in_the_releases_namespace_the_releases_default_is_the_namespaces() -> None:
    plan = plan_of(make_gateway({"eui": EUI}, namespace=RELEASE), *defaults(ALL, RELEASE))
    assert [each.lns_uri for each in gateways(plan)] == [ALL]


def test_blocks_are_never_merged() -> None:
    with_token = make_defaults(lns(ALL, auth=TOKEN_REF), RELEASE)
    team = make_defaults(lns(TEAM))
    referenced = token("Bearer ALL", RELEASE)
    cases: list[tuple[list[Resource], str]] = [([gateway(OWN), with_token], OWN), ([gateway(), team, with_token], TEAM)]
    for resources, uri in cases:
        (found,) = published(*resources, referenced=referenced)
        assert (found.lns_uri, found.lns_credentials) == (uri, der(TRUST_PEM) + bytes(8))
    without_trust = make_gateway({"eui": EUI, "lns": {"uri": OWN}})
    assert verdict_on(without_trust, plan_of(without_trust, with_token, referenced=referenced)).reason == "TrustMissing"


def test_the_references_of_a_default_are_looked_up_in_its_own_namespace() -> None:
    default = make_defaults(lns(ALL, auth=TOKEN_REF), RELEASE)
    assert {each.namespace for each in references(default)} == {RELEASE}
    both = {**token("Bearer MINE", "lorawan"), **token("Bearer ALL", RELEASE)}
    (found,) = published(gateway(), default, referenced=both)
    assert b"Bearer ALL" in found.lns_credentials
    plan = plan_of(gateway(), default, referenced=token("Bearer MINE", "lorawan"))
    assert gateways(plan) == []
    assert verdict_on(default, plan).reason == Reason.REFERENCE_NOT_FOUND


def test_a_secret_that_a_default_names_must_carry_the_label() -> None:
    default = make_defaults(lns(TEAM, auth=TOKEN_REF))
    plan = plan_of(gateway(), default, referenced=token("Bearer TEAM", "lorawan", label=None))
    assert verdict_on(default, plan).reason == Reason.REFERENCE_NOT_LABELLED
    assert gateways(plan) == []


def test_an_accepted_gateway_says_whose_lns_it_has() -> None:
    resource = gateway()
    assert verdict_on(resource, plan_of(resource, *defaults(TEAM, "lorawan"))).message == (
        "the LNS is that of GatewayDefaults lorawan/default"
    )


def test_without_any_default_the_message_says_where_one_may_be() -> None:
    resource = gateway()
    verdict = verdict_on(resource, plan_of(resource))
    assert verdict.reason == Reason.LNS_MISSING
    assert "in namespace lorawan or stationkeeper" in verdict.message


def test_a_gateway_names_the_broken_default_and_no_secret_of_another_namespace() -> None:
    resource = gateway()
    plan = plan_of(resource, make_defaults(lns(ALL, auth=TOKEN_REF), RELEASE))
    verdict = verdict_on(resource, plan)
    assert verdict.reason == Reason.LNS_MISSING
    assert "GatewayDefaults stationkeeper/default is refused (ReferenceNotFound)" in verdict.message
    assert "lns-token" not in verdict.message


REFUSED: list[tuple[GatewayDefaults, Reason]] = [
    (make_defaults(lns(BROKEN)), Reason.URI_INVALID),
    (make_defaults({"lns": {"uri": TEAM}}), Reason.TRUST_MISSING),
    (make_defaults({"lns": {"uri": TEAM, "trust": "no PEM"}}), Reason.NO_CERTIFICATE),
    (make_defaults({}), Reason.INVALID_SPEC),
    (make_defaults(None), Reason.INVALID_SPEC),
    (make_defaults({"lns": 7}), Reason.INVALID_SPEC),
    (make_defaults(lns(TEAM, auth=TOKEN_REF)), Reason.REFERENCE_NOT_FOUND),
]


@pytest.mark.parametrize(("broken", "reason"), REFUSED)
def test_gateways_keep_the_last_accepted_lns_of_a_refused_default_and_new_ones_get_none(
    broken: GatewayDefaults, reason: Reason
) -> None:
    before = plan_of(gateway(), *defaults(TEAM, "lorawan"))
    new = make_gateway({"eui": "00000000000000AA"}, "new")
    after = plan_of(gateway(), new, broken, *defaults(ALL, RELEASE), in_force=before.documents)
    assert gateways(after) == gateways(before)
    assert verdict_on(broken, after).reason == reason
    assert 0 < len(verdict_on(broken, after).message) <= 1024
    assert verdict_on(gateway(), after).reason == Reason.LNS_MISSING
    assert "the last accepted version stays in force" in verdict_on(gateway(), after).message
    assert verdict_on(new, after).reason == Reason.LNS_MISSING


def test_gateways_keep_the_last_accepted_lns_of_a_deleted_default() -> None:
    before = plan_of(gateway(), *defaults(TEAM, "lorawan"))
    after = plan_of(gateway(), in_force=before.documents)
    assert gateways(after) == gateways(before)
    assert verdict_on(gateway(), after).reason == Reason.LNS_MISSING


def test_with_the_namespaces_default_gone_the_releases_takes_over() -> None:
    before = plan_of(gateway(), *defaults(TEAM, "lorawan"), *defaults(ALL, RELEASE))
    (found,) = published(gateway(), *defaults(ALL, RELEASE), in_force=before)
    assert found.lns_uri == ALL


def test_a_default_and_its_change_reach_every_gateway_and_are_not_a_reduction() -> None:
    fleet = [make_gateway({"eui": f"{number:016X}"}, f"gateway-{number}") for number in range(50)]
    before = plan_of(*fleet, *defaults(TEAM, "lorawan"))
    after = plan_of(*fleet, make_defaults(lns(OWN)), in_force=before.documents)
    assert {each.lns_uri for each in gateways(before)} == {TEAM}
    assert {each.lns_uri for each in gateways(after)} == {OWN}
    assert reduced_documents(before.documents, after.documents) == frozenset()


def test_a_gateway_whose_own_lns_is_taken_out_goes_to_the_default() -> None:
    before = plan_of(gateway(OWN), *defaults(TEAM, "lorawan"))
    assert [each.lns_uri for each in published(gateway(), *defaults(TEAM, "lorawan"), in_force=before)] == [TEAM]


def test_a_suspended_gateway_needs_no_lns_and_a_default_does_not_bring_it_back() -> None:
    resource = gateway(suspended=True)
    for others in ([], defaults(TEAM, "lorawan")):
        plan = plan_of(resource, *others)
        assert [each.suspended for each in gateways(plan)] == [True]
        assert verdict_on(resource, plan).reason == Reason.SUSPENDED


def test_a_default_never_gives_an_lns_to_a_gateway_whose_spec_cannot_be_decoded() -> None:
    undecodable = make_gateway({"eui": EUI, "lns": "wss://typo:1"})
    plan = plan_of(undecodable, *defaults(TEAM, "lorawan"))
    assert gateways(plan) == []
    assert verdict_on(undecodable, plan).reason == Reason.INVALID_SPEC


def test_a_default_with_another_name_is_refused_and_unused() -> None:
    other = make_defaults(lns(TEAM), name="other")
    plan = plan_of(gateway(), other)
    assert gateways(plan) == []
    assert verdict_on(other, plan).reason == Reason.INVALID_SPEC
    assert "named default" in verdict_on(other, plan).message


def test_its_status_counts_the_gateways_that_use_it() -> None:
    team, release = make_defaults(lns(TEAM)), make_defaults(lns(BROKEN), RELEASE)
    plan = plan_of(
        gateway(),
        make_gateway({"eui": "00000000000000A1", "suspended": True}, "paused"),
        make_gateway({"eui": "00000000000000A2", **lns(OWN)}, "with-its-own"),
        make_gateway({"eui": "00000000000000A3"}, namespace="other"),
        team,
        release,
    )
    assert (verdict_on(team, plan).gateways, verdict_on(release, plan).gateways) == (2, 1)
    assert (verdict_on(team, plan).accepted, verdict_on(team, plan).document) == (True, None)


def test_an_expired_trust_of_a_default_is_delivered_and_named_in_its_status() -> None:
    default = make_defaults({"lns": {"uri": TEAM, "trust": make_pem("old-root")}})
    plan = plan_of(gateway(), default, now=NOW + timedelta(days=400))
    assert [each.lns_uri for each in gateways(plan)] == [TEAM]
    assert verdict_on(default, plan).accepted
    assert "CN=old-root" in verdict_on(default, plan).message


def test_all_gateways_of_a_default_share_its_compiled_lns() -> None:
    fleet: Iterable[Resource] = (make_gateway({"eui": f"{number:016X}"}, f"gateway-{number}") for number in range(50))
    found = published(*fleet, *defaults(TEAM, "lorawan"))
    assert len(found) == 50
    assert len({id(each.lns_credentials) for each in found}) == 1


def test_a_gateway_with_its_own_lns_uses_no_default() -> None:
    default = make_defaults(lns(TEAM))
    world = world_of(gateway(), default)
    assert world.defaults_of(gateway()) == default.key
    assert world.defaults_of(gateway(OWN)) is None
    assert world.defaults_of(make_gateway({"eui": 5})) is None
    assert world.defaults_of(default) is None
