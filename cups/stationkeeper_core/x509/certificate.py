"""A certificate as facts: what it says, read from its bytes, and judged by nobody in here.

Total and bounded: any bytes give a certificate or a `StationkeeperError` that names the field which cannot be read.
What OpenSSL takes is taken, be it in DER or not. Signatures and paths are OpenSSL's to verify.
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
    """A certificate that can be read: its bytes and what was read from them.

    Attributes:
        der: its bytes; what is not signed of them is in DER, so that one certificate has one fingerprint.
        fields: what it was taken apart into.
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
        """From when it is valid, aware."""
        return self.fields.not_before

    @property
    def not_after(self) -> datetime:
        """Until when it is valid, with that second, aware."""
        return self.fields.not_after

    @property
    def folded_subject(self) -> str:
        """The subject, equal for two certificates exactly where it is to OpenSSL; not to be shown."""
        return self.fields.subject.folded

    @property
    def folded_issuer(self) -> str:
        """The issuer, equal to a `folded_subject` exactly where it is to OpenSSL; not to be shown."""
        return self.fields.issuer.folded

    @property
    def subject(self) -> str:
        """The subject as RFC 4514 writes it."""
        return self.fields.subject.text

    @property
    def issuer(self) -> str:
        """The issuer as RFC 4514 writes it."""
        return self.fields.issuer.text

    @property
    def common_names(self) -> tuple[str, ...]:
        """Every Common Name of the subject, as text."""
        return self.fields.subject.common_names

    @property
    def is_self_issued(self) -> bool:
        """Whether subject and issuer are one name, as in a root, or in a CA certificate for a key roll-over."""
        return self.fields.subject is self.fields.issuer or self.folded_subject == self.folded_issuer

    @cached_property
    def key(self) -> PublicKey | None:
        """Its public key; None where not even the algorithm can be read."""
        return read_public_key(self.fields.public_key)

    @cached_property
    def key_sha256(self) -> str | None:
        """SHA-256 of its public key, the same for all certificates with that key; None where it cannot be read.

        Over the SubjectPublicKeyInfo as it is usually written, 64 lower-case hex digits. Only RSA, EC, Ed25519 and
        Ed448 have one.
        """
        if self.key is None or self.key.der is None:
            return None
        return hashlib.sha256(self.key.der).hexdigest()

    @property
    def signed_bytes(self) -> bytes:
        """What its issuer signed, as it is encoded."""
        return self.fields.signed

    @property
    def signature(self) -> bytes:
        """The bytes of its signature."""
        return self.fields.signature

    @property
    def signature_algorithm_der(self) -> bytes:
        """The AlgorithmIdentifier that stands between the signed bytes and the signature, as it is encoded."""
        return self.fields.signature_algorithm

    @cached_property
    def signature_algorithm(self) -> SignatureAlgorithm:
        """How it is signed."""
        return read_signature_algorithm(self.fields.signature_algorithm)

    @cached_property
    def basic_constraints(self) -> BasicConstraints | Absence:
        """What it may issue."""
        return extensions.find(self.fields.extensions, extensions.BASIC_CONSTRAINTS, extensions.basic_constraints)

    @cached_property
    def key_usage(self) -> KeyUsage | Absence:
        """What its key may be used for."""
        return extensions.find(self.fields.extensions, extensions.KEY_USAGE, extensions.key_usage)

    @cached_property
    def extended_key_usage(self) -> tuple[str, ...] | Absence:
        """The purposes that it lists, object identifiers with dots."""
        return extensions.find(self.fields.extensions, extensions.EXTENDED_KEY_USAGE, extensions.extended_key_usage)

    @property
    def subject_key_identifier(self) -> bytes | Absence:
        """The name that it gives its own key."""
        kind, read = extensions.SUBJECT_KEY_IDENTIFIER, extensions.subject_key_identifier
        return extensions.find(self.fields.extensions, kind, read)

    @property
    def authority_key_identifier(self) -> bytes | Absence | None:
        """The name that it gives its issuer's key; None where the extension has none."""
        kind, read = extensions.AUTHORITY_KEY_IDENTIFIER, extensions.authority_key_identifier
        return extensions.find(self.fields.extensions, kind, read)

    @property
    def netscape_certificate_type(self) -> int | Absence:
        """The bits of that old extension, the first one being 0x80."""
        kind, read = extensions.NETSCAPE_CERTIFICATE_TYPE, extensions.netscape_certificate_type
        return extensions.find(self.fields.extensions, kind, read)

    def extension_bytes(self, kind: bytes) -> int:
        """How many bytes the extensions of one kind have.

        Args:
            kind: the content of its object identifier.
        """
        return sum(len(each.value) for each in self.fields.extensions if each.kind == kind)

    @property
    def critical_extensions(self) -> tuple[str, ...]:
        """The extensions that have to be understood, object identifiers with dots."""
        return tuple(each.identifier for each in self.fields.extensions if each.is_critical)

    @property
    def is_authority(self) -> bool:
        """Whether the basic constraints say CA:TRUE; without them, as in v1, it is not."""
        found = self.basic_constraints
        return isinstance(found, BasicConstraints) and found.is_authority

    @property
    def path_length(self) -> int | None:
        """How many CAs may follow below it; None for any number."""
        found = self.basic_constraints
        return found.path_length if isinstance(found, BasicConstraints) else None

    @property
    def may_issue_to_clients(self) -> bool:
        """Whether its extended key usage, if there is one, has clientAuth; so OpenSSL judges each issuer of a chain."""
        found = self.extended_key_usage
        return found is ABSENT or (not isinstance(found, Absence) and _CLIENT_AUTH in found)

    @property
    def may_sign_certificates(self) -> bool:
        """Whether its key usage, if it has one, includes keyCertSign."""
        return self.key_usage is ABSENT or (isinstance(self.key_usage, KeyUsage) and self.key_usage.key_cert_sign)

    @property
    def may_sign_crls(self) -> bool:
        """Whether its key usage, if it has one, includes cRLSign."""
        return self.key_usage is ABSENT or (isinstance(self.key_usage, KeyUsage) and self.key_usage.crl_sign)

    @cached_property
    def openssl(self) -> crypto.X509:
        """The certificate as OpenSSL knows it, loaded once.

        Raises:
            ValueError: OpenSSL cannot read it.
        """
        return openssl.load(self.der)

    @cached_property
    def signs_itself(self) -> bool:
        """Whether it is self-issued and its signature verifies by its own key."""
        try:
            return self.is_self_issued and openssl.signs_itself(self.openssl)
        except ValueError:
            return False

    @cached_property
    def x509(self) -> x509.Certificate:
        """The certificate as cryptography knows it.

        Raises:
            ValueError: cryptography, which takes strict DER only, cannot read it.
        """
        try:
            return x509.load_der_x509_certificate(self.der)
        except _UNREADABLE_TO_CRYPTOGRAPHY as error:
            raise ValueError(f"cryptography cannot read the certificate: {error}") from None


def parse_certificate(der: bytes) -> Certificate:
    """The certificate of `der`.

    Its extensions are only told apart: of a gateway's certificate they are OpenSSL's to judge.

    Raises:
        StationkeeperError: `MalformedPEM`, the detail names the field that cannot be read; or `TooLarge`.
    """
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise StationkeeperError(
            Reason.TOO_LARGE,
            f"a certificate has {len(der)} bytes, at most {MAX_CERTIFICATE_BYTES} are allowed",
        )
    try:
        fields = read_fields(der)
        if not fields.has_strict_envelope:
            # What nobody signed could be written in many ways, and the fingerprint would be another each time.
            der = openssl.written(openssl.load(der))
            fields = read_fields(der)
        read_signature_algorithm(fields.signature_algorithm)
    except UnreadableFieldError as error:
        raise StationkeeperError(Reason.MALFORMED_PEM, f"a certificate's {error}") from None
    except ValueError as error:
        raise StationkeeperError(Reason.MALFORMED_PEM, str(error)) from None
    return Certificate(der, fields)
