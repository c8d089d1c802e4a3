"""Certificates with P-256 keys for the core's tests; they take little time, and may be odd."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from stationkeeper_core.x509.certificate import Certificate, parse_certificate

NOW = datetime(2026, 6, 1, tzinfo=UTC)
EUI = "0102030405060708"
MAY_SIGN = x509.KeyUsage(True, False, False, False, False, True, False, False, False)
# A subject alternative name of a kind that OpenSSL passes over and cryptography does not know: an x400Address.
X400_NAME = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), bytes.fromhex("3004a3020500"))


def name(*common_names: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each) for each in common_names])


@dataclass(frozen=True)
class Signer:
    """A CA, or another signer."""

    subject: x509.Name
    key: ec.EllipticCurvePrivateKey
    certificate: Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.der


@dataclass(frozen=True)
class Wish:
    """The properties of a certificate to make."""

    subject: x509.Name
    ca: bool | None = None
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    begins: datetime = NOW - timedelta(days=10)
    ends: datetime = NOW + timedelta(days=10)
    serial: int = 0
    extensions: tuple[x509.ExtensionType, ...] = ()


def issue(wish: Wish, issuer: Signer | None = None) -> Signer:
    """Return a certificate of `issuer`, or a self-signed one."""
    issuer_name = issuer.subject if issuer else wish.subject
    serial = wish.serial or x509.random_serial_number()
    builder = (
        x509.CertificateBuilder(issuer_name, wish.subject, wish.key.public_key(), serial)
        .not_valid_before(wish.begins)
        .not_valid_after(wish.ends)
    )
    if wish.ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(wish.ca, None), critical=True)
    for extension in wish.extensions:
        builder = builder.add_extension(extension, critical=False)
    signed = builder.sign(issuer.key if issuer else wish.key, hashes.SHA256())
    return Signer(wish.subject, wish.key, parse_certificate(signed.public_bytes(Encoding.DER)))


def ca(common_name: str, issuer: Signer | None = None, **options: object) -> Signer:
    return issue(Wish(name(common_name), ca=True, **options), issuer)  # type: ignore[arg-type]


def leaf(issuer: Signer, common_name: str = EUI, **options: object) -> Signer:
    return issue(Wish(name(common_name), **options), issuer)  # type: ignore[arg-type]
