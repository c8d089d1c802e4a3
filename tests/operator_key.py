"""The key that an operator signs with, and its certificate for CUPS, as the chart makes them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class OperatorPair:
    """A key and its self-signed certificate, both PEM."""

    key_pem: bytes
    certificate_pem: bytes


def make_operator_pair(*, curve: bool = False) -> OperatorPair:
    """Make a pair; with `curve`, make a pair of an unsupported kind."""
    key = generate_private_key(SECP256R1()) if curve else Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stationkeeper-operator")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    unsigned = builder.not_valid_before(now).not_valid_after(now + timedelta(days=36500))
    certificate = unsigned.sign(key, None) if isinstance(key, Ed25519PrivateKey) else unsigned.sign(key, SHA256())
    return OperatorPair(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), certificate.public_bytes(Encoding.PEM)
    )
