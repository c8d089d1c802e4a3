import itertools
import random
import secrets
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.published import document_envelope
from stationkeeper_core.published.documents import (
    BUCKETS,
    DOCUMENTS,
    MAX_AUTHORITIES,
    MAX_SECRET_BYTES,
    REGISTRY,
    TRUST,
    RegisteredGateway,
    RegistryDocument,
    RevocationList,
    TrustDocument,
    TrustedAuthority,
    bucket_of,
    decode,
    encode,
    encode_payload,
    secret_name,
)
from stationkeeper_core.x509.serial_numbers import pack_serials
from tests.examples import examples

REASONS = {Reason.MALFORMED_DOCUMENT, Reason.UNKNOWN_CONTRACT, Reason.WRONG_DOCUMENT, Reason.DIGEST_MISMATCH}
TEXT = st.text(max_size=10)
BYTES = st.binary(max_size=50)
SECONDS = st.integers(0, 2**35)
LISTS = st.builds(
    RevocationList,
    issuer_key=TEXT,
    serials=st.lists(st.integers(0, 2**160), max_size=3).map(pack_serials),
    this_update=SECONDS,
    next_update=st.none() | SECONDS,
    refuse_overdue=st.booleans(),
)
AUTHORITIES = st.lists(
    st.builds(
        TrustedAuthority,
        namespace=TEXT,
        name=TEXT,
        uid=TEXT,
        anchors=st.lists(BYTES, max_size=3).map(tuple),
        intermediates=st.lists(BYTES, max_size=3).map(tuple),
        eui_ranges=st.lists(TEXT, max_size=2).map(tuple),
        revoked_serials=st.lists(TEXT, max_size=2).map(tuple),
        revoked_sha256=st.lists(TEXT, max_size=2).map(tuple),
        revocation_lists=st.lists(LISTS, max_size=2).map(tuple),
        weak_signatures=st.booleans(),
        presented_intermediates=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda each: (each.namespace, each.name),
)
GATEWAYS = st.lists(
    st.builds(
        RegisteredGateway,
        eui=st.integers(0, 2**64 - 1).map(lambda eui: format_hex(EUI64(eui))),
        namespace=TEXT,
        name=TEXT,
        uid=TEXT,
        suspended=st.booleans(),
        trusted_cas=st.none() | st.lists(TEXT, max_size=2).map(tuple),
        sha256_fingerprints=st.none() | st.lists(TEXT, max_size=2).map(tuple),
        lns_uri=TEXT,
        lns_credentials=BYTES,
    ),
    max_size=6,
    unique_by=lambda each: each.eui,
)


def _refusal(document: str, value: bytes) -> Reason:
    with pytest.raises(StationkeeperError) as refused:
        decode(document, value)
    return refused.value.reason


def _registry(bucket: int, *euis: str) -> bytes:
    gateways = tuple(RegisteredGateway(eui=eui, namespace="n", name="g", uid="u") for eui in euis)
    return encode(REGISTRY[bucket], 1, encode_payload(RegistryDocument(bucket=bucket, gateways=gateways)))


@given(AUTHORITIES, st.integers(1, 2**62), st.randoms(use_true_random=False))
def test_a_trust_document_survives_whatever_the_order(
    authorities: list[TrustedAuthority], generation: int, order: random.Random
) -> None:
    shuffled = list(authorities)
    order.shuffle(shuffled)
    payload = encode_payload(TrustDocument(release_namespace="r", authorities=tuple(authorities)))
    other = encode_payload(TrustDocument(release_namespace="r", authorities=tuple(shuffled)))

    found = decode(TRUST, encode(TRUST, generation, payload))

    assert payload == other
    assert found.header.generation == generation
    assert isinstance(found.content, TrustDocument)
    assert set(found.content.authorities) == set(authorities)


@given(GATEWAYS)
def test_registry_documents_survive(gateways: list[RegisteredGateway]) -> None:
    found: list[RegisteredGateway] = []
    for bucket, document in enumerate(REGISTRY):
        mine = tuple(each for each in gateways if bucket_of(EUI64(int(each.eui, 16))) == bucket)
        content = decode(document, encode(document, 1, encode_payload(RegistryDocument(bucket=bucket, gateways=mine))))
        assert isinstance(content.content, RegistryDocument)
        found += content.content.gateways
    assert sorted(found, key=lambda each: each.eui) == sorted(gateways, key=lambda each: each.eui)


@given(st.lists(st.sampled_from(("a", "b")), max_size=6))
def test_equal_values_of_the_gateways_of_a_document_are_one_object(names: list[str]) -> None:
    euis = (EUI64(number) for number in itertools.count() if bucket_of(EUI64(number)) == 0)
    gateways = tuple(
        RegisteredGateway(
            eui=format_hex(eui),
            namespace=f"team-{name}",
            name="g",
            uid=format_hex(eui),
            trusted_cas=(f"release/{name}",),
            lns_uri=f"wss://{name}.example.com:8887",
            lns_credentials=name.encode() * 1000,
        )
        for eui, name in zip(euis, names, strict=False)
    )
    payload = encode_payload(RegistryDocument(bucket=0, gateways=gateways))
    content = decode(REGISTRY[0], encode(REGISTRY[0], 1, payload)).content
    assert isinstance(content, RegistryDocument)
    assert content.gateways == gateways
    for field in ("namespace", "trusted_cas", "lns_uri", "lns_credentials"):
        assert len({id(getattr(each, field)) for each in content.gateways}) == len(set(names))


@given(st.sampled_from(DOCUMENTS), st.binary(max_size=200))
def test_any_bytes_are_a_document_or_refused_by_name(document: str, value: bytes) -> None:
    assert _refusal(document, value) in REASONS


@settings(max_examples=examples(200))
@given(st.data())
def test_a_document_with_any_bytes_changed_is_refused_by_name_or_is_what_it_was(data: st.DataObject) -> None:
    content = TrustDocument(
        release_namespace="r", authorities=(TrustedAuthority(namespace="n", name="c", uid="u", anchors=(b"x" * 50,)),)
    )
    value = bytearray(encode(TRUST, 7, encode_payload(content)))
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode(TRUST, bytes(value))
    except StationkeeperError as error:
        assert error.reason in REASONS
    else:
        assert found.content == content


@given(st.text(max_size=30), st.binary(max_size=100))
def test_any_payload_behind_a_right_header_is_refused_by_name(text: str, junk: bytes) -> None:
    for payload in (text.encode(), junk, b"[" * 5000, b'{"release_namespace":1}'):
        assert _refusal(TRUST, encode(TRUST, 1, payload)) is Reason.MALFORMED_DOCUMENT


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda value: b"", Reason.MALFORMED_DOCUMENT),
        (lambda value: value.partition(b"\n")[0], Reason.MALFORMED_DOCUMENT),
        (lambda value: b"x" * 2000 + b"\n", Reason.MALFORMED_DOCUMENT),
        (lambda value: b"x" * (MAX_SECRET_BYTES + 1), Reason.MALFORMED_DOCUMENT),
        (lambda value: value[:-1], Reason.MALFORMED_DOCUMENT),
        (lambda value: value + b"x", Reason.MALFORMED_DOCUMENT),
        (lambda value: value.replace(b'"contract":2', b'"contract":9'), Reason.UNKNOWN_CONTRACT),
        (lambda value: value.replace(b'"contract":2', b'"contract":"x"'), Reason.UNKNOWN_CONTRACT),
        (lambda value: value.replace(b'"contract":2', b'"contract":null'), Reason.UNKNOWN_CONTRACT),
        (lambda value: value.replace(b'"document":"trust"', b'"document":"registry-00"'), Reason.WRONG_DOCUMENT),
        (lambda value: value.replace(b'"buckets":16', b'"buckets":17'), Reason.WRONG_DOCUMENT),
        (lambda value: value.replace(b'"sha256":"', b'"sha256":"0'), Reason.DIGEST_MISMATCH),
    ],
)
def test_a_spoilt_document_is_refused_with_its_reason(change: object, reason: Reason) -> None:
    assert callable(change)
    value = encode(TRUST, 1, encode_payload(TrustDocument(release_namespace="r")))

    assert _refusal(TRUST, change(value)) is reason


