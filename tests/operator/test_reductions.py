from typing import Any

import pytest
from msgspec.structs import replace

from stationkeeper_core.published.documents import (
    REGISTRY,
    TRUST,
    RegisteredGateway,
    RegistryDocument,
    RevocationList,
    TrustDocument,
    TrustedAuthority,
)
from stationkeeper_core.x509.serial_numbers import pack_serials
from stationkeeper_operator.compiling.retention.reductions import (
    record_may_be_reduced,
    reduced_documents,
    resource_reduced,
)
from stationkeeper_operator.resources.records import Gateway, decode_resource

AUTHORITY = TrustedAuthority(
    namespace="n",
    name="a",
    uid="u",
    anchors=(b"1", b"2"),
    intermediates=(b"3",),
    eui_ranges=("0100000000000000/8",),
    revoked_serials=("1",),
    revoked_sha256=("aa",),
    revocation_lists=(
        RevocationList(issuer_key="k", serials=pack_serials([1, 2]), next_update=100),
        RevocationList(issuer_key="l", next_update=100, refuse_overdue=True),
    ),
    weak_signatures=True,
)


def lists(*serials: int, **of_the_other: Any) -> dict[str, Any]:
    one = RevocationList(issuer_key="k", serials=pack_serials(serials), next_update=100)
    fields: dict[str, Any] = {"next_update": 100, "refuse_overdue": True, **of_the_other}
    return {"revocation_lists": (one, RevocationList(issuer_key="l", **fields))}


GATEWAY = RegisteredGateway(
    eui="0" * 16,
    namespace="n",
    name="g",
    uid="u",
    trusted_cas=("n/a", "n/b"),
    sha256_fingerprints=("aa", "bb"),
    token_sha256s=("cc", "dd"),
    token_sources=("a/token", "b/token"),
)


def trust_reduced(new: TrustedAuthority | None, old: TrustedAuthority = AUTHORITY) -> bool:
    before = TrustDocument(release_namespace="r", authorities=(old,))
    after = TrustDocument(release_namespace="r", authorities=(new,) if new else ())
    return reduced_documents({TRUST: before}, {TRUST: after}) == {TRUST}


@pytest.mark.parametrize(
    ("change", "reduced"),
    [
        ({}, False),
        ({"anchors": (b"1", b"2", b"4")}, False),
        ({"anchors": (b"1",)}, True),
        ({"intermediates": ()}, True),
        ({"revoked_serials": ("1", "2")}, True),
        ({"revoked_serials": ()}, False),
        ({"revoked_sha256": ("bb",)}, True),
        ({"eui_ranges": ()}, False),
        ({"eui_ranges": ("0000000000000000/4",)}, False),
        ({"eui_ranges": ("0000000000000000/0",)}, False),
        ({"eui_ranges": ("0102000000000000/16",)}, True),
        ({"eui_ranges": ("0200000000000000/8",)}, True),
        (lists(1, 2), False),
        (lists(1, 2, 3), True),
        (lists(3), True),
        (lists(1), False),
        (lists(1, 2, serials=pack_serials([1])), True),
        (lists(1, 2, next_update=99), True),
        (lists(1, 2, next_update=101), False),
        (lists(1, 2, refuse_overdue=False), False),
        ({"revocation_lists": ()}, False),
        ({"weak_signatures": False}, True),
        ({"presented_intermediates": False}, True),
        ({"uid": "another"}, True),
        ({"namespace": "another"}, True),
    ],
)
def test_less_trust_is_a_reduction(change: dict[str, Any], reduced: bool) -> None:
    assert trust_reduced(replace(AUTHORITY, **change)) is reduced


def test_taking_presented_intermediates_again_is_not_a_reduction() -> None:
    strict = replace(AUTHORITY, presented_intermediates=False)
    assert not trust_reduced(AUTHORITY, strict)
    assert not trust_reduced(strict, strict)


def test_removing_a_ca_or_adding_ranges_is_a_reduction() -> None:
    assert trust_reduced(None)
    assert trust_reduced(AUTHORITY, replace(AUTHORITY, eui_ranges=()))


def test_the_first_list_of_an_issuer_and_the_refusal_of_the_overdue_are_reductions() -> None:
    assert trust_reduced(AUTHORITY, replace(AUTHORITY, revocation_lists=()))
    lenient = replace(AUTHORITY, **lists(1, 2, refuse_overdue=False))
    assert trust_reduced(AUTHORITY, lenient)


def test_another_release_namespace_is_a_reduction() -> None:
    before, after = TrustDocument(release_namespace="r"), TrustDocument(release_namespace="s")
    assert reduced_documents({TRUST: before}, {TRUST: after}) == {TRUST}


