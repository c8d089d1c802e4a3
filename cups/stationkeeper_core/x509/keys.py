"""Public keys as facts: their kind, their size, and their bytes in one canonical form.

Source: RFC 3279, RFC 5480, RFC 8410; SEC 2 and RFC 5639 for the curves.
"""

from collections.abc import Iterator
from enum import StrEnum

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from stationkeeper_core.x509.curves import CURVES, CURVES_BY_NAME, Curve
from stationkeeper_core.x509.der import element
from stationkeeper_core.x509.der_reader import (
    BIT_STRING,
    INTEGER,
    NULL,
    OBJECT_IDENTIFIER,
    SEQUENCE,
    DerReader,
    MalformedDERError,
    dotted,
)


class KeyKind(StrEnum):
    """The kind of a public key."""

    RSA = "RSA"
    EC = "EC"
    ED25519 = "Ed25519"
    ED448 = "Ed448"
    OTHER = "other"


class PublicKey(msgspec.Struct, frozen=True):
    """A public key.

    Attributes:
        kind: its kind.
        algorithm: its algorithm as an object identifier with dots.
        bits: of the modulus or the curve; 0 if not known.
        curve: its name, such as `secp256r1`; the object identifier with dots for an unknown curve; `explicit` if the
            curve is given by numbers. Empty for other kinds than EC.
        der: SubjectPublicKeyInfo in DER, the same for one key in any encoding; None if the key is of another kind or
            cannot be read.
        exponent: of an RSA key; 0 for other kinds.
    """

    kind: KeyKind
    algorithm: str
    bits: int = 0
    curve: str = ""
    der: bytes | None = None
    exponent: int = 0

    @property
    def is_on_known_curve(self) -> bool:
        """Whether it is an EC key on a known curve."""
        return self.curve in CURVES_BY_NAME

    @property
    def group_order(self) -> int | None:
        """The order of the curve's group; None for other kinds than EC and for unknown curves."""
        curve = CURVES_BY_NAME.get(self.curve)
        return None if curve is None else curve.order


EXPLICIT_CURVE = "explicit"
RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
"""The algorithm of a plain RSA key."""
_RSA, _RSA_PSS, _RSA_OF_X500 = map(bytes.fromhex, ("2a864886f70d010101", "2a864886f70d01010a", "55080101"))
_EC = bytes.fromhex("2a8648ce3d0201")
_EDWARDS = {bytes.fromhex("2b6570"): (KeyKind.ED25519, 32, 256), bytes.fromhex("2b6571"): (KeyKind.ED448, 57, 456)}
_EC_ALGORITHM = dotted(_EC)
_UNCOMPRESSED = 0x04


def read_public_key(der: bytes) -> PublicKey | None:
    """Return the key of a DER SubjectPublicKeyInfo; None if not even its algorithm can be read."""
    size = len(der)
    header = size - _POINT_BYTES.get(size, size)
    curve = _AS_USUAL.get(der[:header]) if header else None
    if curve is not None:
        return PublicKey(KeyKind.EC, _EC_ALGORITHM, curve.bits, curve.name, der)
    try:
        algorithm, parameters, bits = _split(der)
    except MalformedDERError:
        return None
    if algorithm in {_RSA, _RSA_PSS, _RSA_OF_X500}:
        return _rsa(algorithm, bits)
    if algorithm == _EC:
        return _elliptic(parameters, bits)
    if algorithm in _EDWARDS:
        kind, size, strength = _EDWARDS[algorithm]
        written = _written(algorithm, b"", bits) if len(bits) == size else None
        return PublicKey(kind, dotted(algorithm), strength if written else 0, der=written)
    return PublicKey(KeyKind.OTHER, dotted(algorithm))


def _split(der: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the algorithm, its parameters as an element, and the key's bytes."""
    reader = DerReader(der)
    content = reader.enter(SEQUENCE)
    reader.finish()
    identifier = content.enter(SEQUENCE)
    algorithm = identifier.object_identifier()
    parameters = identifier.data[identifier.at : identifier.end]
    bits, _ = content.bit_string()
    content.finish()
    return algorithm, parameters, bits


def _written(algorithm: bytes, parameters: bytes, bits: bytes) -> bytes:
    identifier = element(SEQUENCE, element(OBJECT_IDENTIFIER, algorithm) + parameters)
    return element(SEQUENCE, identifier + element(BIT_STRING, b"\0" + bits))


def _rsa(algorithm: bytes, bits: bytes) -> PublicKey:
    try:
        numbers = DerReader(bits).enter(SEQUENCE)
        modulus, exponent = _magnitude(numbers), _magnitude(numbers)
        numbers.finish()
    except MalformedDERError:
        return PublicKey(KeyKind.RSA, dotted(algorithm))
    content = element(SEQUENCE, _integer(modulus) + _integer(exponent))
    # A key for PSS and the same key for all purposes are the same key.
    written = _written(_RSA, element(NULL, b""), content)
    return PublicKey(KeyKind.RSA, dotted(algorithm), modulus.bit_length(), der=written, exponent=exponent)


def _magnitude(reader: DerReader) -> int:
    """Read an INTEGER without a sign, as OpenSSL does here (`bn_c2i`): ignore padding and the first bit."""
    start, stop = reader.expect(INTEGER)
    return int.from_bytes(reader.data[start:stop], "big")


def _integer(value: int) -> bytes:
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _elliptic(parameters: bytes, point: bytes) -> PublicKey:
    algorithm = _EC_ALGORITHM
    try:
        reader = DerReader(parameters)
        if reader.next_tag == SEQUENCE:
            return PublicKey(KeyKind.EC, algorithm, curve=EXPLICIT_CURVE)
        identifier = reader.object_identifier()
        reader.finish()
    except MalformedDERError:
        return PublicKey(KeyKind.EC, algorithm, curve="unknown")
    curve = CURVES.get(identifier)
    if curve is None:
        return PublicKey(KeyKind.EC, algorithm, curve=dotted(identifier))
    if len(point) == 1 + 2 * ((curve.bits + 7) // 8) and point[0] == _UNCOMPRESSED:
        written: bytes | None = _written(_EC, element(OBJECT_IDENTIFIER, identifier), point)
    else:
        written = _uncompressed(_written(_EC, element(OBJECT_IDENTIFIER, identifier), point))
    return PublicKey(KeyKind.EC, algorithm, curve.bits if written else 0, curve.name, written)


def public_key_der(key: PublicKeyTypes) -> bytes:
    """Return the SubjectPublicKeyInfo of a key in DER, as `PublicKey.der` has it."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _uncompressed(der: bytes) -> bytes | None:
    """Return a key with an uncompressed point; None if the point is not on its curve."""
    try:
        return public_key_der(load_der_public_key(der))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _usual_headers() -> Iterator[tuple[bytes, int, Curve]]:
    """Yield for each curve the bytes before a point's coordinates, the number of coordinate bytes, and the curve."""
    for identifier, curve in CURVES.items():
        size = 2 * ((curve.bits + 7) // 8)
        whole = _written(_EC, element(OBJECT_IDENTIFIER, identifier), bytes([_UNCOMPRESSED]) + bytes(size))
        yield whole[:-size], size, curve


# Nearly all keys have exactly this form, and need no parsing.
_AS_USUAL = {header: curve for header, _, curve in _usual_headers()}
_POINT_BYTES = {len(header) + size: size for header, size, _ in _usual_headers()}
