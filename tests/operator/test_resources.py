import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_operator.resources.named_references import references
from stationkeeper_operator.resources.records import (
    CONFIG_MAP,
    GATEWAY,
    GATEWAY_DEFAULTS,
    SECRET,
    TRUSTED_CA,
    Key,
    Reference,
    TrustedCA,
    decode_referenced,
    decode_resource,
)
from tests.operator.resource_building import EUI, make_ca, make_gateway

_LEAF = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=20)
_FIELDS = st.sampled_from(
    [
        "metadata spec status data binaryData name namespace uid labels generation creationTimestamp",
        "eui lns uri trust trustFrom auth token secretKeyRef configMapKeyRef key client trustedCAs certificates",
        "certificatesFrom euiRanges revocation serials suspended conditions type lastTransitionTime",
    ]
).flatmap(lambda words: st.sampled_from(words.split()))
_JSON: st.SearchStrategy[Any] = st.recursive(
    _LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_FIELDS, inner, max_size=6), max_leaves=30
)


@settings(deadline=None)
@given(kind=st.sampled_from([TRUSTED_CA, GATEWAY, GATEWAY_DEFAULTS]), value=_JSON)
def test_any_json_gives_a_record_with_a_spec_or_a_problem(kind: str, value: Any) -> None:
    found = decode_resource(kind, json.dumps(value).encode())
    assert (found.spec is None) == bool(found.problem)
    assert found.key.kind == kind
    assert found.metadata.creation_timestamp.tzinfo is not None
    assert isinstance(found.status.conditions, tuple)
    assert isinstance(references(found), frozenset)


@settings(deadline=None)
@given(kind=st.sampled_from([TRUSTED_CA, GATEWAY, GATEWAY_DEFAULTS]), value=st.binary(max_size=200))
def test_any_bytes_give_a_record(kind: str, value: bytes) -> None:
    assert (decode_resource(kind, value).spec is None) or value


@settings(deadline=None)
@given(kind=st.sampled_from([SECRET, CONFIG_MAP]), value=_JSON)
def test_any_json_gives_a_referenced_object(kind: str, value: Any) -> None:
    assert all(isinstance(each, bytes) for each in decode_referenced(kind, json.dumps(value).encode()).data.values())


def test_text_and_decoded_objects_give_the_same_record() -> None:
    raw = {"metadata": {"name": "a", "namespace": "b", "generation": 3}, "spec": {"eui": EUI}}
    assert decode_resource(GATEWAY, raw) == decode_resource(GATEWAY, json.dumps(raw).encode())


def test_deep_nesting_gives_a_problem() -> None:
    found = decode_resource(GATEWAY, b'{"spec":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert found.spec is None


def test_suspension_is_known_even_where_the_spec_cannot_be_decoded() -> None:
    found = decode_resource(TRUSTED_CA, {"spec": {"certificates": 5, "suspended": True}})
    assert isinstance(found, TrustedCA)
    assert found.spec is None
    assert found.suspended


def test_one_broken_field_of_the_metadata_leaves_the_others() -> None:
    found = decode_resource(GATEWAY, {"metadata": {"name": "a", "namespace": "b", "uid": "u", "labels": 7}, "spec": {}})
    assert found.key == Key(GATEWAY, "b", "a")
    assert found.metadata.uid == "u"


def test_a_timestamp_without_a_zone_is_utc() -> None:
    found = decode_resource(GATEWAY, {"metadata": {"creationTimestamp": "2026-01-01T00:00:00"}})
    assert found.metadata.creation_timestamp.utcoffset() is not None


def test_secret_data_is_decoded_and_undecodable_keys_are_left_out() -> None:
    raw = {"data": {"good": base64.b64encode(b"x").decode(), "bad": "!", "worse": 3}}
    assert decode_referenced(SECRET, raw).data == {"good": b"x"}


def test_config_map_data_is_text_and_binary_data_base64() -> None:
    raw = {"data": {"text": "ä"}, "binaryData": {"binary": base64.b64encode(b"\xff").decode()}}
    assert decode_referenced(CONFIG_MAP, raw).data == {"text": "ä".encode(), "binary": b"\xff"}


def test_references_are_those_of_the_namespace_of_the_resource() -> None:
    ref = {"name": "n", "key": "k"}
    gateway = make_gateway(
        {
            "eui": EUI,
            "lns": {
                "uri": "wss://a:1",
                "trustFrom": {"configMapKeyRef": ref},
                "auth": {"token": {"secretKeyRef": ref}},
            },
        }
    )
    assert references(gateway) == {Reference(CONFIG_MAP, "lorawan", "n"), Reference(SECRET, "lorawan", "n")}
    assert references(make_ca({"certificatesFrom": {"secretKeyRef": ref}})) == {Reference(SECRET, "lorawan", "n")}
    assert references(make_ca({"certificates": "x"})) == frozenset()


@pytest.mark.parametrize("decode", [decode_resource, decode_referenced])
def test_another_kind_is_a_fault_of_the_caller(decode: Any) -> None:
    with pytest.raises(ValueError, match="Pod"):
        decode("Pod", {})
