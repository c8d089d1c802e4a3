from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.protocol.station_certificate import check_client, check_trust, public_key
from stationkeeper_core.x509.certificate import Certificate, parse_certificate
from stationkeeper_core.x509.pem import parse_der_certificate
from stationkeeper_tools.sample_pki import make_gateway, make_root
from tests.core import odd_certificates as odd
from tests.core.certificates import MAY_SIGN, NOW, Wish, ca, issue, leaf, name
from tests.core.slow_keys import dsa_key, rsa_key
from tests.examples import examples

RSA = rsa_key(2048)
P256 = ec.generate_private_key(ec.SECP256R1())
CA = x509.BasicConstraints(True, None)


def made(
    key: Any = P256,
    *,
    signer: Any = None,
    issuer: str = "subject",
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    **options: Any,
) -> Certificate:
    """Return a certificate for `key`, signed by `signer` or by itself."""
    builder = x509.CertificateBuilder(name(issuer), name("subject"), key.public_key(), 7)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    by = signer or key
    algorithm = None if isinstance(by, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return parse_certificate(builder.sign(by, algorithm, **options).public_bytes(Encoding.DER))


def pss(*extensions: tuple[x509.ExtensionType, bool]) -> Certificate:
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    return made(RSA, rsa_padding=scheme, extensions=extensions)


def refusal(check: Any, certificate: Certificate) -> str:
    with pytest.raises(StationkeeperError) as refused:
        check(certificate)
    assert refused.value.reason is Reason.CERTIFICATE_UNUSABLE
    return refused.value.detail


@pytest.mark.parametrize(
    "key",
    [
        RSA,
        P256,
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        rsa_key(4096),
    ],
)
def test_the_keys_that_the_protocol_lists_are_taken_as_trust_and_as_client(key: Any) -> None:
    check_trust(made(key, extensions=((CA, True),)))
    check_client(made(key))


UNREADABLE = [
    (made(ed25519.Ed25519PrivateKey.generate()), "signed with neither"),
    (made(P256, signer=ed25519.Ed25519PrivateKey.generate()), "signed with neither"),
    (pss(), "signed with neither"),
    (made(P256, signer=dsa_key()), "signed with neither"),
    (made(ed25519.Ed25519PrivateKey.generate(), signer=P256), "neither plain RSA nor"),
    (made(rsa_key(1024)), "RSA key of 1024 bits"),
    (made(ec.generate_private_key(ec.SECP256K1())), "curve secp256k1"),
    (made(ec.generate_private_key(ec.SECP224R1())), "curve secp224r1"),
    (
        made(extensions=((x509.NameConstraints([x509.DNSName("example.com")], None), True),)),
        "critical extension 2.5.29.30",
    ),
]


@pytest.mark.parametrize(("certificate", "why"), UNREADABLE)
def test_a_key_that_its_tls_cannot_read_is_refused_for_both_uses(certificate: Certificate, why: str) -> None:
    assert why in refusal(check_trust, certificate)
    assert why in refusal(check_client, certificate)


def test_a_compressed_point_is_refused() -> None:
    names = x509.SubjectAlternativeName([x509.DNSName("a" * 60 + ".example.com")] * 3)
    der = made(extensions=((names, False),)).der
    point = P256.public_key().public_numbers()
    coordinates = point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")
    assert coordinates in der
    compressed = bytes((2 + point.y % 2,)) + coordinates[:32]
    begin = der.index(coordinates) - 1
    shorter = der[:begin] + compressed + der[begin + 65 :]
    fixed = bytearray(shorter)
    spki = der.index(bytes.fromhex("3059301306072a8648ce3d0201"))
    fixed[spki + 1] -= 32
    fixed[begin - 2] -= 32
    for at in (2, 6):
        fixed[at : at + 2] = (int.from_bytes(fixed[at : at + 2], "big") - 32).to_bytes(2, "big")
    assert "compressed" in refusal(check_client, parse_certificate(bytes(fixed)))


def test_critical_extensions_that_it_knows_and_others_that_are_not_critical_are_taken() -> None:
    known = (
        (CA, True),
        (MAY_SIGN, True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), True),
        (x509.SubjectAlternativeName([x509.DNSName("example.com")]), True),
        (x509.NameConstraints([x509.DNSName("example.com")], None), False),
    )
    check_trust(made(extensions=known))


def signed_as(last_of_identifier: int, *extensions: tuple[x509.ExtensionType, bool]) -> Certificate:
    """Return an RSA certificate that names another digest than SHA-256, with which it was signed."""
    prefix = bytes.fromhex("2a864886f70d0101")
    der = made(RSA, extensions=extensions).der
    return parse_certificate(der.replace(prefix + b"\x0b", prefix + bytes((last_of_identifier,))))


def test_the_sha1_signature_of_a_root_is_never_looked_at_and_so_is_taken() -> None:
    check_trust(signed_as(5, (CA, True)))


@pytest.mark.parametrize("digest", [5, 4], ids=["SHA-1", "MD5"])
def test_a_weak_signature_that_would_be_looked_at_is_refused(digest: int) -> None:
    assert "SHA-1" in refusal(check_trust, signed_as(digest))
    assert "SHA-1" in refusal(check_client, signed_as(digest, (CA, True)))


