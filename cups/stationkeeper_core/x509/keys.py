"""Public keys as facts: their kind, their size, and their bytes in the one form that all encoders could agree on.

Source: RFC 3279, RFC 5480, RFC 8410; SEC 2 and RFC 5639 for the curves.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

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
    """What a public key is for."""

    RSA = "RSA"
    EC = "EC"
    ED25519 = "Ed25519"
    ED448 = "Ed448"
    OTHER = "other"


class PublicKey(NamedTuple):
    """A public key.

    Attributes:
        kind: of which kind.
        algorithm: the object identifier under which it is written, with dots.
        bits: of the modulus or the curve; 0 where it is not known.
        curve: its name, such as `secp256r1`; of an unknown one the object identifier with dots, and `explicit` where
            the curve is given by numbers. Empty for other kinds than EC.
        der: SubjectPublicKeyInfo in DER, the same for one key however a certificate writes it; None where the key is of
            another kind or cannot be read.
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
        """Whether it is an EC key on a curve whose name is known here."""
        return self.curve in CURVES_BY_NAME

    @property
    def group_order(self) -> int | None:
        """Of the curve, None for other kinds than EC and for curves that are not known."""
        curve = CURVES_BY_NAME.get(self.curve)
        return None if curve is None else curve.order


EXPLICIT_CURVE = "explicit"
RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
"""The algorithm under which a plain RSA key is written."""
_RSA, _RSA_PSS, _RSA_OF_X500 = map(bytes.fromhex, ("2a864886f70d010101", "2a864886f70d01010a", "55080101"))
_EC = bytes.fromhex("2a8648ce3d0201")
_EDWARDS = {bytes.fromhex("2b6570"): (KeyKind.ED25519, 32, 256), bytes.fromhex("2b6571"): (KeyKind.ED448, 57, 456)}
_EC_ALGORITHM = dotted(_EC)
_UNCOMPRESSED = 0x04


def read_public_key(der: bytes) -> PublicKey | None:
    """The key of a SubjectPublicKeyInfo as a certificate writes it; None where not even its algorithm can be read."""
    header = len(der) - _POINT_BYTES.get(len(der), len(der))
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
    """Algorithm, its parameters as an element, and the key's bytes."""
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
    # A key that is kept for PSS is the same key where it is written as one for all purposes.
    written = _written(_RSA, element(NULL, b""), content)
    return PublicKey(KeyKind.RSA, dotted(algorithm), modulus.bit_length(), der=written, exponent=exponent)


def _magnitude(reader: DerReader) -> int:
    """An INTEGER without a sign, as OpenSSL reads it here (`bn_c2i`): padding and a first bit do not matter."""
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
    """A key with its point written in full; None where it is none on its curve."""
    try:
        return public_key_der(load_der_public_key(der))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _usual_headers() -> Iterator[tuple[bytes, int, Curve]]:
    """What stands before the coordinates of a point on each curve, how many bytes they have, and the curve."""
    for identifier, curve in CURVES.items():
        size = 2 * ((curve.bits + 7) // 8)
        whole = _written(_EC, element(OBJECT_IDENTIFIER, identifier), bytes([_UNCOMPRESSED]) + bytes(size))
        yield whole[:-size], size, curve


# Nearly all keys are written in just this way, and need no more than a look.
_AS_USUAL = {header: curve for header, _, curve in _usual_headers()}
_POINT_BYTES = {len(header) + size: size for header, size, _ in _usual_headers()}
