"""Certificates as old and home-made encoders write them, byte by byte.

The tested reader is not used here: elements are made from tags and contents, and OpenSSL only signs their bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KEY = ec.derive_private_key(20_251_101, ec.SECP256R1())
OTHER_KEY = ec.derive_private_key(20_251_102, ec.SECP256R1())

ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
ECDSA_SHA256_WITH_NULL = bytes.fromhex("300c06082a8648ce3d0403020500")
COMMON_NAME, ORGANISATION, COUNTRY = "550403", "55040a", "550406"
BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE = "551d13", "551d0f", "551d25"
SUBJECT_KEY_IDENTIFIER = "551d0e"
TRUE, FALSE = b"\x01\x01\xff", b"\x01\x01\x00"
CLIENT_AUTH, SERVER_AUTH = "2b06010505070302", "2b06010505070301"
CA_TRUE = bytes.fromhex("30030101ff")


def tlv(tag: int, content: bytes) -> bytes:
    """Return one element in DER."""
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 128 + len(length)]) + length + content


def long_form(tag: int, content: bytes) -> bytes:
    """Return one element whose length has more bytes than needed, as BER allows."""
    return bytes([tag, 0x84]) + len(content).to_bytes(4, "big") + content


def indefinite(tag: int, content: bytes) -> bytes:
    """Return one element with an indefinite length, as BER allows."""
    return bytes([tag, 0x80]) + content + bytes(2)


def sequence(*parts: bytes) -> bytes:
    return tlv(0x30, b"".join(parts))


def oid(hexadecimal: str) -> bytes:
    return tlv(0x06, bytes.fromhex(hexadecimal))


def attribute(kind: str, value: bytes, tag: int = 0x0C) -> bytes:
    return sequence(oid(kind), tlv(tag, value))


def rdn(*attributes: bytes) -> bytes:
    return tlv(0x31, b"".join(attributes))


def common_name(value: str | bytes, tag: int = 0x0C) -> bytes:
    """Return a name with one Common Name."""
    return sequence(rdn(attribute(COMMON_NAME, value if isinstance(value, bytes) else value.encode(), tag)))


def extension(kind: str, value: bytes, critical: bytes = b"") -> bytes:
    return sequence(oid(kind), critical, tlv(0x04, value))


def validity(
    begins: bytes = b"260101000000Z", ends: bytes = b"360101000000Z", tags: tuple[int, int] = (23, 23)
) -> bytes:
    return sequence(tlv(tags[0], begins), tlv(tags[1], ends))


def public_key(key: Any = KEY) -> bytes:
    spki: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return spki


def ecdsa(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    return lambda signed: key.sign(signed, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


@dataclass(frozen=True)
class Parts:
    """A certificate in pieces of DER; each piece may be odd."""

    version: bytes = bytes.fromhex("a003020102")
    serial: bytes = b"\x02\x01\x07"
    algorithm: bytes = ECDSA_SHA256
    outer_algorithm: bytes | None = None
    issuer: bytes = common_name("Root")
    validity: bytes = validity()
    subject: bytes = common_name("0102030405060708")
    key: bytes = public_key(OTHER_KEY)
    unique_identifiers: bytes = b""
    extensions: tuple[bytes, ...] | None = ()
    sign: Callable[[bytes], bytes] = field(default_factory=lambda: ecdsa(KEY))

    @property
    def content(self) -> bytes:
        """The content of the signed part."""
        listed = tlv(0xA3, sequence(*self.extensions)) if self.extensions else b""
        fields = (self.version, self.serial, self.algorithm, self.issuer, self.validity, self.subject, self.key)
        return b"".join(fields) + self.unique_identifiers + listed

    def sealed(self, signed: bytes) -> bytes:
        """Return `signed` with its signature."""
        outer = self.algorithm if self.outer_algorithm is None else self.outer_algorithm
        return sequence(signed, outer, tlv(0x03, b"\0" + self.sign(signed)))

    @property
    def der(self) -> bytes:
        return self.sealed(sequence(self.content))


ROOT = Parts(
    subject=common_name("Root"), key=public_key(KEY), extensions=(extension(BASIC_CONSTRAINTS, CA_TRUE, TRUE),)
)


def root(**odd: Any) -> Parts:
    return replace(ROOT, **odd)


def leaf(**odd: Any) -> Parts:
    return replace(Parts(), **odd)