def test_a_ca_whose_key_usage_does_not_let_it_sign_is_refused_as_trust() -> None:
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    assert "keyCertSign" in refusal(check_trust, made(extensions=((CA, True), (usage, True))))
    check_trust(made(extensions=((CA, True), (MAY_SIGN, True))))


def test_a_server_certificate_is_taken_as_trust_only_if_it_is_self_signed() -> None:
    check_trust(made())
    check_trust(issue(Wish(name("server"))).certificate)
    assert "neither a CA certificate nor self-signed" in refusal(check_trust, leaf(ca("root")).certificate)


def test_a_v1_certificate_is_taken() -> None:
    v1 = make_gateway("0102030405060708", make_root("Root", NOW), NOW).x509
    assert v1.version is x509.Version.v1
    check_trust(parse_certificate(v1.public_bytes(Encoding.DER)))
    check_client(parse_certificate(v1.public_bytes(Encoding.DER)))


WHOLE = made(RSA, extensions=((CA, True), (MAY_SIGN, True))).der, made(P256).der


@settings(max_examples=examples(500))
@given(st.sampled_from(WHOLE), st.integers(0, 2000), st.binary(min_size=1, max_size=4))
def test_any_certificate_that_can_be_read_is_taken_or_refused_by_name(der: bytes, place: int, patch: bytes) -> None:
    begin = place % len(der)
    try:
        certificate = parse_der_certificate(der[:begin] + patch + der[begin + len(patch) :])
        check_client(certificate)
        check_trust(certificate)
    except StationkeeperError as error:
        assert error.reason in {
            Reason.MALFORMED_PEM,
            Reason.CERTIFICATE_UNUSABLE,
            Reason.KEY_KIND_UNSUPPORTED,
            Reason.CURVE_UNSUPPORTED,
        }


CA_EXTENSION = odd.extension(odd.BASIC_CONSTRAINTS, odd.CA_TRUE, odd.TRUE)
# Encodings that `x509_crt.c` of mbedTLS 2.28 reads and a strict reader of DER does not.
ODD = {
    "critical FALSE written out": odd.root(
        extensions=(CA_EXTENSION, odd.extension(odd.KEY_USAGE, b"\x03\x02\x01\x06", odd.FALSE))
    ),
    "ECDSA with NULL": odd.root(algorithm=odd.ECDSA_SHA256_WITH_NULL),
    "T61String with Latin-1": odd.root(issuer=odd.common_name(b"Gr\xfcn", 20), subject=odd.common_name(b"Gr\xfcn", 20)),
    "an unknown extension twice": odd.root(
        extensions=(CA_EXTENSION, odd.extension("2a03", b""), odd.extension("2a03", b""))
    ),
}


@pytest.mark.parametrize("parts", ODD.values(), ids=ODD)
def test_a_certificate_that_mbedtls_reads_is_taken_from_any_encoder(parts: odd.Parts) -> None:
    check_trust(parse_der_certificate(parts.der))
    check_client(parse_der_certificate(parts.der))


PLAIN = odd.root()
UNREADABLE_TO_MBEDTLS = {
    "indefinite lengths": PLAIN.sealed(odd.indefinite(0x30, PLAIN.content)),
    "strings in segments": odd.root(
        subject=odd.sequence(odd.rdn(odd.sequence(odd.oid(odd.COMMON_NAME), odd.tlv(0x2C, odd.tlv(12, b"a")))))
    ).der,
    "with parameters": odd.root(algorithm=odd.sequence(odd.oid("2a8648ce3d040302"), b"\x02\x01\x01")).der,
    "another kind of string": odd.root(subject=odd.common_name("12", 18)).der,
    "without parts": odd.root(issuer=odd.sequence(), subject=odd.sequence()).der,
    "of the version 4": odd.root(version=bytes.fromhex("a003020103")).der,
    "without being of version 3": odd.root(version=b"").der,
    "key usage twice or in another form": odd.root(
        extensions=(CA_EXTENSION, odd.extension(odd.KEY_USAGE, b"\x03\x02\x01\x06\x05\x00"))
    ).der,
}


@pytest.mark.parametrize("why", UNREADABLE_TO_MBEDTLS)
def test_a_certificate_that_only_openssl_reads_is_refused_with_the_reason(why: str) -> None:
    certificate = parse_der_certificate(UNREADABLE_TO_MBEDTLS[why])
    assert why in refusal(check_trust, certificate)
    assert why in refusal(check_client, certificate)


def test_a_key_that_cannot_be_read_is_refused_and_has_no_bytes() -> None:
    empty_rsa = odd.sequence(odd.sequence(odd.oid("2a864886f70d010101"), b"\5\0"), odd.tlv(3, b"\0" + odd.sequence()))
    certificate = parse_certificate(odd.root(key=empty_rsa).der)

    assert "has a public key that cannot be read" in refusal(check_client, certificate)
    assert public_key(certificate) == b""
    assert public_key(parse_certificate(odd.ROOT.der)) == odd.public_key(odd.KEY)


def test_an_extension_whose_inside_is_cut_short_is_refused() -> None:
    cut = odd.extension("551d11", b"\x30\x04\xa4\x02\x30\x05")

    assert "which a Basics Station does not know" in refusal(
        check_client, parse_certificate(odd.leaf(extensions=(cut,)).der)
    )
