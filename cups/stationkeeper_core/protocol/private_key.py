"""Convert a private key into the DER form that a Basics Station can parse.

Bounded and deterministic: any bytes give a key or a `StationkeeperError` that says what to do, without any part of the
input. The same key in any form gives the same bytes. An RSA key becomes PKCS#1. An elliptic curve key becomes SEC1: for
P-256 with its public key, for P-384 and P-521 without it, because a Basics Station misreads elements of 128 to 255
bytes.
Source: the CUPS protocol, credential blob; RFC 8017 (PKCS#1), RFC 5208 (PKCS#8), RFC 5915 (SEC1), RFC 7468.
"""

import base64
import re
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.protocol.station_certificate import MIN_RSA_BITS
from stationkeeper_core.x509.der import element
from stationkeeper_core.x509.keys import public_key_der
from stationkeeper_core.x509.wrong_format import explain_key

MAX_KEY_TEXT_BYTES = 8 * 1024
MAX_KEY_DER_BYTES = 4096
# For a gateway's own key. Keys of a chain that it verifies may be longer, see `station_certificate`.
MAX_OWN_RSA_BITS = 4096

_USABLE = f"use RSA of {MIN_RSA_BITS} to {MAX_OWN_RSA_BITS} bits, P-256, P-384 or P-521"
_DECRYPT = "is encrypted, but a Basics Station cannot decrypt it; store it decrypted: `openssl pkey -in FILE`"
_KEY_LABELS = (b"PRIVATE KEY", b"RSA PRIVATE KEY", b"EC PRIVATE KEY")
_PARAMETERS = b"EC PARAMETERS"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----\s([^-]*)-----END \1-----")
_OBJECT_IDENTIFIERS = {
    "secp384r1": bytes.fromhex("06052b81040022"),
    "secp521r1": bytes.fromhex("06052b81040023"),
}


@dataclass(frozen=True)
class PrivateKey:
    """A private key that a Basics Station can use.

    Attributes:
        der: PKCS#1 or SEC1; a secret: never print it.
        public: DER of its SubjectPublicKeyInfo.
    """

    der: bytes = field(repr=False)
    public: bytes


def parse_private_key(content: bytes) -> PrivateKey:
    """Parse the only key in `content`.

    Args:
        content: PEM or DER; PKCS#1, PKCS#8 or SEC1, without encryption.

    Raises:
        StationkeeperError: `PrivateKeyUnusable`; the detail holds no part of the key.
    """
    if len(content) > MAX_KEY_TEXT_BYTES:
        raise _unusable(f"has {len(content)} bytes, at most {MAX_KEY_TEXT_BYTES} are read")
    try:
        key = _read(content)
    except StationkeeperError as error:
        explanation = explain_key(content)
        if explanation is None:
            raise
        raise StationkeeperError(error.reason, f"there is no private key that can be read: {explanation}") from None
    if isinstance(key, rsa.RSAPrivateKey):
        return PrivateKey(_pkcs1(key), _public(key))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return PrivateKey(_sec1(key), _public(key))
    raise _unusable(f"is of a kind that a Basics Station does not know; {_USABLE}")


def _read(content: bytes) -> PrivateKeyTypes:
    der = _block(content) if b"-----BEGIN " in content else content
    if len(der) > MAX_KEY_DER_BYTES:
        raise _unusable(f"has {len(der)} bytes in DER, more than any that can be used; {_USABLE}")
    return _load(der)


def _unusable(problem: str) -> StationkeeperError:
    return StationkeeperError(Reason.PRIVATE_KEY_UNUSABLE, f"the private key {problem}")


def _block(content: bytes) -> bytes:
    text = content.removeprefix(_BYTE_ORDER_MARK)
    blocks = [(label, body) for label, body in _BLOCK.findall(text) if label != _PARAMETERS]
    if b"ENCRYPTED" in text:
        raise _unusable(_DECRYPT)
    if text.count(b"PRIVATE KEY-----") > 2:  # noqa: PLR2004 - the beginning and the end of one
        raise _unusable("is not the only one there; keep the one that belongs to the certificate")
    if b"CERTIFICATE-----" in text and b"PRIVATE KEY-----" in text:
        raise _unusable("has a certificate beside it; keep the key alone, as `openssl pkey -in FILE` writes it")
    if len(blocks) != 1 or text.count(b"-----BEGIN ") > 1 + text.count(b"-----BEGIN " + _PARAMETERS):
        raise _unusable("is not one complete PEM block with nothing else beside it; paste the file as it is")
    label, body = blocks[0]
    if label not in _KEY_LABELS:
        raise _unusable("is in another kind of PEM block; convert it with `openssl pkey -in FILE`")
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except ValueError:
        raise _unusable("is not base64 within its PEM block; paste the file as it is") from None


def _load(der: bytes) -> PrivateKeyTypes:
    try:
        return load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        raise _unusable(_DECRYPT) from None
    except UnsupportedAlgorithm:
        raise _unusable(f"is of a kind that a Basics Station does not know; {_USABLE}") from None
    except Exception:
        # A library's message about a key could repeat parts of it.
        raise _unusable("cannot be read as PKCS#1, PKCS#8 or SEC1, in PEM or DER; paste the file as it is") from None


def _public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return public_key_der(key.public_key())


def _pkcs1(key: rsa.RSAPrivateKey) -> bytes:
    if not MIN_RSA_BITS <= key.key_size <= MAX_OWN_RSA_BITS:
        raise _unusable(f"is RSA of {key.key_size} bits; {_USABLE}")
    if not _is_sound(key):
        raise _unusable("is RSA whose numbers do not belong together; make a new one")
    return key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _is_sound(key: rsa.RSAPrivateKey) -> bool:
    """Return whether the numbers fit and a signature verifies; OpenSSL's prime test is as reliable but takes 0.2 s."""
    numbers = key.private_numbers()
    n, e, d, p, q = numbers.public_numbers.n, numbers.public_numbers.e, numbers.d, numbers.p, numbers.q
    fits = p > 1 and q > 1 and p * q == n and n % 2 == 1 and e % 2 == 1
    if not fits or (numbers.dmp1, numbers.dmq1) != (d % (p - 1), d % (q - 1)) or numbers.iqmp * q % p != 1:
        return False
    try:
        signature = key.sign(b"", padding.PKCS1v15(), hashes.SHA256())
        key.public_key().verify(signature, b"", padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def _sec1(key: ec.EllipticCurvePrivateKey) -> bytes:
    if isinstance(key.curve, ec.SECP256R1):
        return key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    identifier = _OBJECT_IDENTIFIERS.get(key.curve.name)
    if identifier is None:
        raise _unusable(f"is on the curve {key.curve.name}; {_USABLE}")
    number = key.private_numbers().private_value.to_bytes((key.curve.key_size + 7) // 8, "big")
    return element(0x30, b"\x02\x01\x01" + element(0x04, number) + element(0xA0, identifier))
