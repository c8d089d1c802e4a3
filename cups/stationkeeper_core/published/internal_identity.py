"""The identity of a CUPS pod's internal port towards the operator: both derive one key from their shared token.

The operator must not send its token to an unknown server at a pod's address, and must not trust that server's answers.
No CA issues certificates for the addresses of pods. So the port shows a self-signed certificate to clients that ask for
`SERVER_NAME`; its Ed25519 key is derived from the token. The same token gives the same certificate, byte for byte. The
operator pins its fingerprint before it sends anything. Source: RFC 5869 (HKDF), RFC 8032 (Ed25519 signatures are
deterministic).
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

SERVER_NAME = "stationkeeper-internal"
MIN_TOKEN_BYTES = 16

_PURPOSE = b"stationkeeper internal port, version 1"
_FOR_EVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True)
class InternalIdentity:
    """A certificate and its key.

    Attributes:
        certificate_pem: self-signed.
        key_pem: PKCS#8, not encrypted.
        sha256: of the certificate's DER, 32 bytes.
    """

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    sha256: bytes


def derive_identity(token: bytes) -> InternalIdentity:
    """Derive the identity from `token`; white space around the token does not count.

    Raises:
        ValueError: the token has fewer than `MIN_TOKEN_BYTES` bytes.
    """
    secret = token.strip()
    if len(secret) < MIN_TOKEN_BYTES:
        raise ValueError(f"the internal token has {len(secret)} bytes, at least {MIN_TOKEN_BYTES} are needed")
    key = Ed25519PrivateKey.from_private_bytes(HKDF(SHA256(), 32, None, _PURPOSE).derive(secret))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SERVER_NAME)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    certificate = builder.not_valid_before(_FOR_EVER[0]).not_valid_after(_FOR_EVER[1]).sign(key, None)
    return InternalIdentity(
        certificate_pem=certificate.public_bytes(Encoding.PEM),
        key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        sha256=hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest(),
    )
