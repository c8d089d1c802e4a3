"""Each single change that makes a document or a spec accept less, and the most similar change that does not."""

from typing import Any

import pytest
from msgspec.structs import replace

from stationkeeper_core.eui_range import parse_range
from stationkeeper_core.published.documents import (
    REGISTRY,
    TRUST,
    RegisteredGateway,
    RegistryDocument,
    ReservedEUI,
    RevocationList,
    ServedNamespace,
    TrustDocument,
    TrustedAuthority,
)
from stationkeeper_core.x509.serial_numbers import pack_serials
from stationkeeper_operator.compiling.retention.reductions import (
    common_ranges,
    reduced_documents,
    resource_reduced,
    revokes_more,
)
from stationkeeper_operator.resources.records import decode_resource

AUTHORITY = TrustedAuthority(namespace="n", name="a", uid="u", anchors=(b"1",))
GATEWAY = RegisteredGateway(eui="0" * 16, namespace="n", name="g", uid="u", rank=1)
RESERVED = ReservedEUI(eui="1" * 16, namespace="n", uid="r", rank=1)
DOCUMENT = REGISTRY[0]


def trust_reduced(old: TrustedAuthority, *new: TrustedAuthority) -> bool:
    before, after = (TrustDocument(release_namespace="r", authorities=each) for each in ((old,), new))
    return bool(reduced_documents({TRUST: before}, {TRUST: after}))


def registry_reduced(before: RegistryDocument, after: RegistryDocument) -> bool:
    return bool(reduced_documents({DOCUMENT: before}, {DOCUMENT: after}))


@pytest.mark.parametrize(
    ("old", "new", "reduced"),
    [
        (("0100000000000000/8",), ("0100000000000000/8", "0200000000000000/8"), False),
        (("0100000000000000/8", "0200000000000000/8"), ("0100000000000000/8",), True),
        (("0100000000000000/8", "0300000000000000/8"), ("0100000000000000/8", "0200000000000000/8"), True),
        (("0101000000000000/16", "0102000000000000/16"), ("0100000000000000/8",), False),
        (("0100000000000000/8",), ("0101000000000000/16", "0102000000000000/16"), True),
        (("0200000000000000/8",), ("0200000000000000/7",), False),
        (("0200000000000000/7",), ("0200000000000000/8",), True),
        (("0100000000000000/8",), ("no range",), True),
        (("no range",), ("0100000000000000/8",), True),
        ((), ("0000000000000000/0",), True),
    ],
)
def test_ranges_are_a_reduction_where_one_of_before_lies_in_none_of_now(
    old: tuple[str, ...], new: tuple[str, ...], reduced: bool
) -> None:
    assert trust_reduced(replace(AUTHORITY, eui_ranges=old), replace(AUTHORITY, eui_ranges=new)) is reduced


def test_a_trusted_ca_of_another_name_is_a_reduction_and_one_next_to_it_is_none() -> None:
    assert trust_reduced(AUTHORITY, replace(AUTHORITY, name="b"))
    assert not trust_reduced(AUTHORITY, AUTHORITY, replace(AUTHORITY, name="b", uid="v"))


def test_serving_less_is_a_reduction_and_serving_more_is_none() -> None:
    one, two = ServedNamespace(namespace="a"), ServedNamespace(namespace="b")
    both, alone = replace(AUTHORITY, serves=(one, two)), replace(AUTHORITY, serves=(one,))

    assert trust_reduced(both, alone)
    assert not trust_reduced(alone, both)


def test_taking_weak_signatures_from_now_on_is_not_a_reduction() -> None:
    assert not trust_reduced(AUTHORITY, replace(AUTHORITY, weak_signatures=True))
    assert not trust_reduced(*[replace(AUTHORITY, weak_signatures=True)] * 2)


@pytest.mark.parametrize(
    ("old", "new", "more"),
    [
        ({}, {}, False),
        ({"next_update": None, "refuse_overdue": True}, {"next_update": 5, "refuse_overdue": True}, True),
        ({"next_update": 5, "refuse_overdue": True}, {"next_update": None, "refuse_overdue": True}, False),
        ({"next_update": 5, "refuse_overdue": True}, {"next_update": 5, "refuse_overdue": True}, False),
        ({"next_update": 5}, {"next_update": 4}, False),
        ({"serials": pack_serials([1, 2])}, {"serials": pack_serials([2])}, False),
        ({"serials": pack_serials([1])}, {"serials": pack_serials([2])}, True),
    ],
)
def test_a_list_revokes_more_by_its_serials_and_by_when_it_refuses(
    old: dict[str, Any], new: dict[str, Any], more: bool
) -> None:
    before, after = (
        replace(AUTHORITY, revocation_lists=(RevocationList(issuer_key="k", **each),)) for each in (old, new)
    )

    assert revokes_more(before, after) is more


def test_a_list_of_another_issuer_is_not_a_list_of_this_one() -> None:
    mine, others = (RevocationList(issuer_key=each, serials=pack_serials([1])) for each in ("k", "l"))

    assert revokes_more(replace(AUTHORITY, revocation_lists=(others,)), replace(AUTHORITY, revocation_lists=(mine,)))
    assert revokes_more(replace(AUTHORITY, revoked_serials=("1",)), replace(AUTHORITY, revoked_sha256=("1",)))


