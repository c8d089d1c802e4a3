import base64
from datetime import UTC, datetime
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.certificate import parse_certificate
from stationkeeper_core.x509.pem import MAX_CERTIFICATES, MAX_PEM_BYTES, parse_bundle, parse_certificates, to_pem
from stationkeeper_tools.sample_pki import make_gateway, make_root
from tests.core import odd_certificates as odd
from tests.core.certificates import X400_NAME, Wish, issue, name

REASONS = {
    Reason.MALFORMED_PEM,
    Reason.TOO_LARGE,
    Reason.TOO_MANY_CERTIFICATES,
    Reason.PRIVATE_KEY_IN_TRUSTED_CA,
    Reason.KEY_KIND_UNSUPPORTED,
    Reason.CURVE_UNSUPPORTED,
}
LINES = st.sampled_from(
    [
        "-----BEGIN CERTIFICATE-----",
        "-----END CERTIFICATE-----",
        "-----BEGIN X509 CRL-----",
        "-----BEGIN EC PRIVATE KEY-----",
        "-----",
        "MIIB",
        "!!!!",
        "",
        "\x85\u2028",
        "MII\u00e9",
        "x -----BEGIN CERTIFICATE-----MIIB",
    ]
)


@cache
def root() -> str:
    return make_root("Root", datetime(2026, 1, 1, tzinfo=UTC)).certificate_pem.decode()


@cache
def leaf() -> str:
    issuer = make_root("Other", datetime(2026, 1, 1, tzinfo=UTC))
    return make_gateway("0102030405060708", issuer, datetime(2026, 1, 1, tzinfo=UTC)).certificate_pem.decode()


def _refusal(text: str) -> StationkeeperError:
    with pytest.raises(StationkeeperError) as refused:
        parse_certificates(text)
    return refused.value


@pytest.mark.parametrize(
    "decorate",
    [
        lambda pem: pem,
        lambda pem: pem.replace("\n", "\r\n"),
        lambda pem: f"subject=CN = Root\nissuer: x\n\n{pem}\n# the end",
        lambda pem: pem.replace("CERTIFICATE", "X509 CERTIFICATE"),
        lambda pem: f"  {pem}".replace("\n", "\n  "),
        lambda pem: pem.rstrip("\n"),
        lambda pem: pem + pem,
        lambda pem: f"\ufeff{pem}",
    ],
)
def test_a_certificate_is_found_whatever_stands_around_it(decorate: object) -> None:
    assert callable(decorate)
    (found,) = parse_certificates(decorate(root()))

    assert found.is_authority
    assert found.subject == "CN=Root"


def test_certificates_keep_their_order_and_go_back_to_the_same_text() -> None:
    found = parse_certificates(root() + leaf())

    assert [each.is_authority for each in found] == [True, False]
    assert "".join(to_pem(each.der) for each in found) == root() + leaf()


def test_a_text_without_a_block_holds_no_certificate() -> None:
    assert parse_certificates("nothing here") == ()


@given(st.text(max_size=300))
def test_any_text_gives_certificates_or_is_refused_by_name(text: str) -> None:
    try:
        parse_certificates(text)
    except StationkeeperError as error:
        assert error.reason in REASONS


@given(st.lists(LINES, max_size=12))
def test_any_sequence_of_lines_gives_certificates_or_is_refused_by_name(lines: list[str]) -> None:
    try:
        parse_certificates("\n".join(lines))
    except StationkeeperError as error:
        assert error.reason in REASONS


@given(st.data())
def test_a_certificate_with_any_byte_changed_is_read_or_refused_by_name(data: st.DataObject) -> None:
    der = bytearray(parse_certificates(root())[0].der)
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = parse_certificates(to_pem(bytes(der)))
    except StationkeeperError as error:
        assert error.reason in REASONS
    else:
        assert isinstance(found[0].is_authority, bool)


@pytest.mark.parametrize(
    "label", ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY"]
)
def test_a_private_key_is_named_and_not_repeated(label: str) -> None:
    secret = "c2VjcmV0LWtleS1tYXRlcmlhbA=="

    refused = _refusal(f"{root()}-----BEGIN {label}-----\n{secret}\n-----END {label}-----\n")

    assert refused.reason is Reason.PRIVATE_KEY_IN_TRUSTED_CA
    assert secret not in str(refused)


