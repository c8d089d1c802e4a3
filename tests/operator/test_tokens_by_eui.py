"""A GatewayDefaults that gives each gateway its own token, from one Secret with EUIs as keys."""

import base64
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_operator.compiling.compile import PublishPlan
from stationkeeper_operator.resources.named_references import reference_keys
from stationkeeper_operator.resources.records import SECRET, GatewayDefaults, Reference, ReferencedObject
from stationkeeper_operator.resources.specs import EVERY_KEY
from tests.operator.resource_building import (
    EUI,
    make_ca,
    make_defaults,
    make_gateway,
    make_pem,
    make_secret,
    plan_of,
    verdict_on,
)
from tests.operator.test_gateway_compiler import TRUST_PEM, gateways

RELEASE, TEAM, OTHER = "stationkeeper", "lorawan", "other"
SECRET_NAME = "lns-tokens"
BY_EUI = {"tokenByEUI": {"secretRef": {"name": SECRET_NAME}}}
URI = "wss://lns.example.com:8887"
SECOND = "00000000000000A2"

_Referenced = dict[Reference, ReferencedObject]


def by_eui(namespace: str = TEAM, **lns: Any) -> GatewayDefaults:
    return make_defaults({"lns": {"uri": URI, "trust": TRUST_PEM, "auth": BY_EUI, **lns}}, namespace)


def tokens(namespace: str = TEAM, label: str | None = "true", **contents: str) -> _Referenced:
    data = {key: base64.b64encode(each.encode()).decode() for key, each in contents.items()}
    return make_secret(data, SECRET_NAME, namespace, label)


def given(plan: PublishPlan) -> dict[str, bytes]:
    return {f"{each.namespace}/{each.eui}": each.lns_credentials for each in gateways(plan)}


def test_each_gateway_is_given_its_own_token_with_the_shared_uri_and_trust() -> None:
    fleet = [make_gateway({"eui": EUI.lower()}), make_gateway({"eui": SECOND}, "second")]
    plan = plan_of(*fleet, by_eui(), referenced=tokens(**{EUI: "Bearer ONE", SECOND: "Bearer TWO"}))
    found: list[RegisteredGateway] = gateways(plan)
    assert {each.lns_uri for each in found} == {URI}
    assert {each.eui: each.lns_credentials[-27:] for each in found} == {
        EUI: b"Authorization: Bearer ONE\r\n",
        SECOND: b"Authorization: Bearer TWO\r\n",
    }
    assert [verdict_on(each, plan).accepted for each in fleet] == [True, True]
    assert verdict_on(fleet[0], plan).message == "the LNS is that of GatewayDefaults lorawan/default"
    assert verdict_on(by_eui(), plan).message == "the spec is in force"


def test_a_gateway_without_a_key_keeps_its_lns_and_its_message_names_the_key() -> None:
    first, second = make_gateway({"eui": EUI}), make_gateway({"eui": SECOND}, "second")
    new = make_gateway({"eui": "00000000000000A3"}, "new")
    before = plan_of(first, second, by_eui(), referenced=tokens(**{EUI: "Bearer ONE", SECOND: "Bearer TWO"}))
    plan = plan_of(first, second, new, by_eui(), referenced=tokens(**{SECOND: "Bearer NEW"}), in_force=before.documents)
    for resource, eui in ((first, EUI), (new, "00000000000000A3")):
        verdict = verdict_on(resource, plan)
        assert (verdict.accepted, verdict.reason) == (False, Reason.TOKEN_MISSING_FOR_EUI)
        assert f"Secret lorawan/{SECRET_NAME} has no key {eui}: add it" in verdict.message
    assert "the last accepted version stays in force" in verdict_on(first, plan).message
    assert given(plan).keys() == {f"lorawan/{EUI}", f"lorawan/{SECOND}"}
    assert b"Bearer ONE" in given(plan)[f"lorawan/{EUI}"]
    assert b"Bearer NEW" in given(plan)[f"lorawan/{SECOND}"]
    assert verdict_on(second, plan).accepted
    assert verdict_on(by_eui(), plan).accepted


def test_a_gateway_that_takes_another_eui_does_not_keep_the_token_of_the_old_one() -> None:
    before = plan_of(make_gateway({"eui": EUI}), by_eui(), referenced=tokens(**{EUI: "Bearer ONE"}))
    other = make_gateway({"eui": SECOND})
    plan = plan_of(other, by_eui(), referenced=tokens(**{EUI: "Bearer ONE"}), in_force=before.documents)
    assert given(plan) == {}
    assert verdict_on(other, plan).reason == Reason.TOKEN_MISSING_FOR_EUI


