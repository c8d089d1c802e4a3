"""Signature algorithms as facts: the algorithm and its hash.

Source: RFC 3279, RFC 4055, RFC 5758, RFC 8410.
"""

from functools import lru_cache
from typing import NamedTuple

from stationkeeper_core.x509.der_reader import SEQUENCE, DerReader, MalformedDERError, dotted


class SignatureAlgorithm(NamedTuple):
    """The signature algorithm of a certificate or CRL.

    Attributes:
        identifier: the object identifier with dots.
        hash_name: such as `sha256`; None if the algorithm is unknown or has its own hash.
        has_own_hash: whether the algorithm has a fixed hash: Ed25519 and Ed448.
        pss: the parameters of RSASSA-PSS; None for other algorithms, and for unusual parameters.
    """

    identifier: str
    hash_name: str | None
    has_own_hash: bool = False
    pss: "PssParameters | None" = None


class PssParameters(NamedTuple):
    """The parameters of RSASSA-PSS, with its defaults (RFC 4055, section 3.1).

    Attributes:
        hash_name: of the message.
        mask_hash_name: of MGF1.
        salt_bytes: the length of the salt.
    """

    hash_name: str
    mask_hash_name: str
    salt_bytes: int


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
_HASH_OF_PSS, _MASK_OF_PSS, _SALT_OF_PSS = 0xA0, 0xA1, 0xA2


@lru_cache(maxsize=256)
def read_signature_algorithm(der: bytes) -> SignatureAlgorithm:
    """Parse an AlgorithmIdentifier; ignore parameters that do not belong there.

    Args:
        der: one element.

    Raises:
        MalformedDERError: it is not an AlgorithmIdentifier.
    """
    reader = DerReader(der)
    content = reader.enter(SEQUENCE)
    reader.finish()
    identifier = dotted(content.object_identifier())
    if identifier in _OWN_HASH:
        return SignatureAlgorithm(identifier, None, has_own_hash=True)
    if identifier == PSS:
        return _pss(content)
    return SignatureAlgorithm(identifier, _HASHES.get(identifier))


def _pss(parameters: DerReader) -> SignatureAlgorithm:
    hash_name: str | None = None
    try:
        listed = parameters.enter(SEQUENCE)
        mask_hash_name, salt_bytes, hash_name = "sha1", 20, "sha1"
        if listed.next_tag == _HASH_OF_PSS:
            hash_name = None
            hash_name = _digest(listed.enter(_HASH_OF_PSS))
        if listed.next_tag == _MASK_OF_PSS:
            mask = listed.enter(_MASK_OF_PSS).enter(SEQUENCE)
            mask.object_identifier()
            mask_hash_name = _digest(mask)
        if listed.next_tag == _SALT_OF_PSS:
            salt_bytes = listed.enter(_SALT_OF_PSS).integer()
    except (MalformedDERError, KeyError):
        return SignatureAlgorithm(PSS, hash_name)
    return SignatureAlgorithm(PSS, hash_name, pss=PssParameters(hash_name, mask_hash_name, salt_bytes))


def _digest(reader: DerReader) -> str:
    return _DIGESTS[dotted(reader.enter(SEQUENCE).object_identifier())]