@pytest.mark.parametrize("generation", [b"1.5", b"1e3", b"true", b'"1"', b"null", b"9" * 2000])
def test_a_generation_that_is_not_a_whole_number_or_endless_is_refused(generation: bytes) -> None:
    value = encode(TRUST, 1, encode_payload(TrustDocument(release_namespace="r")))

    assert _refusal(TRUST, value.replace(b'"generation":1', b'"generation":' + generation)) is Reason.MALFORMED_DOCUMENT


@pytest.mark.parametrize(
    "payload",
    [
        b'{"bucket":' + b"1" * 5000 + b"}",
        b'{"bucket":1e400}',
        b'{"bucket":0,"gateways":null}',
        b'{"bucket":0,"gateways":[{}]}',
        b'{"bucket":0,"gateways":[{"eui":"\\ud800","namespace":"n","name":"g","uid":"u"}]}',
        b'{"bucket":0,"gateways":[{"eui":"' + "\uff10".encode() * 16 + b'","namespace":"n","name":"g","uid":"u"}]}',
        b'{"bucket":0,"unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_a_payload_that_no_operator_writes_is_refused_by_name(payload: bytes) -> None:
    assert _refusal(REGISTRY[0], encode(REGISTRY[0], 1, payload)) is Reason.MALFORMED_DOCUMENT


def test_another_contract_and_a_malformed_document_have_different_reasons() -> None:
    assert _refusal(TRUST, b'{"contract":9,"nothing":"known"}\nanything') is Reason.UNKNOWN_CONTRACT


def test_inflating_stops_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_envelope, "MAX_PAYLOAD_BYTES", 1000)
    header = encode(TRUST, 1, b"").partition(b"\n")[0]

    assert _refusal(TRUST, header + b"\n" + zlib.compress(bytes(10_000_000))) is Reason.MALFORMED_DOCUMENT


def test_a_document_as_large_as_the_bound_is_taken_and_a_larger_one_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    payload = encode_payload(TrustDocument(release_namespace="r" * 10_000))
    monkeypatch.setattr(document_envelope, "MAX_PAYLOAD_BYTES", len(payload))
    assert decode(TRUST, encode(TRUST, 1, payload)).header.generation == 1

    monkeypatch.setattr(document_envelope, "MAX_PAYLOAD_BYTES", len(payload) - 1)
    with pytest.raises(StationkeeperError) as refused:
        encode(TRUST, 1, payload)
    assert refused.value.reason is Reason.CAPACITY_EXCEEDED


def test_a_document_that_does_not_fit_into_a_secret_is_not_encoded() -> None:
    with pytest.raises(StationkeeperError) as refused:
        encode(TRUST, 1, secrets.token_bytes(MAX_SECRET_BYTES + 1))
    assert refused.value.reason is Reason.CAPACITY_EXCEEDED


def test_a_gateway_in_a_bucket_that_is_not_its_own_or_twice_or_without_an_eui_is_refused() -> None:
    eui = "0102030405060708"
    bucket = bucket_of(EUI64(int(eui, 16)))

    assert decode(REGISTRY[bucket], _registry(bucket, eui)).header.document == REGISTRY[bucket]
    other = (bucket + 1) % BUCKETS
    assert _refusal(REGISTRY[other], _registry(other, eui)) is Reason.MALFORMED_DOCUMENT
    assert _refusal(REGISTRY[bucket], _registry(bucket, eui, eui)) is Reason.MALFORMED_DOCUMENT
    assert _refusal(REGISTRY[bucket], _registry(bucket, "nonsense")) is Reason.MALFORMED_DOCUMENT


def test_a_registry_document_under_anothers_name_is_refused() -> None:
    payload = encode_payload(RegistryDocument(bucket=3))

    assert _refusal(REGISTRY[4], encode(REGISTRY[4], 1, payload)) is Reason.WRONG_DOCUMENT


def test_secrets_are_named_after_their_documents() -> None:
    assert [secret_name(document) for document in DOCUMENTS][:2] == ["stationkeeper-trust", "stationkeeper-registry-00"]


def _with_list(**fields: object) -> bytes:
    each = RevocationList(issuer_key="0" * 64, **fields)  # type: ignore[arg-type]
    record = TrustedAuthority(namespace="n", name="a", uid="u", anchors=(), revocation_lists=(each,))
    return encode(TRUST, 1, encode_payload(TrustDocument(release_namespace="r", authorities=(record,))))


@pytest.mark.parametrize("fields", [{"serials": b"\x05\x01"}, {"next_update": 2**40}, {"this_update": -(2**40)}])
def test_a_list_that_cannot_be_used_is_refused(fields: dict[str, object]) -> None:
    assert _refusal(TRUST, _with_list(**fields)) is Reason.MALFORMED_DOCUMENT


def test_fifty_thousand_serial_numbers_of_sixteen_bytes_fit_into_a_secret() -> None:
    chance = random.Random(1)  # noqa: S311 - no secret
    value = _with_list(serials=pack_serials(chance.getrandbits(127) for _ in range(50_000)))
    assert len(value) < MAX_SECRET_BYTES


@pytest.mark.parametrize("generation", [-1, document_envelope.MAX_GENERATION + 1])
def test_a_generation_that_no_count_reaches_is_refused(generation: int) -> None:
    value = encode(TRUST, 1, encode_payload(TrustDocument(release_namespace="r")))
    spoilt = value.replace(b'"generation":1', f'"generation":{generation}'.encode())

    assert _refusal(TRUST, spoilt) is Reason.MALFORMED_DOCUMENT


def _holding(*certificates: int, namespace: str = "") -> TrustDocument:
    """Return a document whose TrustedCAs have these numbers of certificates; each has its own namespace by default."""
    return TrustDocument(
        release_namespace="r",
        authorities=tuple(
            TrustedAuthority(namespace=namespace or str(at), name=str(at), uid=str(at), anchors=(b"x",) * count)
            for at, count in enumerate(certificates)
        ),
    )


@pytest.mark.parametrize(
    ("within", "above", "said"),
    [
        (_holding(*[1] * MAX_AUTHORITIES), _holding(*[1] * (MAX_AUTHORITIES + 1)), "TrustedCAs with"),
        (_holding(*[1000] * 4), _holding(*[1000] * 4, 1), "5 TrustedCAs with 4001 certificates"),
        (_holding(400, 600, namespace="n"), _holding(400, 601, namespace="n"), "1001 certificates of one namespace"),
    ],
)
def test_trust_beyond_what_the_contract_allows_is_refused(
    within: TrustDocument, above: TrustDocument, said: str
) -> None:
    assert decode(TRUST, encode(TRUST, 1, encode_payload(within))).header.generation == 1

    with pytest.raises(StationkeeperError, match=said) as refused:
        decode(TRUST, encode(TRUST, 1, encode_payload(above)))
    assert refused.value.reason is Reason.MALFORMED_DOCUMENT


def test_a_document_of_the_contract_before_is_not_counted() -> None:
    value = encode(TRUST, 1, encode_payload(_holding(1001)))

    assert decode(TRUST, value.replace(b'"contract":2', b'"contract":1')).header.contract == 1