WHOSE: list[tuple[str, str, str, bool]] = [
    # the namespace of the Gateway, that of the GatewayDefaults, the key, and whether the token is given
    (RELEASE, RELEASE, EUI, True),
    (TEAM, TEAM, EUI, True),
    (TEAM, RELEASE, f"{TEAM}.{EUI}", True),
    (TEAM, RELEASE, EUI, False),
    (TEAM, RELEASE, f"{OTHER}.{EUI}", False),
    (TEAM, RELEASE, f"{RELEASE}.{EUI}", False),
    (TEAM, RELEASE, f"{TEAM}.{EUI.lower()}", False),
    (TEAM, RELEASE, f"{TEAM}..{EUI}", False),
    (TEAM, RELEASE, f".{EUI}", False),
    (TEAM, RELEASE, TEAM, False),
    (RELEASE, RELEASE, f"{RELEASE}.{EUI}", False),
    (TEAM, TEAM, f"{TEAM}.{EUI}", False),
    (TEAM, TEAM, EUI.lower(), False),
    (TEAM, TEAM, "01-23-45-67-89-AB-CD-EF", False),
    (TEAM, TEAM, SECOND, False),
    (TEAM, OTHER, f"{TEAM}.{EUI}", False),
    (TEAM, OTHER, EUI, False),
]


@pytest.mark.parametrize(("namespace", "of_defaults", "key", "is_given"), WHOSE)
def test_a_namespace_gets_only_the_tokens_written_for_it(
    namespace: str, of_defaults: str, key: str, is_given: bool
) -> None:
    resource = make_gateway({"eui": EUI}, namespace=namespace)
    plan = plan_of(resource, by_eui(of_defaults), referenced=tokens(of_defaults, **{key: "Bearer ONE"}))
    assert verdict_on(resource, plan).accepted == is_given
    assert [b"Bearer ONE" in each for each in given(plan).values()] == ([True] if is_given else [])


def test_one_eui_in_several_namespaces_has_a_token_in_each_and_never_anothers() -> None:
    spaces = (RELEASE, TEAM, OTHER, "thief")
    fleet = [make_gateway({"eui": EUI}, namespace=each) for each in spaces]
    vouching = [make_ca({"certificates": make_pem(f"ca-{each}", key=each)}, namespace=each) for each in spaces]
    held = tokens(RELEASE, **{EUI: "Bearer R", f"{TEAM}.{EUI}": "Bearer T", f"{OTHER}.{EUI}": "Bearer O"})
    plan = plan_of(*fleet, *vouching, by_eui(RELEASE), referenced=held)
    assert {name: each.rpartition(b" ")[2] for name, each in given(plan).items()} == {
        f"{RELEASE}/{EUI}": b"R\r\n",
        f"{TEAM}/{EUI}": b"T\r\n",
        f"{OTHER}/{EUI}": b"O\r\n",
    }


def test_the_message_to_another_namespace_names_the_key_and_not_the_releases_secret() -> None:
    resource = make_gateway({"eui": EUI})
    for held in ({}, {f"{TEAM}.{EUI}": "not one\nheader"}):
        plan = plan_of(resource, by_eui(RELEASE), referenced=tokens(RELEASE, **held))
        message = verdict_on(resource, plan).message
        assert f"key {TEAM}.{EUI}" in message
        assert f"GatewayDefaults {RELEASE}/default" in message
        assert SECRET_NAME not in message


@pytest.mark.parametrize("content", ["", "Bearer", "two\nlines", "Bearer \x07", "Bearer " + "x" * 9000])
def test_a_token_that_cannot_be_used_concerns_its_gateway_alone_and_is_not_repeated(content: str) -> None:
    broken, good = make_gateway({"eui": EUI}), make_gateway({"eui": SECOND}, "second")
    plan = plan_of(broken, good, by_eui(), referenced=tokens(**{EUI: content, SECOND: "Bearer TWO"}))
    verdict = verdict_on(broken, plan)
    assert verdict.reason == Reason.TOKEN_INVALID
    assert f"the key {EUI} of Secret lorawan/{SECRET_NAME}" in verdict.message
    assert "xxxx" not in verdict.message
    assert given(plan).keys() == {f"lorawan/{SECOND}"}
    assert verdict_on(by_eui(), plan).accepted


def test_a_token_that_looks_like_a_mistake_is_given_with_a_note_to_its_gateway() -> None:
    resource, good = make_gateway({"eui": EUI}), make_gateway({"eui": SECOND}, "second")
    plan = plan_of(resource, good, by_eui(), referenced=tokens(**{EUI: '"Bearer ONE"', SECOND: "Bearer TWO"}))
    verdict = verdict_on(resource, plan)
    assert verdict.accepted
    assert f"the key {EUI} of Secret lorawan/{SECRET_NAME}: the token is in quotes" in verdict.message
    assert "ONE" not in verdict.message
    assert "quotes" not in verdict_on(good, plan).message


