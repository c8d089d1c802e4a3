"""Tokens of a Gateway's client: those that are registered, and those that stay in force after a mistake."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

from stationkeeper_core.errors import Reason
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published.documents import REGISTRY, Document, RegisteredGateway, RegistryDocument, bucket_of
from stationkeeper_operator.compiling.compile import PublishPlan, Verdict
from stationkeeper_operator.resources.named_references import references
from stationkeeper_operator.resources.records import SECRET, Reference, ReferencedObject
from tests.operator.resource_building import EUI, make_gateway, make_pem, make_secret, plan_of, verdict_on

LNS = {"uri": "wss://lns.example.com:8887", "trust": make_pem("lns-root")}
OLD, NEW, OTHER = (f"Bearer {word}-0123456789abcdef" for word in ("old", "new", "other"))
Secrets = Mapping[Reference, ReferencedObject]


def ref(name: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": "token"}}


def spec(*names: str, **more: Any) -> dict[str, Any]:
    return {"eui": EUI, "lns": LNS, "client": {"tokens": [ref(name) for name in names]}, **more}


def secret(name: str, token: str, **changes: Any) -> Secrets:
    return make_secret({"token": base64.b64encode(token.encode()).decode()}, name, **changes)


BOTH: Secrets = {**secret("old", OLD), **secret("new", NEW)}


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def registered(plan: PublishPlan) -> RegisteredGateway | None:
    document = plan.documents[REGISTRY[bucket_of(EUI64(int(EUI, 16)))]]
    assert isinstance(document, RegistryDocument)
    return document.gateways[0] if document.gateways else None


def in_force(*names: str) -> Mapping[str, Document]:
    return plan_of(make_gateway(spec(*names)), referenced=BOTH).documents


def tokens_after(second: Mapping[str, Any], referenced: Secrets = BOTH) -> tuple[str, ...]:
    found = registered(plan_of(make_gateway(second), referenced=referenced, in_force=in_force("old", "new")))
    assert found is not None
    assert found.lns_uri == "wss://lns.example.com:8887"
    return found.token_sha256s


def verdict(referenced: Secrets, *names: str) -> Verdict:
    resource = make_gateway(spec(*names))
    return verdict_on(resource, plan_of(resource, referenced=referenced))


def test_the_digests_of_all_tokens_are_registered_with_where_they_are_kept() -> None:
    plan = plan_of(make_gateway(spec("old", "new")), referenced=BOTH)
    found = registered(plan)
    assert found is not None
    assert found.token_sources == ("new/token", "old/token")
    assert found.token_sha256s == (digest(NEW), digest(OLD))
    assert not [payload for payload in plan.payloads.values() if b"0123456789abcdef" in payload]


def test_the_order_of_the_list_and_a_name_given_twice_change_nothing() -> None:
    ordered, otherwise = (
        plan_of(make_gateway(spec(*names)), referenced=BOTH) for names in (("old", "new"), ("new", "old", "new"))
    )
    assert ordered.payloads == otherwise.payloads


def test_one_token_may_be_that_of_two_gateways() -> None:
    first, second = make_gateway(spec("old")), make_gateway({**spec("old"), "eui": "F" * 16}, "other")
    plan = plan_of(first, second, referenced=BOTH)
    assert [verdict_on(each, plan).accepted for each in (first, second)] == [True, True]


@pytest.mark.parametrize("client", [None, {}, {"tokens": None}, {"tokens": []}])
def test_without_tokens_none_is_registered(client: Any) -> None:
    found = registered(plan_of(make_gateway({"eui": EUI, "lns": LNS, "client": client})))
    assert found is not None
    assert (found.token_sha256s, found.token_sources) == ((), ())


def test_the_secrets_are_among_what_is_watched_with_an_lns_or_without() -> None:
    expected = {Reference(SECRET, "lorawan", "old"), Reference(SECRET, "lorawan", "new")}
    assert references(make_gateway(spec("old", "new"))) == expected
    assert references(make_gateway(spec("old", "new", lns=None))) == expected


@pytest.mark.parametrize(
    ("referenced", "reason"),
    [
        ({}, Reason.REFERENCE_NOT_FOUND),
        (secret("old", OLD, label=None), Reason.REFERENCE_NOT_LABELLED),
        (secret("old", OLD, namespace="elsewhere"), Reason.REFERENCE_NOT_FOUND),
        (make_secret({"other": ""}, "old"), Reason.REFERENCE_KEY_MISSING),
        (secret("old", ""), Reason.TOKEN_INVALID),
        (secret("old", f"{OLD}\r\nX: y"), Reason.TOKEN_INVALID),
        (secret("old", "Bearer 0123456789"), Reason.TOKEN_TOO_SHORT),
    ],
)
def test_a_token_that_cannot_be_used_is_refused_by_its_place_without_being_repeated(
    referenced: Secrets, reason: Reason
) -> None:
    found = verdict(referenced, "old")
    assert (found.accepted, found.reason, found.document) == (False, reason, None)
    assert "client.tokens[0]" in found.message
    assert "0123456789" not in found.message


def test_more_tokens_than_are_compared_are_refused() -> None:
    many = [f"t{number}" for number in range(5)]
    secrets = {key: value for name in many for key, value in secret(name, OLD + name).items()}
    found = verdict(secrets, *many)
    assert (found.accepted, found.reason) == (False, Reason.INVALID_SPEC)


@pytest.mark.parametrize(
    "second",
    [
        spec("new"),
        spec("new", lns={"uri": "x"}),
        spec("new", "missing"),
        spec("new", lns={**LNS, "uri": "x"}, client={"tokens": [ref("new")], "sha256Fingerprints": ["typo"]}),
    ],
)
def test_a_token_removed_from_the_list_ends_even_in_a_broken_spec(second: dict[str, Any]) -> None:
    assert tokens_after(second) == (digest(NEW),)


def test_all_tokens_end_with_the_list() -> None:
    assert tokens_after({"eui": EUI, "lns": {"uri": "x"}}) == ()


@pytest.mark.parametrize(
    "unusable",
    [secret("new", NEW), {**BOTH, **secret("old", OLD, label=None)}, {**BOTH, **secret("old", "short")}],
)
def test_a_listed_token_whose_secret_cannot_be_used_stays_in_force(unusable: Secrets) -> None:
    assert tokens_after(spec("old", "new"), unusable) == (digest(NEW), digest(OLD))


def test_a_removed_token_ends_even_if_all_secrets_are_missing() -> None:
    assert tokens_after(spec("new"), {}) == (digest(NEW),)


def test_a_changed_token_ends_and_the_new_one_waits_for_a_valid_spec() -> None:
    changed = {**BOTH, **secret("old", OTHER)}
    assert tokens_after(spec("old", "new", lns={"uri": "x"}), changed) == (digest(NEW),)
    assert tokens_after(spec("old", "new"), changed) == (digest(NEW), digest(OTHER))


def test_a_spec_that_is_refused_adds_no_token() -> None:
    second = make_gateway(spec("old", "new", lns={"uri": "x"}))
    found = registered(plan_of(second, referenced=BOTH, in_force=in_force("old")))
    assert found is not None
    assert found.token_sha256s == (digest(OLD),)


def test_a_spec_that_cannot_be_decoded_takes_no_token_away() -> None:
    assert tokens_after({"eui": 5}) == (digest(NEW), digest(OLD))


def test_a_suspended_gateway_keeps_its_tokens_until_it_is_resumed() -> None:
    found = registered(plan_of(make_gateway(spec("old", suspended=True)), referenced=BOTH))
    assert found is not None
    assert (found.suspended, found.token_sha256s) == (True, (digest(OLD),))


def test_another_resource_of_the_same_name_inherits_no_token() -> None:
    second = make_gateway(spec("old", lns={"uri": "x"}), uid="new")
    assert registered(plan_of(second, referenced=BOTH, in_force=in_force("old"))) is None


def test_a_token_that_looks_like_a_mistake_is_registered_with_a_note() -> None:
    found = verdict(secret("old", '"Bearer old-0123456789abcdef"'), "old")
    assert found.accepted
    assert "client.tokens[0]: the token is in quotes" in found.message
    assert "0123456789" not in found.message


def test_the_authorization_line_of_a_token_with_several_lines_counts() -> None:
    resource = make_gateway(spec("old"))
    plan = plan_of(resource, referenced=secret("old", f"X-Tenant: radio\nAuthorization: {OLD}"))
    found = registered(plan)
    assert found is not None
    assert found.token_sha256s == (digest(OLD),)
