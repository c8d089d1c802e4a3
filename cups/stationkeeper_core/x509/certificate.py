"""A certificate as facts: its content, read from its bytes, without any judgement.

Bounded: any bytes give a certificate or a `StationkeeperError` that names the field that cannot be read. Every encoding
that OpenSSL accepts is accepted, DER or not. OpenSSL verifies signatures and paths.
Source: RFC 5280, section 4.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from OpenSSL import crypto

from stationkeeper_core.cached import cached_property
from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509 import extensions, openssl
from stationkeeper_core.x509.extensions import ABSENT, Absence, BasicConstraints, KeyUsage
from stationkeeper_core.x509.fields import CertificateFields, UnreadableFieldError, read_fields
from stationkeeper_core.x509.keys import PublicKey, read_public_key
from stationkeeper_core.x509.signatures import SignatureAlgorithm, read_signature_algorithm

MAX_CERTIFICATE_BYTES = 16 * 1024

_CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"
_UNREADABLE_TO_CRYPTOGRAPHY = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)


@dataclass(frozen=True)
class Certificate:
    """A certificate that can be read: its bytes and its fields.

    Attributes:
        der: its bytes; the parts without a signature are strict DER, so that one certificate has one fingerprint.
        fields: its fields.
    """

    der: bytes
    fields: CertificateFields = field(repr=False, compare=False)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the DER bytes, 64 lower-case hex digits."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def version(self) -> int:
        """1 for X.509 v1, 3 for v3."""
        return self.fields.version

    @cached_property
    def serial(self) -> str:
        """The serial number, upper-case hex without leading zeros."""
        return f"{self.fields.serial_number:X}"

    @property
    def serial_number(self) -> int:
        """The serial number, which may be zero or negative."""
        return self.fields.serial_number

    @property
    def not_before(self) -> datetime:
        """The time from which it is valid, aware."""
        return self.fields.not_before

    @property
    def not_after(self) -> datetime:
        """The last second at which it is valid, aware."""
        return self.fields.not_after

    @property
    def folded_subject(self) -> str:
        """The subject for comparison: equal for two certificates exactly if OpenSSL finds it equal. Not for people."""
        return self.fields.subject.folded

    @property
    def folded_issuer(self) -> str:
        """The issuer for comparison: equal to a `folded_subject` exactly if OpenSSL finds it equal. Not for people."""
        return self.fields.issuer.folded

    @property
    def subject(self) -> str:
        """The subject in the form of RFC 4514."""
        return self.fields.subject.text

    @property
    def issuer(self) -> str:
        """The issuer in the form of RFC 4514."""
        return self.fields.issuer.text

    @property
    def common_names(self) -> tuple[str, ...]:
        """Every Common Name of the subject, as text."""
        return self.fields.subject.common_names

    @property
    def is_self_issued(self) -> bool:
        """Whether subject and issuer are the same name, as in a root or in a CA certificate for a key rollover."""
        return self.fields.subject is self.fields.issuer or self.folded_subject == self.folded_issuer

    @cached_property
    def key(self) -> PublicKey | None:
        """Its public key; None if even the algorithm cannot be read."""
        return read_public_key(self.fields.public_key)

    @cached_property
    def key_sha256(self) -> str | None:
        """SHA-256 of its public key, the same for all certificates with that key; None if it cannot be read.

        It is over the SubjectPublicKeyInfo in its usual encoding, 64 lower-case hex digits. Only RSA, EC, Ed25519 and
        Ed448 keys have one.
        """
        if self.key is None or self.key.der is None:
            return None
        return hashlib.sha256(self.key.der).hexdigest()

    @property
    def signed_bytes(self) -> bytes:
        """The bytes that its issuer signed, as encoded."""
        return self.fields.signed

    @property
    def signature(self) -> bytes:
        """The bytes of its signature."""
        return self.fields.signature

    @property
    def signature_algorithm_der(self) -> bytes:
        """The AlgorithmIdentifier between the signed bytes and the signature, as encoded."""
        return self.fields.signature_algorithm

    @cached_property
    def signature_algorithm(self) -> SignatureAlgorithm:
        """Its signature algorithm."""
        return read_signature_algorithm(self.fields.signature_algorithm)

    @cached_property
    def basic_constraints(self) -> BasicConstraints | Absence:
        """Its basic constraints."""
        return extensions.find(self.fields.extensions, extensions.BASIC_CONSTRAINTS, extensions.basic_constraints)

    @cached_property
    def key_usage(self) -> KeyUsage | Absence:
        """Its key usage."""
        return extensions.find(self.fields.extensions, extensions.KEY_USAGE, extensions.key_usage)

    @cached_property
    def extended_key_usage(self) -> tuple[str, ...] | Absence:
        """Its extended key usage: object identifiers with dots."""
        return extensions.find(self.fields.extensions, extensions.EXTENDED_KEY_USAGE, extensions.extended_key_usage)

    @property
    def subject_key_identifier(self) -> bytes | Absence:
        """The identifier of its own key."""
        kind, read = extensions.SUBJECT_KEY_IDENTIFIER, extensions.subject_key_identifier
        return extensions.find(self.fields.extensions, kind, read)

    @property
    def authority_key_identifier(self) -> bytes | Absence | None:
        """The identifier of its issuer's key; None if the extension has none."""
        kind, read = extensions.AUTHORITY_KEY_IDENTIFIER, extensions.authority_key_identifier
        return extensions.find(self.fields.extensions, kind, read)

    @property
    def netscape_certificate_type(self) -> int | Absence:
        """The bits of the old Netscape certificate type; the first one is 0x80."""
        kind, read = extensions.NETSCAPE_CERTIFICATE_TYPE, extensions.netscape_certificate_type
        return extensions.find(self.fields.extensions, kind, read)

    def extension_bytes(self, kind: bytes) -> int:
        """Return the number of bytes in the extensions of one kind.

        Args:
            kind: the content of its object identifier.
        """
        return sum(len(each.value) for each in self.fields.extensions if each.kind == kind)

    @property
    def critical_extensions(self) -> tuple[str, ...]:
        """The critical extensions: object identifiers with dots."""
        return tuple(each.identifier for each in self.fields.extensions if each.is_critical)

    @property
    def is_authority(self) -> bool:
        """Whether the basic constraints say CA:TRUE; false without them, as in v1."""
        found = self.basic_constraints
        return isinstance(found, BasicConstraints) and found.is_authority

    @property
    def path_length(self) -> int | None:
        """The number of CAs that may follow below it; None for any number."""
        found = self.basic_constraints
        return found.path_length if isinstance(found, BasicConstraints) else None

    @property
    def may_issue_to_clients(self) -> bool:
        """Whether its extended key usage, if any, has clientAuth; OpenSSL checks this for each issuer of a chain."""
        found = self.extended_key_usage
        return found is ABSENT or (not isinstance(found, Absence) and _CLIENT_AUTH in found)

    @property
    def may_sign_certificates(self) -> bool:
        """Whether its key usage, if any, has keyCertSign."""
        return self.key_usage is ABSENT or (isinstance(self.key_usage, KeyUsage) and self.key_usage.key_cert_sign)

    @property
    def may_sign_crls(self) -> bool:
        """Whether its key usage, if any, has cRLSign."""
        return self.key_usage is ABSENT or (isinstance(self.key_usage, KeyUsage) and self.key_usage.crl_sign)

    @cached_property
    def openssl(self) -> crypto.X509:
        """The certificate as an object of OpenSSL, loaded once.

        Raises:
            ValueError: OpenSSL cannot read it.
        """
        return openssl.load(self.der)

    @cached_property
    def signs_itself(self) -> bool:
        """Whether it is self-issued and its own key verifies its signature."""
        try:
            return self.is_self_issued and openssl.signs_itself(self.openssl)
        except ValueError:
            return False

    @cached_property
    def x509(self) -> x509.Certificate:
        """The certificate as an object of cryptography.

        Raises:
            ValueError: cryptography cannot read it, since it accepts only strict DER.
        """
        try:
            return x509.load_der_x509_certificate(self.der)
        except _UNREADABLE_TO_CRYPTOGRAPHY as error:
            raise ValueError(f"cryptography cannot read the certificate: {error}") from None


def parse_certificate(der: bytes) -> Certificate:
    """Parse a certificate.

    Its extensions are only split: for a gateway's certificate, OpenSSL checks them.

    Raises:
        StationkeeperError: `MalformedPEM` (the detail names the field that cannot be read) or `TooLarge`.
    """
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise StationkeeperError(
            Reason.TOO_LARGE,
            f"a certificate has {len(der)} bytes, at most {MAX_CERTIFICATE_BYTES} are allowed",
        )
    try:
        fields = read_fields(der)
        if not fields.has_strict_envelope:
            # The parts without a signature have many encodings, each with another fingerprint.
            der = openssl.written(openssl.load(der))
            fields = read_fields(der)
        read_signature_algorithm(fields.signature_algorithm)
    except UnreadableFieldError as error:
        raise StationkeeperError(Reason.MALFORMED_PEM, f"a certificate's {error}") from None
    except ValueError as error:
        raise StationkeeperError(Reason.MALFORMED_PEM, str(error)) from None
    return Certificate(der, fields)
