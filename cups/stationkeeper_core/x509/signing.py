"""Verify that a key made a signature, with OpenSSL. For CRLs, since OpenSSL's paths do not cover them here."""

from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from stationkeeper_core.x509.keys import PublicKey
from stationkeeper_core.x509.signatures import PSS, SignatureAlgorithm

_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "md5": hashes.MD5(),  # noqa: S303 - the lists of an old CA revoke too
    "sha1": hashes.SHA1(),  # noqa: S303 - as above
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha512_224": hashes.SHA512_224(),
    "sha512_256": hashes.SHA512_256(),
    "sha3_224": hashes.SHA3_224(),
    "sha3_256": hashes.SHA3_256(),
    "sha3_384": hashes.SHA3_384(),
    "sha3_512": hashes.SHA3_512(),
}
_RSA_SIGNATURE, _ECDSA_SIGNATURE = (
    ("1.2.840.113549.1.1.", "2.16.840.1.101.3.4.3.", "1.3.14.3.2.29"),
    (
        "1.2.840.10045.4.",
        "2.16.840.1.101.3.4.3.",
    ),
)


def is_signed_by(key: PublicKey, algorithm: SignatureAlgorithm, signed: bytes, signature: bytes) -> bool:
    """Return whether `signature` over `signed` was made with `key`.

    Args:
        key: of the kind RSA, EC, Ed25519 or Ed448; false for other kinds.
        algorithm: from the signed object; it must match the kind of the key.
        signed: the signed bytes.
        signature: the bytes of the signature.
    """
    if key.der is None:
        return False
    try:
        return _verifies(load_der_public_key(key.der), algorithm, signed, signature)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False


def _verifies(key: object, algorithm: SignatureAlgorithm, signed: bytes, signature: bytes) -> bool:
    """Return whether the algorithm fits the key; raise an error if the signature does not verify."""
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        if not algorithm.has_own_hash:
            return False
        key.verify(signature, signed)
        return True
    digest = _HASHES.get(algorithm.hash_name or "")
    if digest is None:
        return False
    if isinstance(key, rsa.RSAPublicKey) and algorithm.identifier.startswith(_RSA_SIGNATURE):
        key.verify(signature, signed, _padding(algorithm), digest)
    elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm.identifier.startswith(_ECDSA_SIGNATURE):
        key.verify(signature, signed, ec.ECDSA(digest))
    else:
        return False
    return True


def _padding(algorithm: SignatureAlgorithm) -> padding.AsymmetricPadding:
    if algorithm.identifier != PSS:
        return padding.PKCS1v15()
    parameters = algorithm.pss
    if parameters is None:
        raise ValueError("the parameters of RSASSA-PSS cannot be read")
    return padding.PSS(padding.MGF1(_HASHES[parameters.mask_hash_name]), parameters.salt_bytes)
