"""Issue certificates to gateways as a certificate authority.

The subject of a gateway's certificate is its EUI: 16 upper-case hex digits as the Common Name. It is an end-entity
certificate for TLS clients only. Source: the CUPS protocol, identity and trust; RFC 5280, section 4.2.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import crypto

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.protocol.station_certificate import check_client
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.keys import public_key_der
from stationkeeper_core.x509.pem import parse_certificates, parse_der_certificate
from stationkeeper_tools.input_errors import InputError

BACKDATED = timedelta(hours=1)
"""Certificates begin this long before they are made, since the clocks of the servers that check them differ."""

_SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_MAX_FILE_BYTES = 1024 * 1024
_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


class KeyType(StrEnum):
    """The types of keys that gateways can get."""

    P256 = "p256"
    RSA2048 = "rsa2048"


@dataclass(frozen=True)
class Issued:
    """A gateway's new key and certificate.

    Attributes:
        certificate: its certificate.
        key_der: SEC1 of a P-256 key, PKCS#1 of an RSA key, as every Basics Station reads them; a secret.
    """

    certificate: x509.Certificate
    key_der: bytes


class Issuer:
    """Issues certificates.

    Args:
        certificate: the CA's certificate.
        key: the CA's private key.
        key_type: the type of the gateways' keys.
        now: the time, aware.
        days: how long the certificates are valid; never longer than the CA's.

    Attributes:
        not_before: when the certificates begin.
        not_after: when they end.
        is_shortened: whether they end before `days` have passed, because the CA's certificate ends.

    Raises:
        InputError: the CA cannot issue certificates that Stationkeeper and a Basics Station accept.
    """

    def __init__(  # noqa: PLR0913 - what a certificate is made of
        self, certificate: Certificate, key: _SigningKey, *, key_type: KeyType, now: datetime, days: int, source: str
    ) -> None:
        _check_authority(certificate, key, now, source)
        end = now + timedelta(days=days)
        self.authority = certificate
        self.not_before = max(now - BACKDATED, certificate.not_before).replace(microsecond=0)
        self.not_after = min(end, certificate.not_after).replace(microsecond=0)
        self.is_shortened = certificate.not_after < end
        self._key = key
        self._key_type = key_type
        self._key_identifier = _authority_key_identifier(certificate.x509, key)
        self._prove(source)

    def issue(self, eui: EUI64) -> Issued:
        """Return a new key and a certificate for the gateway."""
        key = _new_key(self._key_type)
        public = key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, format_hex(eui))]))
            .issuer_name(self.authority.x509.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.not_before)
            .not_valid_after(self.not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_USAGE, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(self._key_identifier, critical=False)
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        return Issued(certificate, key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()))

    def is_issuer_of(self, certificate: x509.Certificate) -> bool:
        """Return whether the CA's key signed `certificate` under the CA's name."""
        try:
            certificate.verify_directly_issued_by(self.authority.x509)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return False
        return True

    def _prove(self, source: str) -> None:
        """Refuse a CA whose certificates do not verify, for example because its constraints exclude gateways."""
        leaf = self.issue(EUI64(0x0123456789ABCDEF)).certificate
        check_client(parse_der_certificate(leaf.public_bytes(Encoding.DER)))
        store = crypto.X509Store()
        store.add_cert(crypto.X509.from_cryptography(self.authority.x509))
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        try:
            crypto.X509StoreContext(store, crypto.X509.from_cryptography(leaf)).verify_certificate()
        except crypto.X509StoreContextError as error:
            raise InputError(f"{source}: certificates that it signs do not verify: {error}; use another CA") from None


def read_authority(path: Path) -> Certificate:
    """Return the first certificate of the file, PEM or DER.

    Raises:
        InputError: there is none.
        StationkeeperError: it cannot be read.
        OSError: the file cannot be read.
    """
    content = _content(path)
    if b"-----BEGIN " not in content:
        return parse_der_certificate(content)
    found = parse_certificates(content.decode("utf-8", "replace"))
    if not found:
        raise InputError(f"{path}: holds no certificate; give the CA's certificate as PEM or DER")
    return found[0]


def read_signing_key(path: Path, password: bytes | None) -> _SigningKey:
    """Return the private key of the file, PEM or DER.

    Args:
        path: of the file.
        password: of an encrypted key, None for one that is not.

    Raises:
        InputError: it cannot be used; the message holds nothing of the key or the password.
        OSError: the file cannot be read.
    """
    content = _content(path)
    load = load_pem_private_key if b"-----BEGIN " in content else load_der_private_key
    try:
        key = load(content, password)
    except TypeError:
        how = "is encrypted: give --ca-key-password-file" if password is None else "is not encrypted: give no password"
        raise InputError(f"{path}: the key {how}") from None
    except (ValueError, UnsupportedAlgorithm):
        hint = "; is the password right?" if password is not None else ""
        raise InputError(f"{path}: holds no private key that can be read, in PEM or DER{hint}") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise InputError(f"{path}: the key is neither RSA nor EC; a Basics Station needs one of these")
    return key


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise InputError(f"{path}: has more than {_MAX_FILE_BYTES} bytes; give a file with one key or certificate")
    return content


def _check_authority(certificate: Certificate, key: _SigningKey, now: datetime, source: str) -> None:
    for is_wrong, problem in (
        (not certificate.is_authority, "is not a CA certificate (its basic constraints do not say CA:TRUE)"),
        (
            certificate.is_authority and not certificate.may_sign_certificates,
            "may not sign certificates (its key usage lacks keyCertSign)",
        ),
        (not certificate.may_issue_to_clients, "may not issue to clients (its extended key usage lacks clientAuth)"),
        (certificate.not_after <= now, f"has expired at {certificate.not_after:%Y-%m-%d}"),
        (certificate.not_before > now, f"is not valid before {certificate.not_before:%Y-%m-%d}"),
        (
            public_key_der(key.public_key()) != public_key_der(certificate.x509.public_key()),
            "does not belong to the key of --ca-key",
        ),
    ):
        if is_wrong:
            raise InputError(f"{source}: the certificate {certificate.subject[:100]!a} {problem}; use another one")


def _authority_key_identifier(certificate: x509.Certificate, key: _SigningKey) -> x509.AuthorityKeyIdentifier:
    """Return the authority key identifier: that of the CA's certificate, if it has one (RFC 5280, 4.2.1.1)."""
    try:
        subject = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject)


def _new_key(key_type: KeyType) -> _SigningKey:
    if key_type is KeyType.P256:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
