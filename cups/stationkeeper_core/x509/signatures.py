"""Signature algorithms as facts: which one, and by which hash.

Source: RFC 3279, RFC 4055, RFC 5758, RFC 8410.
"""

from functools import lru_cache
from typing import NamedTuple

from stationkeeper_core.x509.der_reader import OBJECT_IDENTIFIER, SEQUENCE, DerReader, MalformedDERError, dotted


class SignatureAlgorithm(NamedTuple):
    """How a certificate or CRL is signed.

    Attributes:
        identifier: the object identifier with dots.
        hash_name: such as `sha256`; None where the algorithm is not known, or brings its own.
        has_own_hash: whether the algorithm leaves no choice of a hash: Ed25519 and Ed448.
    """

    identifier: str
    hash_name: str | None
    has_own_hash: bool = False


PSS = "1.2.840.113549.1.1.10"
_OWN_HASH = {"1.3.101.112", "1.3.101.113"}
_RSA, _ECDSA, _NIST = "1.2.840.113549.1.1", "1.2.840.10045.4", "2.16.840.1.101.3.4"
_HASHES = {
    f"{_RSA}.2": "md2",
    f"{_RSA}.3": "md4",
    f"{_RSA}.4": "md5",
    f"{_RSA}.5": "sha1",
    f"{_RSA}.11": "sha256",
    f"{_RSA}.12": "sha384",
    f"{_RSA}.13": "sha512",
    f"{_RSA}.14": "sha224",
    f"{_RSA}.15": "sha512_224",
    f"{_RSA}.16": "sha512_256",
    "1.3.14.3.2.29": "sha1",
    f"{_NIST}.3.13": "sha3_224",
    f"{_NIST}.3.14": "sha3_256",
    f"{_NIST}.3.15": "sha3_384",
    f"{_NIST}.3.16": "sha3_512",
    f"{_ECDSA}.1": "sha1",
    f"{_ECDSA}.3.1": "sha224",
    f"{_ECDSA}.3.2": "sha256",
    f"{_ECDSA}.3.3": "sha384",
    f"{_ECDSA}.3.4": "sha512",
    f"{_NIST}.3.9": "sha3_224",
    f"{_NIST}.3.10": "sha3_256",
    f"{_NIST}.3.11": "sha3_384",
    f"{_NIST}.3.12": "sha3_512",
    "1.2.840.10040.4.3": "sha1",
    f"{_NIST}.3.1": "sha224",
    f"{_NIST}.3.2": "sha256",
    f"{_NIST}.3.3": "sha384",
    f"{_NIST}.3.4": "sha512",
}
_DIGESTS = {
    "1.3.14.3.2.26": "sha1",
    "1.2.840.113549.2.5": "md5",
    f"{_NIST}.2.1": "sha256",
    f"{_NIST}.2.2": "sha384",
    f"{_NIST}.2.3": "sha512",
    f"{_NIST}.2.4": "sha224",
    f"{_NIST}.2.5": "sha512_224",
    f"{_NIST}.2.6": "sha512_256",
    f"{_NIST}.2.7": "sha3_224",
    f"{_NIST}.2.8": "sha3_256",
    f"{_NIST}.2.9": "sha3_384",
    f"{_NIST}.2.10": "sha3_512",
}
_HASH_OF_PSS = 0xA0


@lru_cache(maxsize=256)
def read_signature_algorithm(der: bytes) -> SignatureAlgorithm:
    """What an AlgorithmIdentifier says; parameters that do not belong there are passed over.

    Args:
        der: one element.

    Raises:
        MalformedDERError: it is none.
    """
    reader = DerReader(der)
    content = reader.enter(SEQUENCE)
    reader.finish()
    identifier = dotted(content.object_identifier())
    if identifier in _OWN_HASH:
        return SignatureAlgorithm(identifier, None, has_own_hash=True)
    if identifier == PSS:
        return SignatureAlgorithm(identifier, _pss_hash(content))
    return SignatureAlgorithm(identifier, _HASHES.get(identifier))


def _pss_hash(parameters: DerReader) -> str | None:
    """The hash under RSASSA-PSS, SHA-1 where none is named (RFC 4055, section 3.1); None for odd parameters."""
    try:
        listed = parameters.enter(SEQUENCE)
        if listed.next_tag != _HASH_OF_PSS:
            return "sha1"
        named = listed.enter(_HASH_OF_PSS).enter(SEQUENCE)
        return _DIGESTS.get(dotted(named.object_identifier())) if named.next_tag == OBJECT_IDENTIFIER else None
    except MalformedDERError:
        return None
