"""A registry document is read in pieces and packed; the result has the same content as the whole document."""

import gc
import json
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.in_force.gateway_registry import RegistryBucket
from stationkeeper_core.in_force.registry_reading import PIECE_BYTES, read_registry
from stationkeeper_core.in_force.snapshot import Holdings
from stationkeeper_core.protocol.credentials import client_authentication, token_authentication
from stationkeeper_core.published.document_envelope import Header, digest
from stationkeeper_core.published.documents import (
    RegisteredGateway,
    RegistryDocument,
    ReservedEUI,
    decode,
    encode,
    encode_payload,
)
from stationkeeper_core.published.packed_gateways import GatewayPacker
from stationkeeper_core.published.registry_layout import bucket_of, layout_of
from tests.core.certificates import ca
from tests.examples import examples

NAME = layout_of(16).registry[0]
MINE = [EUI64(number) for number in range(20_000) if bucket_of(EUI64(number)) == 0]
TRUST, DEVICE = ca("LNS").der, ca("device").der
CREDENTIALS = st.one_of(
    st.sampled_from([b"", bytes(12), TRUST, b"\x30", b"\x30\x82", b"\x30\x85\xff\xff\xff\xff\xff", b"\x30\x80"]),
    st.binary(max_size=40).map(lambda token: token_authentication(TRUST, token)),
    st.binary(max_size=40).map(lambda key: client_authentication(TRUST, DEVICE, key)),
    st.binary(max_size=60),
)
TEXTS = st.text(max_size=12)
LISTS = st.lists(TEXTS, max_size=3).map(tuple)
GATEWAYS = st.builds(
    RegisteredGateway,
    eui=st.sampled_from(MINE[:6]).map(format_hex),
    namespace=st.sampled_from(["a", "b", "c", '"},{"eui":"']),
    name=TEXTS,
    uid=st.one_of(TEXTS, st.uuids().map(str)),
    suspended=st.booleans(),
    trusted_cas=st.none() | LISTS,
    sha256_fingerprints=st.none() | LISTS,
    lns_uri=TEXTS,
    lns_credentials=CREDENTIALS,
    cups_uri=TEXTS,
    cups_credentials=CREDENTIALS,
    token_sha256s=LISTS,
    token_sources=LISTS,
    rank=st.integers(0, 3),
)
RESERVED = st.builds(
    ReservedEUI,
    eui=st.sampled_from(MINE[:6]).map(format_hex),
    namespace=st.sampled_from(["d", "e"]),
    uid=TEXTS,
    rank=st.integers(0, 3),
    waits=st.booleans(),
)


def _owner(each: RegisteredGateway | ReservedEUI) -> tuple[str, str]:
    return each.eui, each.namespace


DOCUMENTS = st.builds(
    lambda gateways, reserved: RegistryDocument(bucket=0, gateways=tuple(gateways), reserved=tuple(reserved)),
    st.lists(GATEWAYS, max_size=12, unique_by=_owner),
    st.lists(RESERVED, max_size=4, unique_by=_owner),
)


def _header(payload: bytes, generation: int = 7) -> Header:
    return Header(contract=2, document=NAME, generation=generation, sha256=digest(payload))


def _read(payload: bytes) -> RegistryBucket:
    return read_registry(NAME, _header(payload), payload)


def _assert_is(bucket: RegistryBucket, document: RegistryDocument) -> None:
    assert len(bucket) == len(document.gateways)
    assert sorted(map(repr, bucket)) == sorted(map(repr, document.gateways))
    every: tuple[RegisteredGateway | ReservedEUI, ...] = (*document.gateways, *document.reserved)
    for eui in MINE[:8]:
        held = [each for each in every if each.eui == format_hex(eui)]
        assert bucket.holders(eui) == tuple(sorted(held, key=lambda each: (each.rank, each.namespace)))


@given(DOCUMENTS)
@settings(max_examples=examples(200), deadline=None)
def test_a_document_is_read_completely(document: RegistryDocument) -> None:
    _assert_is(_read(encode_payload(document)), document)
    _assert_is(RegistryBucket.of_document(document), document)


@given(DOCUMENTS)
@settings(max_examples=examples(50), deadline=None)
def test_a_document_that_is_written_in_another_way_is_read_the_same(document: RegistryDocument) -> None:
    builtins = json.loads(encode_payload(document))
    spaced = json.dumps(builtins, indent=1).encode()
    turned = json.dumps({key: builtins[key] for key in ("reserved", "gateways", "bucket")}, separators=(",", ":"))
    records = [dict(reversed(each.items())) for each in builtins["gateways"]]
    reordered = json.dumps({**builtins, "gateways": records}, separators=(",", ":")).encode()
    for payload in (spaced, turned.encode(), reordered):
        _assert_is(_read(payload), document)