def test_keys_that_are_not_an_eui_are_counted_in_the_defaults_status() -> None:
    held = {EUI: "Bearer ONE", EUI.lower(): "Bearer TWO", f"{TEAM}.{EUI}": "Bearer THREE", "token": "Bearer FOUR"}
    for namespace, odd in ((TEAM, 3), (RELEASE, 2)):
        plan = plan_of(by_eui(namespace), referenced=tokens(namespace, **held))
        verdict = verdict_on(by_eui(namespace), plan)
        assert verdict.accepted
        assert f"{odd} keys of the Secret are not an EUI" in verdict.message


OWN_TOKEN = {"secretKeyRef": {"name": "a", "key": "b"}}
REFUSED: list[tuple[dict[str, Any], _Referenced, Reason]] = [
    ({}, {}, Reason.REFERENCE_NOT_FOUND),
    ({}, tokens(OTHER, **{EUI: "Bearer ONE"}), Reason.REFERENCE_NOT_FOUND),
    ({}, tokens(label=None, **{EUI: "Bearer ONE"}), Reason.REFERENCE_NOT_LABELLED),
    ({}, tokens(label="trust", **{EUI: "Bearer ONE"}), Reason.REFERENCE_NOT_LABELLED),
    ({"auth": {**BY_EUI, "token": OWN_TOKEN}}, tokens(), Reason.INVALID_SPEC),
    ({"auth": {**BY_EUI, "clientCertificate": {"secretRef": {"name": "a"}}}}, tokens(), Reason.INVALID_SPEC),
    ({"auth": {"tokenByEUI": {}}}, tokens(), Reason.INVALID_SPEC),
    ({"uri": "ws://lns.example.com:1887"}, tokens(**{EUI: "Bearer ONE"}), Reason.URI_INVALID),
    ({"trust": None}, tokens(**{EUI: "Bearer ONE"}), Reason.TRUST_MISSING),
]


@pytest.mark.parametrize(("lns", "referenced", "reason"), REFUSED)
def test_a_default_whose_secret_or_auth_cannot_be_used_is_refused_and_gateways_keep_what_they_had(
    lns: dict[str, Any], referenced: _Referenced, reason: Reason
) -> None:
    resource, broken = make_gateway({"eui": EUI}), by_eui(**lns)
    before = plan_of(resource, by_eui(), referenced=tokens(**{EUI: "Bearer ONE"}))
    plan = plan_of(resource, broken, referenced=referenced, in_force=before.documents)
    assert verdict_on(broken, plan).reason == reason
    assert verdict_on(resource, plan).reason == Reason.LNS_MISSING
    assert gateways(plan) == gateways(before)
    assert gateways(plan_of(resource, broken, referenced=referenced)) == []


def test_the_blocks_are_not_merged_and_a_missing_token_is_not_looked_for_in_the_releases() -> None:
    own = make_gateway({"eui": EUI, "lns": {"uri": "wss://own.example.com:1", "trust": TRUST_PEM}})
    lacking = make_gateway({"eui": SECOND}, "lacking")
    held = {**tokens(**{EUI: "Bearer ONE"}), **tokens(RELEASE, **{f"{TEAM}.{SECOND}": "Bearer R", SECOND: "Bearer R"})}
    plan = plan_of(own, lacking, by_eui(), by_eui(RELEASE), referenced=held)
    assert verdict_on(lacking, plan).reason == Reason.TOKEN_MISSING_FOR_EUI
    assert [b"Bearer" in each for each in given(plan).values()] == [False]


def test_a_suspended_gateway_needs_no_token() -> None:
    resource = make_gateway({"eui": EUI, "suspended": True})
    plan = plan_of(resource, by_eui(), referenced=tokens())
    assert [(each.suspended, each.lns_credentials) for each in gateways(plan)] == [(True, b"")]
    assert verdict_on(resource, plan).reason == Reason.SUSPENDED


def test_a_default_names_every_key_of_its_secret_in_its_own_namespace() -> None:
    assert reference_keys(by_eui(RELEASE)) == {(Reference(SECRET, RELEASE, SECRET_NAME), EVERY_KEY)}


class Counting(Mapping[Reference, ReferencedObject]):
    """Objects that count how often each is looked up."""

    def __init__(self, held: _Referenced) -> None:
        self._held = held
        self.asked: Counter[Reference] = Counter()

    def __getitem__(self, reference: Reference) -> ReferencedObject:
        self.asked[reference] += 1
        return self._held[reference]

    def __iter__(self) -> Iterator[Reference]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


def test_the_secret_is_looked_up_once_however_many_gateways_there_are() -> None:
    euis = [f"{number:016X}" for number in range(1, 301)]
    fleet = [make_gateway({"eui": eui}, f"gateway-{eui.lower()}") for eui in euis]
    referenced = Counting(tokens(**{eui: f"Bearer {eui}" for eui in euis[:200]}))
    plan = plan_of(*fleet, by_eui(), referenced=referenced)
    assert len(gateways(plan)) == 200
    assert referenced.asked == {Reference(SECRET, TEAM, SECRET_NAME): 1}
