"""Certificate fields that only a few unusual encoders write."""

import pytest

from stationkeeper_core.x509.certificate import parse_certificate
from stationkeeper_core.x509.der_reader import MAX_SEGMENT_DEPTH, DerReader, MalformedDERError, dotted
from stationkeeper_core.x509.fields import read_issuer
from stationkeeper_core.x509.keys import EXPLICIT_CURVE, KeyKind
from stationkeeper_core.x509.names import read_name
from tests.core import odd_certificates as odd


def test_a_certificate_that_openssl_cannot_read_does_not_sign_itself_and_version_7_is_unknown_to_cryptography() -> None:
    octets = odd.root(issuer=odd.common_name("Root", 4), subject=odd.common_name("Root", 4))
    certificate = parse_certificate(octets.der)
    assert certificate.is_self_issued
    with pytest.raises(ValueError, match="OpenSSL cannot read"):
        _ = certificate.openssl
    assert not certificate.signs_itself

    later = parse_certificate(odd.root(version=bytes.fromhex("a003020106")).der)
    assert later.signs_itself
    with pytest.raises(ValueError, match="cryptography cannot read"):
        _ = later.x509


def test_the_issuer_of_a_certificate_is_read_without_the_rest_whatever_its_version() -> None:
    for parts in (odd.leaf(), odd.leaf(version=b"")):
        assert read_issuer(parts.der, 100).text == "CN=Root"
    with pytest.raises(MalformedDERError, match="longer than it may be"):
        read_issuer(odd.leaf().der, 5)


def test_an_authority_key_identifier_may_name_no_key() -> None:
    named = odd.extension("551d23", odd.sequence(odd.tlv(0x80, b"key")))
    serial_alone = odd.extension("551d23", odd.sequence(odd.tlv(0x82, b"7")))

    assert parse_certificate(odd.leaf(extensions=(named,)).der).authority_key_identifier == b"key"
    assert parse_certificate(odd.leaf(extensions=(serial_alone,)).der).authority_key_identifier is None


def test_a_curve_given_by_numbers_is_named_so() -> None:
    key = odd.sequence(odd.sequence(odd.oid("2a8648ce3d0201"), odd.sequence()), odd.tlv(3, b"\0\4" + bytes(64)))
    found = parse_certificate(odd.leaf(key=key).der).key

    assert found is not None
    assert (found.kind, found.curve, found.der) == (KeyKind.EC, EXPLICIT_CURVE, None)


def test_attributes_that_are_not_text_are_compared_as_openssl_does() -> None:
    def named(tag: int, content: bytes) -> str:
        return read_name(odd.sequence(odd.rdn(odd.sequence(odd.oid(odd.COMMON_NAME), odd.tlv(tag, content))))).folded

    assert named(3, b"\x04\xf0") == named(3, b"\x04\xff") != named(3, b"\x00\xff")
    assert named(0x30, b"\x0c\x01a") != named(0x30, b"\x0c\x01A")


def test_a_string_in_segments_of_segments_is_read_up_to_a_depth() -> None:
    value = odd.tlv(12, b"Root")
    for _ in range(MAX_SEGMENT_DEPTH):
        value = odd.tlv(0x2C, value)

    def named(encoded: bytes) -> str:
        return read_name(odd.sequence(odd.rdn(odd.sequence(odd.oid(odd.COMMON_NAME), encoded)))).text

    assert named(value) == "CN=Root"
    with pytest.raises(MalformedDERError, match="nested too deeply"):
        named(odd.tlv(0x2C, value))


def test_an_identifier_is_numbers_and_one_that_is_longer_than_any_in_use_is_hex() -> None:
    assert dotted(bytes.fromhex("2a864886f70d010101")) == "1.2.840.113549.1.1.1"
    assert dotted(b"\x88\x37") == "2.999"
    assert dotted(b"\x2a" * 200) == "2a" * 200


def test_an_element_that_is_no_sequence_is_reported_by_its_tag() -> None:
    with pytest.raises(MalformedDERError):
        DerReader(b"\x04\x00").narrow(0x30)
