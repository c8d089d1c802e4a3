"""How strong the keys and signatures of a chain are, by what OpenSSL's security level 2 asks for (112 bits).

A key that cannot be read or is of a kind unknown here counts as broken, and so does a signature.
Source: OpenSSL, SSL_CTX_set_security_level(3); NIST SP 800-57 part 1, tables 2 and 3.
"""

from enum import IntEnum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from stationkeeper_core.pem import Certificate

_STRONG_HASHES = (
    hashes.SHA224,
    hashes.SHA256,
    hashes.SHA384,
    hashes.SHA512,
    hashes.SHA512_224,
    hashes.SHA512_256,
    hashes.SHA3_224,
    hashes.SHA3_256,
    hashes.SHA3_384,
    hashes.SHA3_512,
)
_STRONG_MODULUS_BITS, _WEAK_MODULUS_BITS = 2048, 1024
_STRONG_CURVE_BITS = 224


class Strength(IntEnum):
    """Ordered: the least of its parts is that of a chain."""

    BROKEN = 0
    """Never taken: MD5, RSA below 1024 bits, curves below 224, what is unknown."""
    WEAK = 1
    """Taken where a TrustedCA allows it: SHA-1, RSA from 1024 to 2047 bits."""
    STRONG = 2
    """All else."""


def key_strength(certificate: Certificate) -> Strength:
    """That of the certificate's public key."""
    try:
        key = certificate.x509.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return Strength.BROKEN
    if isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey):
        if key.key_size >= _STRONG_MODULUS_BITS:
            return Strength.STRONG
        return Strength.WEAK if key.key_size >= _WEAK_MODULUS_BITS else Strength.BROKEN
    if isinstance(key, ec.EllipticCurvePublicKey):
        return Strength.STRONG if key.curve.key_size >= _STRONG_CURVE_BITS else Strength.BROKEN
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return Strength.STRONG
    return Strength.BROKEN


def signature_strength(certificate: Certificate) -> Strength:
    """That of the hash under the certificate's signature."""
    try:
        algorithm = certificate.x509.signature_hash_algorithm
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return Strength.BROKEN
    # Ed25519 and Ed448 have none of their own choice.
    if algorithm is None or isinstance(algorithm, _STRONG_HASHES):
        return Strength.STRONG
    return Strength.WEAK if isinstance(algorithm, hashes.SHA1) else Strength.BROKEN
