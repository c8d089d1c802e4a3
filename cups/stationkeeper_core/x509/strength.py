"""Rate the strength of keys and signatures, by OpenSSL's security level 2 (112 bits).

A key or signature that cannot be read, or of an unsupported kind such as DSA, counts as broken.
Source: OpenSSL, SSL_CTX_set_security_level(3); NIST SP 800-57 part 1, tables 2 and 3.
"""

from enum import IntEnum

from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.keys import KeyKind

_STRONG_HASHES = {
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "sha512_224",
    "sha512_256",
    "sha3_224",
    "sha3_256",
    "sha3_384",
    "sha3_512",
}
_STRONG_MODULUS_BITS, _WEAK_MODULUS_BITS = 2048, 1024
_STRONG_CURVE_BITS = 224


class Strength(IntEnum):
    """A strength, in order; a chain has the strength of its weakest part."""

    BROKEN = 0
    """Never accepted: MD5, RSA below 1024 bits, curves below 224 bits, unknown algorithms."""
    WEAK = 1
    """Accepted if a TrustedCA allows it: SHA-1, RSA from 1024 to 2047 bits."""
    STRONG = 2
    """Everything else."""


def key_strength(certificate: Certificate) -> Strength:
    """Return the strength of the certificate's public key."""
    key = certificate.key
    if key is None or key.der is None:
        return Strength.BROKEN
    if key.kind is KeyKind.RSA:
        if key.bits >= _STRONG_MODULUS_BITS:
            return Strength.STRONG
        return Strength.WEAK if key.bits >= _WEAK_MODULUS_BITS else Strength.BROKEN
    if key.kind is KeyKind.EC:
        return Strength.STRONG if key.bits >= _STRONG_CURVE_BITS else Strength.BROKEN
    return Strength.STRONG if key.kind in {KeyKind.ED25519, KeyKind.ED448} else Strength.BROKEN


def signature_strength(certificate: Certificate) -> Strength:
    """Return the strength of the hash in the certificate's signature."""
    algorithm = certificate.signature_algorithm
    if algorithm.has_own_hash or algorithm.hash_name in _STRONG_HASHES:
        return Strength.STRONG
    return Strength.WEAK if algorithm.hash_name == "sha1" else Strength.BROKEN
