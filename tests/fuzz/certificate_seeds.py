"""The first certificates: with each kind of key, signature, name, time and extension that the reader knows."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.core import odd_certificates as odd
from tests.core.certificates import NOW, name

_P256 = odd.oid("2a8648ce3d0201"), odd.oid("2a8648ce3d030107")


@cache
def seeds() -> tuple[bytes, ...]:
    """Return DER of each."""
    return (*_ordinary(), *_odd())


def _ordinary() -> Iterator[bytes]:
    small = rsa.generate_private_key(65537, 1024)  # noqa: S505 - quick to make, and to be read only
    for key in (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
        dsa.generate_private_key(1024),  # noqa: S505 - as above
        small,
    ):
        yield _full(key)
    yield _full(small, rsa_padding=padding.PSS(padding.MGF1(hashes.SHA384()), 20))
    yield _full(ec.generate_private_key(ec.SECP256R1()), hashes.SHA3_256())


def _full(key: Any, digest: Any = None, **options: Any) -> bytes:
    """Return a certificate with every extension that OpenSSL reads in a chain."""
    edwards = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    usage = x509.KeyUsage(True, False, True, False, True, True, True, False, False)
    builder = (
        x509.CertificateBuilder(name("Issuer"), name("0102030405060708", "é"), key.public_key(), 0x1234567890)
        .not_valid_before(NOW)
        .not_valid_after(NOW.replace(year=2060))
        .add_extension(x509.BasicConstraints(True, 3), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier(b"subject"), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier(b"issuer", None, None), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), critical=False)
        .add_extension(x509.NameConstraints([x509.DNSName("example")], None), critical=True)
    )
    return builder.sign(key, None if edwards else digest or hashes.SHA256(), **options).public_bytes(Encoding.DER)


def _odd() -> Iterator[bytes]:
    point = odd.OTHER_KEY.public_key()
    compressed = point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    whole = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    organisation = odd.attribute(odd.ORGANISATION, b"Gr\xfcn  GmbH", 20)
    wide = odd.attribute(odd.COMMON_NAME, "Straße".encode("utf-16-be"), 30)
    wider = odd.attribute(odd.COMMON_NAME, "Straße".encode("utf-32-be"), 28)
    yield odd.leaf(version=b"").der
    yield odd.leaf(serial=b"\x02\x01\x80", algorithm=odd.ECDSA_SHA256_WITH_NULL).der
    yield odd.leaf(subject=odd.sequence(odd.rdn(organisation, wide), odd.rdn(wider))).der
    yield odd.leaf(subject=odd.common_name(b"0102", 18), issuer=odd.common_name(b" A  b\t", 19)).der
    yield odd.leaf(validity=odd.validity(b"00000101000000Z", b"99991231235959Z", (24, 24))).der
    yield odd.leaf(key=odd.sequence(odd.sequence(*_P256), odd.tlv(3, b"\0" + compressed))).der
    yield odd.leaf(
        key=odd.sequence(odd.sequence(*_P256), odd.tlv(3, b"\0" + bytes([6 + whole[-1] % 2]) + whole[1:]))
    ).der
    yield odd.leaf(unique_identifiers=odd.tlv(0x81, b"\0a") + odd.tlv(0x82, b"\0b")).der
    yield odd.leaf(extensions=(odd.extension(odd.BASIC_CONSTRAINTS, b"\x30\0", odd.FALSE),)).der
    yield odd.root(extensions=(odd.extension("6086480186f8420101", b"\x03\x02\x01\x06"),)).der
