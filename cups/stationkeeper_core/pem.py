"""PEM text to X.509 certificates, strictly.

Total and bounded: any text gives certificates or a `StationkeeperError` that says what is wrong and at which line. Text
outside the blocks (`openssl x509 -text`, comments of CA bundles) is allowed; any block that is not a certificate is
not, and a private key is named as such.
Source: RFC 7468.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.names import folded_name

MAX_PEM_BYTES = 256 * 1024
MAX_CERTIFICATES = 100
MAX_CERTIFICATE_BYTES = 16 * 1024

_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 #.]*)-----")
_BYTE_ORDER_MARK = "\ufeff"
_CERTIFICATE_LABELS = {"CERTIFICATE", "X509 CERTIFICATE"}
_UNREADABLE = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)


@dataclass(frozen=True)
class Certificate:
    """A certificate that can be read: its bytes and what was read from them.

    Attributes:
        der: the exact bytes.
        x509: the parsed certificate.
    """

    der: bytes
    x509: x509.Certificate

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the DER bytes, 64 lower-case hex digits."""
        return hashlib.sha256(self.der).hexdigest()

    @cached_property
    def serial(self) -> str:
        """The serial number, upper-case hex without leading zeros."""
        return f"{self.x509.serial_number:X}"

    @property
    def serial_number(self) -> int:
        """The serial number, which may be negative."""
        return self.x509.serial_number

    @cached_property
    def not_before(self) -> datetime:
        """From when it is valid, aware."""
        return self.x509.not_valid_before_utc

    @cached_property
    def not_after(self) -> datetime:
        """Until when it is valid, with that second, aware."""
        return self.x509.not_valid_after_utc

    @cached_property
    def folded_subject(self) -> str:
        """The subject, fit to be compared."""
        return folded_name(self.subject)

    @cached_property
    def folded_issuer(self) -> str:
        """The issuer, fit to be compared."""
        return folded_name(self.issuer)

    @cached_property
    def subject(self) -> str:
        """The subject as RFC 4514 writes it."""
        return self.x509.subject.rfc4514_string()

    @cached_property
    def issuer(self) -> str:
        """The issuer as RFC 4514 writes it."""
        return self.x509.issuer.rfc4514_string()

    @cached_property
    def key_sha256(self) -> str | None:
        """SHA-256 of its public key, the same for all certificates with that key; None where it cannot be read.

        Over the SubjectPublicKeyInfo as it is usually written, 64 lower-case hex digits.
        """
        try:
            key = self.x509.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except _UNREADABLE:
            return None
        return hashlib.sha256(key).hexdigest()

    @property
    def is_authority(self) -> bool:
        """Whether the basic constraints say CA:TRUE; a v1 certificate has none and never is."""
        try:
            constraints = self.x509.extensions.get_extension_for_class(x509.BasicConstraints)
        except (x509.ExtensionNotFound, *_UNREADABLE):
            return False
        return constraints.value.ca

    @property
    def may_issue_to_clients(self) -> bool:
        """Whether its extended key usage, if there is one, has clientAuth; so OpenSSL judges each issuer of a chain."""
        try:
            usage = self.x509.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        except x509.ExtensionNotFound:
            return True
        except _UNREADABLE:
            return False
        return ExtendedKeyUsageOID.CLIENT_AUTH in usage.value

    @property
    def may_sign_certificates(self) -> bool:
        """Whether its key usage, if it has one, includes keyCertSign; the extensions have to be readable."""
        try:
            usage = self.x509.extensions.get_extension_for_class(x509.KeyUsage)
        except x509.ExtensionNotFound:
            return True
        return usage.value.key_cert_sign


def parse_certificate(der: bytes) -> Certificate:
    """The certificate of `der`, with the fields that are used downstream known to be readable.

    Its extensions are not looked at: of a gateway's certificate they are OpenSSL's to judge.

    Raises:
        StationkeeperError: `MalformedPEM` or `TooLarge`.
    """
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise StationkeeperError(
            Reason.TOO_LARGE,
            f"a certificate has {len(der)} bytes, at most {MAX_CERTIFICATE_BYTES} are allowed",
        )
    try:
        certificate = Certificate(der, x509.load_der_x509_certificate(der))
        _touch(certificate)
    except _UNREADABLE as error:
        raise StationkeeperError(Reason.MALFORMED_PEM, f"a certificate cannot be read: {error}") from None
    if certificate.x509.public_bytes(Encoding.DER) != der:
        raise StationkeeperError(Reason.MALFORMED_PEM, "bytes follow a certificate")
    return certificate