@pytest.mark.parametrize(
    ("change", "reduced"),
    [
        ({}, False),
        ({"lns_uri": "wss://new:1", "lns_credentials": b"x"}, False),
        ({"suspended": True}, True),
        ({"trusted_cas": None}, False),
        ({"trusted_cas": ("n/a", "n/b", "n/c")}, False),
        ({"trusted_cas": ("n/a",)}, True),
        ({"trusted_cas": ()}, True),
        ({"sha256_fingerprints": ("cc",)}, True),
        ({"token_sha256s": ("dd", "cc", "ee")}, False),
        ({"token_sources": ("c/token", "d/token")}, False),
        ({"token_sha256s": ("cc",), "token_sources": ("a/token",)}, True),
        ({"token_sha256s": ("cc", "ee")}, True),
        ({"token_sha256s": (), "token_sources": ()}, True),
        ({"uid": "another"}, True),
    ],
)
def test_less_of_a_gateway_is_a_reduction(change: dict[str, Any], reduced: bool) -> None:
    before = RegistryDocument(bucket=0, gateways=(GATEWAY,))
    after = RegistryDocument(bucket=0, gateways=(replace(GATEWAY, **change),))
    assert bool(reduced_documents({REGISTRY[0]: before}, {REGISTRY[0]: after})) is reduced


def test_removing_a_gateway_is_a_reduction_and_adding_one_is_not() -> None:
    with_it, without = RegistryDocument(bucket=0, gateways=(GATEWAY,)), RegistryDocument(bucket=0)
    assert reduced_documents({REGISTRY[0]: with_it}, {REGISTRY[0]: without}) == {REGISTRY[0]}
    assert reduced_documents({REGISTRY[0]: without}, {REGISTRY[0]: with_it}) == frozenset()


def test_a_document_that_was_not_in_force_reduces_nothing() -> None:
    assert reduced_documents({}, {TRUST: TrustDocument(release_namespace="r")}) == frozenset()


@pytest.mark.parametrize(
    ("kind", "old", "new", "reduced"),
    [
        ("TrustedCA", {}, {}, False),
        ("TrustedCA", {}, {"suspended": True}, True),
        ("TrustedCA", {"suspended": True}, {}, True),
        ("TrustedCA", {}, {"revocation": {"serials": ["1F"]}}, True),
        ("TrustedCA", {}, {"revocation": {"sha256Fingerprints": ["00"]}}, True),
        ("TrustedCA", {}, {"euiRanges": ["0102000000000000/16"]}, True),
        ("TrustedCA", {"certificates": "two"}, {"certificates": "one"}, True),
        ("TrustedCA", {}, {"euiRanges": 7}, False),
        ("Gateway", {}, {"lns": {"uri": "wss://a:1"}}, False),
        ("Gateway", {}, {"suspended": True}, True),
        ("Gateway", {"suspended": True}, {}, False),
        ("Gateway", {}, {"client": {"trustedCAs": ["one"]}}, True),
        ("Gateway", {"client": {"trustedCAs": ["one"]}}, {}, False),
        ("Gateway", {}, {"client": {"sha256Fingerprints": ["00"]}}, True),
    ],
)
def test_a_spec_that_may_accept_fewer_clients_is_a_reduction(
    kind: str, old: dict[str, object], new: dict[str, object], reduced: bool
) -> None:
    before, after = (
        decode_resource(kind, {"metadata": {"uid": "u"}, "spec": {"eui": "0102030405060708", **spec}})
        for spec in (old, new)
    )
    assert resource_reduced(before, after) is reduced


SAME: dict[str, Any] = {
    "trustedCAs": ["a", "b"],
    "sha256Fingerprints": ["aa", "bb"],
    "tokens": [{"secretKeyRef": {"name": name, "key": "token"}} for name in ("a", "b")],
}


@pytest.mark.parametrize(
    ("spec", "may"),
    [
        ({}, False),
        ({"lns": {"uri": "wss://b:1"}}, False),
        ({"client": {**SAME, "trustedCAs": ["a", "b", "c"]}}, False),
        ({"client": {**SAME, "trustedCAs": ["a"]}}, True),
        ({"client": {**SAME, "sha256Fingerprints": ["aa"]}}, True),
        ({"client": {**SAME, "tokens": SAME["tokens"][:1]}}, True),
        ({"client": {}}, True),
        ({"suspended": True}, True),
        ({"eui": "0" * 15 + "1"}, True),
        ({"eui": 7}, False),
    ],
)
def test_a_record_may_be_reduced_where_the_gateway_is_written_with_less(spec: dict[str, object], may: bool) -> None:
    written = {"eui": GATEWAY.eui, "client": SAME, **spec}
    resource = decode_resource("Gateway", {"metadata": {"uid": "u"}, "spec": written})
    assert isinstance(resource, Gateway)
    assert record_may_be_reduced(GATEWAY, resource) is may


@pytest.mark.parametrize(
    ("eui", "sources", "may"),
    [(GATEWAY.eui, (), False), ("0" * 15 + "1", (), True), (GATEWAY.eui, GATEWAY.token_sources, True)],
    ids=["nothing", "its EUI", "its tokens"],
)
def test_a_gateway_without_client_may_take_away(eui: str, sources: tuple[str, ...], may: bool) -> None:
    resource = decode_resource("Gateway", {"metadata": {"uid": "u"}, "spec": {"eui": eui}})
    assert isinstance(resource, Gateway)
    # Without `client`, every TrustedCA in scope and every certificate is allowed.
    assert record_may_be_reduced(replace(GATEWAY, token_sources=sources), resource) is may


def test_a_record_whose_gateway_is_gone_may_be_reduced() -> None:
    assert record_may_be_reduced(GATEWAY, None)