@pytest.mark.parametrize("before", ["", "-----BEGIN CERTIFICATE-----\n", "garbage -----"])
def test_a_private_key_is_named_even_where_the_text_around_it_is_broken(before: str) -> None:
    assert _refusal(f"{before}-----BEGIN EC PRIVATE KEY-----\nMHc").reason is Reason.PRIVATE_KEY_IN_TRUSTED_CA


SECRET = ec.generate_private_key(ec.SECP256R1())
KEYS = {
    "PKCS#8": SECRET.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    "SEC1": SECRET.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "encrypted": SECRET.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("part", [1, 2])
def test_a_private_key_under_the_label_of_a_certificate_refuses_the_whole_text(key: bytes, part: int) -> None:
    refused = _refusal(root() + to_pem(key[: len(key) // part]))

    assert refused.reason is Reason.PRIVATE_KEY_IN_TRUSTED_CA
    assert base64.b64encode(key).decode()[:20] not in str(refused)
    with pytest.raises(StationkeeperError):
        parse_bundle(root() + to_pem(key[: len(key) // part]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-----BEGIN CERTIFICATE-----\nMIIB", "line 1 has no end"),
        ("\n-----END CERTIFICATE-----", "line 2"),
        ("-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", "line 1 has no end"),
        ("-----BEGIN CERTIFICATE-----\n-----END X509 CRL-----", "line 1 has no end"),
        ("-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----", "not a certificate"),
        ("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----", "not a certificate"),
        ("-----BEGIN CERTIFICATE-----\nMI!B\n-----END CERTIFICATE-----", "not base64"),
        ("-----BEGIN CERTIFICATE-----\nMII\u00e9\n-----END CERTIFICATE-----", "not base64"),
        ("-----BEGIN CERTIFICATE-----MIIB-----END CERTIFICATE-----", "line 1"),
        ("x\nx -----BEGIN CERTIFICATE-----MIIB-----END CERTIFICATE-----", "line 2"),
        ("-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----", "line 1"),
        ("x\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "line 2"),
    ],
)
def test_a_broken_text_is_refused_with_the_line(text: str, said: str) -> None:
    refused = _refusal(text)

    assert refused.reason is Reason.MALFORMED_PEM
    assert said in refused.detail


def test_bytes_after_a_certificate_are_refused() -> None:
    with pytest.raises(StationkeeperError) as refused:
        parse_certificate(parse_certificates(root())[0].der + b"\0")
    assert refused.value.reason is Reason.MALFORMED_PEM


def test_an_extension_that_cannot_be_read_is_refused_by_its_name_in_a_resource_and_left_to_openssl_elsewhere() -> None:
    der = odd.root(extensions=(odd.extension(odd.BASIC_CONSTRAINTS, b"abc"),)).der

    refused = _refusal(to_pem(der))
    assert refused.reason is Reason.MALFORMED_PEM
    assert "basic constraints" in refused.detail
    assert not parse_certificate(der).is_authority


def test_a_name_that_only_cryptography_does_not_know_is_not_a_reason_to_refuse() -> None:
    odd = issue(Wish(name("Odd"), extensions=(X400_NAME,)))

    assert [each.der for each in parse_certificates(to_pem(odd.der))] == [odd.der]


def test_the_unusable_certificates_of_a_text_are_returned_apart() -> None:
    dsa_key = odd.sequence(odd.sequence(odd.oid("2a8648ce380401")), b"\3\2\0\0")
    of_dsa = odd.root(key=dsa_key).der
    broken = odd.root(serial=b"\2\0").der

    bundle = parse_bundle(to_pem(of_dsa) + root() + to_pem(broken) + leaf())

    assert [to_pem(each.der) for each in bundle.certificates] == [root(), leaf()]
    assert [each.reason for each in bundle.refused] == [Reason.KEY_KIND_UNSUPPORTED, Reason.MALFORMED_PEM]
    assert "line 1:" in bundle.refused[0].detail
    assert "serial number" in bundle.refused[1].detail


def test_a_certificate_that_openssl_cannot_read_is_refused_before_it_spoils_the_trust_of_all() -> None:
    certificate = parse_certificates(root())[0].der
    value = b"\x0c\x04Root"
    before_the_subject, _, after = certificate.rpartition(value)
    octets = before_the_subject + b"\x04\x04Root" + after

    assert parse_certificate(octets).is_authority
    refused = _refusal(to_pem(octets))
    assert refused.reason is Reason.MALFORMED_PEM
    assert "OpenSSL" in refused.detail


@pytest.mark.parametrize(
    ("oid", "reason"),
    [("06072a8648ce3d0201", Reason.KEY_KIND_UNSUPPORTED), ("06082a8648ce3d030107", Reason.CURVE_UNSUPPORTED)],
)
def test_a_key_of_an_unknown_kind_or_curve_is_refused_in_a_resource(oid: str, reason: Reason) -> None:
    known = bytes.fromhex(oid)
    der = issue(Wish(name("Root"), ca=True)).der.replace(known, known[:-1] + b"\x7f")

    assert parse_certificate(der).key_sha256 is None
    with pytest.raises(StationkeeperError, match="public key") as refused:
        parse_certificates(to_pem(der))
    assert refused.value.reason is reason


@pytest.mark.parametrize("parameters", [b"", b"\x05\x00", b"\x06\x01\x2a\x05\x00"], ids=["no", "NULL as", "two"])
def test_an_elliptic_key_without_a_curve_is_refused_in_a_resource(parameters: bytes) -> None:
    identifier = odd.sequence(odd.oid("2a8648ce3d0201"), parameters)
    refused = _refusal(to_pem(odd.root(key=odd.sequence(identifier, odd.tlv(3, b"\0\4" + bytes(64)))).der))

    assert refused.reason is Reason.CURVE_UNSUPPORTED
    assert "unknown" in refused.detail


def test_a_key_whose_point_is_not_on_its_curve_is_malformed() -> None:
    certificate = issue(Wish(name("Root"), ca=True))
    point = certificate.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    refused = _refusal(to_pem(certificate.der.replace(point, point[:-1] + bytes([point[-1] ^ 1]))))

    assert refused.reason is Reason.MALFORMED_PEM
    assert "not on the curve secp256r1" in refused.detail


def test_sizes_and_counts_are_bounded() -> None:
    assert _refusal("x" * (MAX_PEM_BYTES + 1)).reason is Reason.TOO_LARGE
    huge = base64.b64encode(bytes(20000)).decode()
    assert _refusal(f"-----BEGIN CERTIFICATE-----\n{huge}\n-----END CERTIFICATE-----").reason is Reason.TOO_LARGE
    assert parse_certificates(root() * (MAX_CERTIFICATES + 1)) == parse_certificates(root())


def test_a_version_1_certificate_is_not_an_authority() -> None:
    assert not parse_certificates(leaf())[0].is_authority


def test_more_certificates_than_are_allowed_are_refused() -> None:
    pem = to_pem(b"\x30\x00")

    assert _refusal(pem * MAX_CERTIFICATES).reason is not Reason.TOO_MANY_CERTIFICATES
    assert _refusal(pem * (MAX_CERTIFICATES + 1)).reason is Reason.TOO_MANY_CERTIFICATES


def test_pkcs_12_under_the_label_of_a_certificate_is_named_for_what_it_is() -> None:
    store = bytes.fromhex("30820200020103308201f606092a864886f70d010701a08201e7") + bytes(487)

    refused = _refusal(to_pem(store))

    assert refused.reason is Reason.MALFORMED_PEM
    assert "it is PKCS#12" in refused.detail


def test_a_key_that_openssl_does_not_take_is_refused_in_a_resource() -> None:
    with_parameters = odd.sequence(odd.sequence(odd.oid("2b6570"), b"\5\0"), odd.tlv(3, bytes(33)))
    certificate = parse_certificate(odd.root(key=with_parameters).der)
    assert certificate.key is not None
    assert certificate.key.der is not None

    refused = _refusal(to_pem(certificate.der))

    assert refused.reason is Reason.MALFORMED_PEM
    assert "OpenSSL cannot read the public key" in refused.detail