def parse_certificates(
    text: str, reason_for_private_key: Reason = Reason.PRIVATE_KEY_IN_TRUSTED_CA
) -> tuple[Certificate, ...]:
    """The certificates of `text`, in their order, duplicates dropped; none where there is no block.

    Raises:
        StationkeeperError: `MalformedPEM`, `TooLarge`, `TooManyCertificates` or `reason_for_private_key`.
    """
    if len(text) > MAX_PEM_BYTES:
        raise StationkeeperError(
            Reason.TOO_LARGE, f"the PEM text has {len(text)} characters, at most {MAX_PEM_BYTES} are allowed"
        )
    # A key is looked for first, and anywhere: it must be named even where the text around it is broken.
    if "PRIVATE KEY" in text:
        line = text[: text.index("PRIVATE KEY")].count("\n") + 1
        raise StationkeeperError(
            reason_for_private_key, f"there is a private key at line {line}; remove it and replace that key"
        )
    found: dict[bytes, Certificate] = {}
    for line, label, body in pem_blocks(text):
        if label not in _CERTIFICATE_LABELS:
            raise StationkeeperError(
                Reason.MALFORMED_PEM, f"the block at line {line} is {label[:40]!a}, not a certificate"
            )
        if len(found) == MAX_CERTIFICATES:
            raise StationkeeperError(
                Reason.TOO_MANY_CERTIFICATES, f"there are more than {MAX_CERTIFICATES} certificates"
            )
        certificate = _certificate_at(line, body)
        found.setdefault(certificate.der, certificate)
    return tuple(found.values())


def parse_der_certificate(der: bytes) -> Certificate:
    """The certificate of `der` that a resource refers to; refused where one of `parse_certificates` would be.

    Raises:
        StationkeeperError: `MalformedPEM` or `TooLarge`.
    """
    certificate = parse_certificate(der)
    _check_usable(certificate)
    return certificate


def to_pem(der: bytes) -> str:
    """One certificate as a PEM block."""
    body = base64.encodebytes(der).decode("ascii").replace("\n", "")
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


def pem_blocks(text: str) -> list[tuple[int, str, str]]:
    """The blocks of `text`: the line where each begins, its label and its base64 text.

    Raises:
        StationkeeperError: `MalformedPEM`, a block has no beginning or end.
    """
    blocks: list[tuple[int, str, str]] = []
    begun: tuple[int, str] | None = None
    body: list[str] = []
    for number, raw in enumerate(text.removeprefix(_BYTE_ORDER_MARK).splitlines(), start=1):
        line = raw.strip()
        begin = _BEGIN.fullmatch(line)
        if begun is None:
            if begin:
                begun, body = (number, begin[1]), []
            elif line.startswith("-----") or "-----BEGIN " in line:
                raise StationkeeperError(Reason.MALFORMED_PEM, f"line {number} is not the beginning of a block")
        elif line == f"-----END {begun[1]}-----":
            blocks.append((*begun, "".join(body)))
            begun = None
        elif line.startswith("-----"):
            raise StationkeeperError(
                Reason.MALFORMED_PEM, f"the block at line {begun[0]} has no end before line {number}"
            )
        else:
            body.append(line)
    if begun is not None:
        raise StationkeeperError(Reason.MALFORMED_PEM, f"the block at line {begun[0]} has no end")
    return blocks


def _certificate_at(line: int, body: str) -> Certificate:
    try:
        der = base64.b64decode(body, validate=True)
    except ValueError as error:
        raise StationkeeperError(Reason.MALFORMED_PEM, f"the block at line {line} is not base64: {error}") from None
    try:
        certificate = parse_certificate(der)
        _check_usable(certificate)
    except StationkeeperError as error:
        raise StationkeeperError(error.reason, f"the block at line {line}: {error.detail}") from None
    return certificate


def _check_usable(certificate: Certificate) -> None:
    """Refuses what would break more than the one resource that holds it, once it is published."""
    try:
        _ = certificate.x509.extensions
    except _UNREADABLE as error:
        raise StationkeeperError(Reason.MALFORMED_PEM, f"an extension cannot be read: {error}") from None
    if certificate.key_sha256 is None:
        raise StationkeeperError(Reason.MALFORMED_PEM, "the public key is of a kind that cannot be used")
    try:
        crypto.load_certificate(crypto.FILETYPE_ASN1, certificate.der)
    except crypto.Error:
        raise StationkeeperError(Reason.MALFORMED_PEM, "OpenSSL cannot read the certificate") from None


def _touch(certificate: Certificate) -> None:
    parsed = certificate.x509
    _ = (
        parsed.serial_number,
        parsed.not_valid_before_utc,
        parsed.not_valid_after_utc,
        certificate.issuer,
        parsed.subject,
    )