def _many(count: int = 1_200) -> RegistryDocument:
    gateways = tuple(
        RegisteredGateway(
            eui=format_hex(eui),
            namespace=f"n{place % 7}",
            name=f"gw-{place}",
            uid=f"uid-{place}",
            lns_credentials=token_authentication(TRUST, f"token {place % 3}".encode()),
        )
        for place, eui in enumerate(MINE[:count])
    )
    return RegistryDocument(bucket=0, gateways=gateways)


def test_a_large_document_is_read_in_pieces_each_record_once() -> None:
    document = _many()
    payload = encode_payload(document)
    assert len(payload) > 5 * PIECE_BYTES
    _assert_is(_read(payload), document)


@pytest.mark.parametrize("place", ["first", "middle", "last"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"uid":"uid-', b'"uid":1,"x":"'),
        (b'"namespace":"', b'"namespaces":"'),
        (b'"lns_credentials":"', b'"lns_credentials":"!'),
        (b'"name":"gw', b'"name":"\xff'),
        (b'"eui":"0', b'"eui":"G'),
        (b'"},{"eui"', b'"}{"eui"'),
    ],
)
def test_one_bad_record_refuses_the_whole_document_wherever_it_stands(old: bytes, new: bytes, place: str) -> None:
    payload = encode_payload(_many(600))
    found = [match.start() for match in re.finditer(re.escape(old), payload)]
    begin = found[{"first": 0, "middle": len(found) // 2, "last": -1}[place]]
    broken = payload[:begin] + new + payload[begin + len(old) :]
    with pytest.raises(StationkeeperError) as refused:
        _read(broken)
    with pytest.raises(StationkeeperError) as expected:
        decode(NAME, encode(NAME, 1, broken))
    assert (refused.value.reason, refused.value.detail) == (expected.value.reason, expected.value.detail)


@given(DOCUMENTS, st.data())
@settings(max_examples=examples(300), deadline=None)
def test_a_damaged_payload_is_refused_where_the_whole_would_be_and_read_the_same_otherwise(
    document: RegistryDocument, data: st.DataObject
) -> None:
    payload = bytearray(encode_payload(document))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(payload) - 1))
        choice = data.draw(
            st.sampled_from([b"", b'"', b"}", b"]", b"[", b",", b'],"reserved":[', b'},{"eui":"', b"\\"])
        )
        payload[place : place + data.draw(st.integers(0, 2))] = choice
        if not payload:
            return
    try:
        expected = decode(NAME, encode(NAME, 1, bytes(payload))).content
    except StationkeeperError as error:
        with pytest.raises(StationkeeperError) as refused:
            _read(bytes(payload))
        assert refused.value.reason == error.reason
    else:
        assert isinstance(expected, RegistryDocument)
        _assert_is(_read(bytes(payload)), expected)


def test_a_gateway_of_another_bucket_and_one_that_stands_twice_are_refused() -> None:
    (other,) = [each for each in [EUI64(2**63)] if bucket_of(each) != 0] or [EUI64(1)]
    gateway = RegisteredGateway(eui=format_hex(MINE[0]), namespace="n", name="g", uid="u")
    for gateways in ((gateway, gateway), (msgspec.structs.replace(gateway, eui=format_hex(other)),)):
        with pytest.raises(StationkeeperError):
            _read(encode_payload(RegistryDocument(bucket=0, gateways=gateways)))


def test_shared_parts_of_gateways_are_stored_once_and_need_no_garbage_collection() -> None:
    packer = GatewayPacker()
    document = _many()
    for each in document.gateways:
        packer.add(EUI64(int(each.eui, 16)), each)
    gc.collect()
    before = len(gc.get_objects())
    packed = packer.finish()
    del packer
    gc.collect()
    assert packed.size / len(document.gateways) < 60
    assert len(gc.get_objects()) - before < 100
    first, second = packed.with_eui(MINE[3])[0], packed.with_eui(MINE[6])[0]
    assert first.lns_credentials is second.lns_credentials


def test_an_older_document_and_the_one_in_force_are_known_by_their_headers() -> None:
    document = _many(5)
    holdings = Holdings().accept(NAME, encode(NAME, 5, encode_payload(document)))
    held = holdings.buckets[NAME]
    assert holdings.accept(NAME, encode(NAME, 5, encode_payload(document))).buckets[NAME] is held
