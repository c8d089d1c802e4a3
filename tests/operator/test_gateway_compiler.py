import base64
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published.documents import REGISTRY, Document, RegisteredGateway, RegistryDocument, bucket_of
from stationkeeper_operator.compiling.compile import PublishPlan
from stationkeeper_operator.compiling.gateways.endpoint_compiler import Target
from stationkeeper_operator.compiling.gateways.gateway_compiler import CompileContext, compile_gateway
from stationkeeper_operator.compiling.trust.authority_keys import AuthorityKeys
from stationkeeper_operator.resources.records import Gateway, Reference, ReferencedObject
from tests.operator.resource_building import (
    EUI,
    NOW,
    PRIVATE_KEY,
    der,
    make_ca,
    make_gateway,
    make_pem,
    make_secret,
    plan_of,
    verdict_on,
    world_of,
)

TRUST_PEM = make_pem("lns-root")
TOKEN = "Bearer NNSXS.SECRET-TOKEN"
TOKEN_REF = {"token": {"secretKeyRef": {"name": "lns-token", "key": "token"}}}
WSS = {"uri": "wss://lns.example.com:8887", "trust": TRUST_PEM}
PIN = "ab" * 32


def token_secret(token: str = TOKEN, **changes: Any) -> dict[Reference, ReferencedObject]:
    return make_secret({"token": base64.b64encode(token.encode()).decode()}, **changes)


def gateways(plan: PublishPlan) -> list[RegisteredGateway]:
    documents = (plan.documents[name] for name in REGISTRY)
    return [each for document in documents if isinstance(document, RegistryDocument) for each in document.gateways]


def spec(lns: Mapping[str, Any] | None = WSS, **more: Any) -> dict[str, Any]:
    return {"eui": EUI, "lns": lns, **more}


