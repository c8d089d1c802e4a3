"""Private keys that are the same in every run, for golden bytes, in all usual forms."""

import hashlib
from functools import cache
from math import lcm

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
FORMS = [
    (Encoding.PEM, PrivateFormat.PKCS8),
    (Encoding.DER, PrivateFormat.PKCS8),
    (Encoding.PEM, PrivateFormat.TraditionalOpenSSL),
    (Encoding.DER, PrivateFormat.TraditionalOpenSSL),
]
_P = int(
    "ffeff7202b7b6ae786d42cf36cb9934861ef03d62d7ce640e5fab89d538da27adc722e740a1a7ad99c20c672e9d1fbda26612412cfaaf819"
    "2ee86c442adfe4280bf3c2f771c3a3cec674c094ac8d4d53bb9854ef3aeac9a98a38bc527b210a782652a8007d39f045e709e3ff5b04d69d"
    "ac355431853dd0c4cc074a8326b05bd1",
    16,
)
_Q = int(
    "ccb5e76a047814a19706e9fc3a16ec06fc4c6ec8710107abc5b33985360ab607943e67cca5dadb0dddba5b43b49f59dc06d8badb1c655969"
    "7a594818da900a79b060df5113e9251e5d806277fd462c0633c30c3692bf7a5a6e50b060e0f99dcc760b531a71b990b2275f826f99b7228d"
    "43253b8d8b69864483e430ff393471ff",
    16,
)


@cache
def fixed_rsa() -> rsa.RSAPrivateKey:
    """Return an RSA key of 2048 bits from two fixed primes."""
    return rsa_of(_P, _Q)


def rsa_of(p: int, q: int, e: int = 65537) -> rsa.RSAPrivateKey:
    d = pow(e, -1, lcm(p - 1, q - 1))
    public = rsa.RSAPublicNumbers(e, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


@cache
def fixed_ec(name: str) -> ec.EllipticCurvePrivateKey:
    """Return an elliptic curve key whose number is derived from the name of its curve."""
    curve = CURVES[name]
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(curve.name.encode()).digest(), "big") >> 1, curve)


def fixed(name: str) -> Key:
    return fixed_rsa() if name == "RSA 2048" else fixed_ec(name)


def written(key: Key, encoding: Encoding = Encoding.PEM, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(encoding, form, NoEncryption())