@pytest.mark.parametrize(
    ("change", "reduced"),
    [
        ({"rank": 2}, True),
        ({"rank": 0}, False),
        ({"eui": "2" * 16}, True),
        ({"name": "other"}, True),
        ({"namespace": "other"}, True),
        ({"trusted_cas": ()}, True),
        ({"sha256_fingerprints": ()}, True),
    ],
)
def test_each_field_that_can_exclude_a_gateway_is_a_reduction(change: dict[str, Any], reduced: bool) -> None:
    before, after = (RegistryDocument(bucket=0, gateways=(each,)) for each in (GATEWAY, replace(GATEWAY, **change)))

    assert registry_reduced(before, after) is reduced


def test_a_gateway_that_stays_suspended_is_not_reduced_again() -> None:
    suspended = RegistryDocument(bucket=0, gateways=(replace(GATEWAY, suspended=True),))

    assert not registry_reduced(suspended, suspended)
    assert not registry_reduced(suspended, RegistryDocument(bucket=0, gateways=(GATEWAY,)))


@pytest.mark.parametrize(
    ("old", "new", "reduced"),
    [
        ((), (RESERVED,), True),
        ((RESERVED,), (), False),
        ((RESERVED,), (RESERVED,), False),
        ((RESERVED,), (replace(RESERVED, rank=0),), True),
        ((RESERVED,), (replace(RESERVED, rank=2),), False),
        ((RESERVED,), (replace(RESERVED, namespace="m"),), True),
        ((RESERVED,), (replace(RESERVED, eui="2" * 16),), True),
        ((RESERVED,), (replace(RESERVED, uid="s"),), False),
    ],
)
def test_a_new_reservation_with_a_lower_rank_is_a_reduction(
    old: tuple[ReservedEUI, ...], new: tuple[ReservedEUI, ...], reduced: bool
) -> None:
    before, after = (RegistryDocument(bucket=0, reserved=each) for each in (old, new))

    assert registry_reduced(before, after) is reduced


def test_a_document_of_another_kind_reduces_what_was_there() -> None:
    assert reduced_documents({TRUST: TrustDocument(release_namespace="r")}, {TRUST: RegistryDocument(bucket=0)})
    assert reduced_documents({TRUST: RegistryDocument(bucket=0)}, {TRUST: TrustDocument(release_namespace="r")})


def test_only_documents_that_reduce_are_named() -> None:
    full, empty = RegistryDocument(bucket=0, gateways=(GATEWAY,)), RegistryDocument(bucket=0)
    before = {REGISTRY[0]: full, REGISTRY[1]: full, REGISTRY[2]: empty}

    assert reduced_documents(before, dict.fromkeys(before, empty)) == {REGISTRY[0], REGISTRY[1]}


@pytest.mark.parametrize(
    ("held", "listed", "common"),
    [
        ((), ("01/8", "02/8"), ("01/8", "02/8")),
        (("01/8",), ("0102/16",), ("0102/16",)),
        (("0102/16",), ("01/8",), ("0102/16",)),
        (("01/8",), ("02/8",), ()),
        (("02/8", "01/8"), ("01/8", "02/8"), ("01/8", "02/8")),
        (("00/0",), ("01/8",), ("01/8",)),
        (("01/8",), ("00/0",), ("01/8",)),
        (("80/1",), ("01/8",), ()),
        (("80/1",), ("81/8",), ("81/8",)),
    ],
)
def test_what_two_lists_of_ranges_have_in_common(
    held: tuple[str, ...], listed: tuple[str, ...], common: tuple[str, ...]
) -> None:
    def ranges(texts: tuple[str, ...]) -> tuple[Any, ...]:
        return tuple(parse_range(f"{prefix:0<16}/{bits}") for prefix, bits in (each.split("/") for each in texts))

    assert common_ranges(ranges(held), ranges(listed)) == ranges(common)


def resource(kind: str, *, uid: str = "u", deleted: bool = False, **spec: object) -> Any:
    metadata = {"uid": uid} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {})
    return decode_resource(kind, {"metadata": metadata, "spec": {"eui": "0102030405060708", **spec}})


@pytest.mark.parametrize("kind", ["TrustedCA", "Gateway"])
def test_another_object_of_the_name_and_one_being_deleted_may_accept_less(kind: str) -> None:
    now = resource(kind)

    assert not resource_reduced(now, now)
    assert resource_reduced(now, resource(kind, uid="v"))
    assert resource_reduced(now, resource(kind, deleted=True))
    assert not resource_reduced(resource(kind, deleted=True), resource(kind, deleted=True))


def test_a_spec_that_cannot_be_read_keeps_what_it_had() -> None:
    narrow = resource("Gateway", client={"trustedCAs": ["one"]})

    assert not resource_reduced(narrow, resource("Gateway", client=7))
    assert not resource_reduced(resource("Gateway", client=7), narrow)
    assert not resource_reduced(narrow, narrow)
    assert resource_reduced(narrow, resource("Gateway", client={"trustedCAs": ["two"]}))


def test_gateway_defaults_accept_no_client() -> None:
    before, after = (resource("GatewayDefaults", lns={"uri": each}) for each in ("wss://a:1", "wss://b:1"))

    assert not resource_reduced(before, after)