REFUSED: list[tuple[dict[str, Any], Reason]] = [
    ({"eui": 5}, Reason.INVALID_SPEC),
    ({"eui": "xyz", "lns": WSS}, Reason.INVALID_SPEC),
    (spec(None), Reason.LNS_MISSING),
    (spec({"uri": "wss://lns.example.com:8887/path", "trust": TRUST_PEM}), Reason.URI_INVALID),
    (spec({"uri": "https://lns.example.com:443", "trust": TRUST_PEM}), Reason.URI_INVALID),
    (spec({"uri": "ws://lns.example.com:1887", "auth": TOKEN_REF}), Reason.URI_INVALID),
    (spec({"uri": WSS["uri"]}), Reason.TRUST_MISSING),
    (spec({"uri": WSS["uri"], "trust": ""}), Reason.NO_CERTIFICATE),
    (spec({"uri": WSS["uri"], "trust": TRUST_PEM + make_pem("another")}), Reason.TRUST_AMBIGUOUS),
    (spec({"uri": WSS["uri"], "trust": TRUST_PEM + PRIVATE_KEY}), Reason.MALFORMED_PEM),
    (spec({**WSS, "trustFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}), Reason.INVALID_SPEC),
    (
        spec({"uri": WSS["uri"], "trustFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}),
        Reason.REFERENCE_NOT_FOUND,
    ),
    (spec({**WSS, "auth": TOKEN_REF}), Reason.REFERENCE_NOT_FOUND),
    (spec(client={"trustedCAs": []}), Reason.INVALID_SPEC),
    (spec(client={"trustedCAs": ["a/b/c"]}), Reason.INVALID_SPEC),
    (spec(client={"sha256Fingerprints": []}), Reason.INVALID_SPEC),
    (spec(client={"sha256Fingerprints": ["ab"]}), Reason.INVALID_SPEC),
]


@pytest.mark.parametrize(("broken", "reason"), REFUSED)
def test_a_spec_that_cannot_be_used_is_refused_with_its_reason_and_nothing_published(
    broken: dict[str, Any], reason: Reason
) -> None:
    resource = make_gateway(broken)
    plan = plan_of(resource)
    verdict = verdict_on(resource, plan)
    assert (verdict.accepted, verdict.reason, verdict.document) == (False, reason, None)
    assert 0 < len(verdict.message) <= 1024
    assert gateways(plan) == []


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (token_secret(label=None), Reason.REFERENCE_NOT_LABELLED),
        (token_secret(namespace="elsewhere"), Reason.REFERENCE_NOT_FOUND),
        (make_secret({"other": ""}), Reason.REFERENCE_KEY_MISSING),
        (token_secret(""), Reason.TOKEN_INVALID),
        (token_secret(f"{TOKEN}\r\nX: y"), Reason.TOKEN_INVALID),
        (token_secret(TOKEN * 400), Reason.TOKEN_INVALID),
    ],
)
def test_a_token_that_cannot_be_used_is_refused_without_being_repeated(secret: Any, reason: Reason) -> None:
    resource = make_gateway(spec({**WSS, "auth": TOKEN_REF}))
    verdict = verdict_on(resource, plan_of(resource, referenced=secret))
    assert verdict.reason == reason
    assert TOKEN not in verdict.message


def test_an_accepted_gateway_is_in_the_bucket_of_its_eui_with_its_credentials() -> None:
    resource = make_gateway(spec({**WSS, "auth": TOKEN_REF}))
    plan = plan_of(resource, referenced=token_secret())
    name = REGISTRY[bucket_of(EUI64(int(EUI, 16)))]
    document = plan.documents[name]
    assert isinstance(document, RegistryDocument)
    assert document.gateways[0].lns_uri == "wss://lns.example.com:8887"
    assert document.gateways[0].lns_credentials == (
        der(TRUST_PEM) + bytes(4) + b"Authorization: " + TOKEN.encode() + b"\r\n"
    )
    verdict = verdict_on(resource, plan)
    assert (verdict.accepted, verdict.reason, verdict.document) == (True, "Accepted", name)
    assert TOKEN not in verdict.message


def test_without_auth_the_credentials_are_for_server_authentication() -> None:
    plan = plan_of(make_gateway(spec()))
    assert gateways(plan)[0].lns_credentials == der(TRUST_PEM) + bytes(8)


def test_a_ws_lns_gets_no_credentials() -> None:
    plan = plan_of(make_gateway(spec({"uri": "ws://lns.example.com:1887"})))
    assert (gateways(plan)[0].lns_uri, gateways(plan)[0].lns_credentials) == ("ws://lns.example.com:1887", b"")


def test_a_self_signed_server_certificate_is_taken_as_the_trust_of_an_lns() -> None:
    resource = make_gateway(spec({"uri": WSS["uri"], "trust": make_pem("server", authority=None)}))
    assert verdict_on(resource, plan_of(resource)).accepted


def test_an_expired_trust_of_an_lns_is_delivered_and_named() -> None:
    resource = make_gateway(spec())
    verdict = verdict_on(resource, plan_of(resource, now=NOW + timedelta(days=400)))
    assert verdict.accepted
    assert "CN=lns-root" in verdict.message


def test_the_narrowing_of_clients_is_published_normalised() -> None:
    resource = make_gateway(
        spec(client={"trustedCAs": ["zeta", "other/acme", "acme"], "sha256Fingerprints": [PIN.upper(), PIN]})
    )
    plan = plan_of(resource, make_ca({"certificates": TRUST_PEM}), make_ca({"certificates": TRUST_PEM}, "zeta"))
    assert gateways(plan)[0].trusted_cas == ("lorawan/acme", "lorawan/zeta", "other/acme")
    assert gateways(plan)[0].sha256_fingerprints == (PIN,)
    assert "'other/acme'" in verdict_on(resource, plan).message


def test_a_note_does_not_reveal_another_tenants_trusted_ca() -> None:
    resource = make_gateway(spec(client={"trustedCAs": ["other/acme"]}))
    there = plan_of(resource, make_ca({"certificates": TRUST_PEM}, "acme", "other"))
    assert verdict_on(resource, there) == verdict_on(resource, plan_of(resource))


def test_a_suspended_gateway_is_registered_as_such_whatever_its_spec_is_like() -> None:
    for broken in (spec(), spec(None), spec({"uri": "x"})):
        resource = make_gateway({**broken, "suspended": True})
        plan = plan_of(resource)
        assert gateways(plan)[0].suspended
        verdict = verdict_on(resource, plan)
        assert (verdict.accepted, verdict.reason) == (False, Reason.SUSPENDED)
        assert verdict.document is not None


def no_default(resource: Gateway) -> Target:
    raise StationkeeperError(Reason.LNS_MISSING, resource.metadata.name)


def in_force(first: dict[str, Any]) -> Mapping[str, Document]:
    return plan_of(make_gateway(first)).documents


@pytest.mark.parametrize("broken", [each for each, _ in REFUSED if each.get("eui") == EUI] + [{"eui": 5}])
def test_a_refused_spec_leaves_the_last_accepted_lns_in_force(broken: dict[str, Any]) -> None:
    resource = make_gateway(broken)
    plan = plan_of(resource, in_force=in_force(spec()))
    assert gateways(plan) == gateways(plan_of(make_gateway(spec())))
    assert "last accepted version stays in force" in verdict_on(resource, plan).message


def test_a_refused_spec_narrows_clients_and_widens_none() -> None:
    first = spec(client={"trustedCAs": ["a", "b"]})
    second = spec({"uri": "x"}, client={"trustedCAs": ["b", "c"], "sha256Fingerprints": [PIN]})
    (found,) = gateways(plan_of(make_gateway(second), in_force=in_force(first)))
    assert (found.trusted_cas, found.sha256_fingerprints) == (("lorawan/b",), (PIN,))
    assert found.lns_uri == "wss://lns.example.com:8887"


def test_a_new_lns_does_not_act_while_the_narrowing_of_clients_is_broken() -> None:
    second = spec({"uri": "wss://new:1", "trust": TRUST_PEM}, client={"sha256Fingerprints": ["typo"]})
    (found,) = gateways(plan_of(make_gateway(second), in_force=in_force(spec())))
    assert found.lns_uri == "wss://lns.example.com:8887"


def test_a_broken_spec_suspends_and_a_refused_one_does_not_bring_back() -> None:
    suspended = plan_of(make_gateway(spec({"uri": "x"}, suspended=True)), in_force=in_force(spec()))
    assert gateways(suspended)[0].suspended
    still = plan_of(make_gateway(spec({"uri": "x"})), in_force=suspended.documents)
    assert gateways(still)[0].suspended
    assert not gateways(plan_of(make_gateway(spec()), in_force=still.documents))[0].suspended


def test_the_fallback_of_a_suspended_gateway_needs_less_space() -> None:
    (held,) = gateways(plan_of(make_gateway(spec())))
    changed = make_gateway(spec({**WSS, "uri": "wss://another.example.com:8887"}, suspended=True))

    found = compile_gateway(changed, held, CompileContext(world_of(changed), NOW, no_default, AuthorityKeys()))

    assert found.desired is not None
    assert (found.desired.lns_uri, found.desired.suspended) == ("wss://another.example.com:8887", True)
    assert found.fallback == replace(held, suspended=True)
    assert found.minimal == replace(held, suspended=True, lns_uri="", lns_credentials=b"")


def test_a_gateway_that_was_always_suspended_has_no_last_good_state() -> None:
    suspended = plan_of(make_gateway(spec(None, suspended=True)))
    assert gateways(plan_of(make_gateway(spec(None)), in_force=suspended.documents)) == []


def test_another_resource_of_the_same_name_inherits_nothing() -> None:
    assert gateways(plan_of(make_gateway(spec(None), uid="new"), in_force=in_force(spec()))) == []


def test_credentials_never_pass_to_another_eui() -> None:
    resource = make_gateway({"eui": "FFFFFFFFFFFFFFFF", "lns": None})
    assert gateways(plan_of(resource, in_force=in_force(spec()))) == []


def test_the_message_of_a_suspended_gateway_says_that_it_keeps_its_lns() -> None:
    suspended = make_gateway(spec(suspended=True))
    assert "revoke its key at the LNS" in verdict_on(suspended, plan_of(suspended)).message


@pytest.mark.parametrize(
    ("eui", "said"),
    [
        ("0000AABB0000CCDD", "asks as AABB00FFFE00CCDD"),
        ("0000000000000001", "asks as 000000FFFE000001"),
        ("0001000000000000", ""),
    ],
)
def test_an_eui_that_a_station_takes_for_a_mac_is_accepted_with_a_note(eui: str, said: str) -> None:
    resource = make_gateway({**spec(), "eui": eui})
    verdict = verdict_on(resource, plan_of(resource))
    assert verdict.accepted
    assert ("a Basics Station reads it as a MAC" in verdict.message) == bool(said)
    assert said in verdict.message
