"""Keys and certificates of one control plane, made when it is first started, for this machine's loopback only."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stationkeeper_tools.private_files import write_private
from stationkeeper_tools.sample_pki import SIGNS_CERTIFICATES

DAYS = 365
_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


@dataclass(frozen=True)
class ControlPlanePki:
    """Paths of PEM files.

    Attributes:
        ca_file: verifies `certificate_file`.
        certificate_file: the certificate of etcd and the API server, for each other and for clients of the API server.
        key_file: its key.
        service_account_key_file: signs the tokens of ServiceAccounts.
        service_account_public_key_file: verifies them.
    """

    ca_file: Path
    certificate_file: Path
    key_file: Path
    service_account_key_file: Path
    service_account_public_key_file: Path


def make_pki(folder: Path) -> ControlPlanePki:
    """Write keys and certificates into `folder`; the CA's own key is not kept."""
    now = datetime.now(UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name, name = _name("stationkeeper control plane CA"), _name("stationkeeper control plane")
    ca = (
        _builder(ca_name, ca_name, ca_key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(SIGNS_CERTIFICATES, critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    alternatives = [*(x509.DNSName(each) for each in _NAMES), x509.IPAddress(IPv4Address("127.0.0.1"))]
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    token_key = ec.generate_private_key(ec.SECP256R1())
    token_public_key = token_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    certificate = (
        _builder(name, ca_name, key, now)
        .add_extension(issuer_key, critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return ControlPlanePki(
        write_private(folder / "ca.crt", ca.public_bytes(Encoding.PEM)),
        write_private(folder / "server.crt", certificate.public_bytes(Encoding.PEM)),
        write_private(folder / "server.key", _pem(key)),
        write_private(folder / "service-account.key", _pem(token_key)),
        write_private(folder / "service-account.pub", token_public_key),
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
