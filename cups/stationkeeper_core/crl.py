"""Bytes to certificate revocation lists, and what those say of each issuer.

Total and bounded: any bytes give lists or a `StationkeeperError` that says what is wrong. Only lists count from which
revocation can be told by issuer and serial number alone: complete for what they cover, direct, signed by the issuer of
the certificates themselves. An entry on hold is revoked. What an issuer splits over several distribution points adds
up, and so does a list of end-entity certificates only: absence from any list revokes nothing.
Source: RFC 5280, section 5.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.pem import Certificate, pem_blocks
from stationkeeper_core.serial_numbers import pack_serials
from stationkeeper_core.x509.names import folded_name

MAX_CRL_BYTES = 1_048_576
MAX_CRLS = 100
MAX_ENTRIES = 100_000
CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far an issuer's clock may be ahead: what a CRL made just now revokes must not wait for that."""

_SEQUENCE = b"\x30"  # which is the digit 0 as well
_LABELS = {"X509 CRL", "CRL"}
_SHOWN = 100
_UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)
_UNDERSTOOD = {
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
    ExtensionOID.ISSUER_ALTERNATIVE_NAME,
    ExtensionOID.CRL_NUMBER,
    ExtensionOID.FRESHEST_CRL,
    ExtensionOID.ISSUING_DISTRIBUTION_POINT,
}
_UNDERSTOOD_OF_ENTRIES = {CRLEntryExtensionOID.CRL_REASON, CRLEntryExtensionOID.INVALIDITY_DATE}


@dataclass(frozen=True)
class Crl:
    """A list whose form is understood; who signed it is not known yet.

    Attributes:
        x509: the parsed list.
        serials: of the revoked certificates, as `serial_numbers` packs them.
        entries: how many those are.
        number: its CRL number, -1 where it has none.
        scope: DER of its issuing distribution point, empty where it has none.
    """

    x509: x509.CertificateRevocationList
    serials: bytes
    entries: int
    number: int
    scope: bytes

    @property
    def issuer(self) -> str:
        """Its issuer as RFC 4514 writes it."""
        return self.x509.issuer.rfc4514_string()

    @property
    def this_update(self) -> datetime:
        """When it was made, aware."""
        return self.x509.last_update_utc

    @property
    def next_update(self) -> datetime | None:
        """When the next one is due, aware; None where it does not say."""
        return self.x509.next_update_utc

    @property
    def age(self) -> tuple[int, datetime]:
        """Sorts the newer of two lists of one scope last."""
        return (self.number, self.this_update)


def split_crls(content: bytes) -> tuple[bytes, ...]:
    """The DER of each list that `content` holds, at least one: one in DER, or PEM text of several.

    Raises:
        StationkeeperError: `MalformedCRL`, `TooLarge`, or `PrivateKeyInTrustedCA`.
    """
    if len(content) > MAX_CRL_BYTES:
        raise StationkeeperError(
            Reason.TOO_LARGE, f"there are {len(content)} bytes, at most {MAX_CRL_BYTES} are allowed"
        )
    text = _text(content)
    if text is None:
        return (content,)
    if "PRIVATE KEY" in text:
        raise StationkeeperError(
            Reason.PRIVATE_KEY_IN_TRUSTED_CA, "there is a private key; remove it and replace that key"
        )
    try:
        blocks = pem_blocks(text)
    except StationkeeperError as error:
        raise StationkeeperError(Reason.MALFORMED_CRL, error.detail) from None
    if not blocks:
        raise StationkeeperError(Reason.MALFORMED_CRL, "there is no CRL in it")
    if len(blocks) > MAX_CRLS:
        raise StationkeeperError(Reason.TOO_LARGE, f"there are more than {MAX_CRLS} CRLs")
    return tuple(_decoded(*block) for block in blocks)


def parse_crl(der: bytes) -> Crl:
    """The list of `der`.

    Raises:
        StationkeeperError: `MalformedCRL`, `TooLarge` or `CRLUnsupported`.
    """
    try:
        crl = x509.load_der_x509_crl(der)
        if len(crl) > MAX_ENTRIES:
            raise StationkeeperError(Reason.TOO_LARGE, f"it has {len(crl)} entries, at most {MAX_ENTRIES} are allowed")
        _ = crl.issuer.rfc4514_string(), crl.last_update_utc, crl.next_update_utc
        _check_extensions(crl.extensions)
        for entry in crl:
            _check_entry(entry)
        return Crl(
            crl, pack_serials(entry.serial_number for entry in crl), len(crl), _number(crl), _scope(crl.extensions)
        )
    except _UNREADABLE as error:
        raise StationkeeperError(Reason.MALFORMED_CRL, f"it cannot be read: {error}") from None


def signer_of(crl: Crl, issuers: Iterable[Certificate], now: datetime) -> Certificate:
    """The one of `issuers` that signed `crl` and may do so.

    Args:
        crl: the list.
        issuers: the certificates of one TrustedCA.
        now: aware.

    Raises:
        StationkeeperError: `CRLIssuerUnknown`, `CRLSignatureInvalid`, `CRLSignerNotAllowed` or `CRLNotYetValid`.
    """
    folded = folded_name(crl.issuer)
    named = [each for each in issuers if folded_name(each.subject) == folded]
    if not named:
        raise StationkeeperError(
            Reason.CRL_ISSUER_UNKNOWN, f"its issuer {_shown(crl)} is none of the anchors and intermediates"
        )
    signers = [each for each in named if _signed(crl, each)]
    if not signers:
        raise StationkeeperError(Reason.CRL_SIGNATURE_INVALID, f"it is not signed by the key of {_shown(crl)}")
    signer = next((each for each in signers if _may_sign_crls(each)), None)
    if signer is None:
        raise StationkeeperError(
            Reason.CRL_SIGNER_NOT_ALLOWED, f"the key usage of its issuer {_shown(crl)} lacks cRLSign"
        )
    if crl.this_update > now + CLOCK_TOLERANCE:
        raise StationkeeperError(
            Reason.CRL_NOT_YET_VALID, f"the CRL of {_shown(crl)} was made at {crl.this_update}, which is in the future"
        )
    return signer


def newest(crls: Sequence[Crl]) -> tuple[Crl, ...]:
    """Of one issuer's lists the newest of each scope: by CRL number, then by thisUpdate."""
    found: dict[bytes, Crl] = {}
    for crl in sorted(crls, key=lambda each: each.age):
        found[crl.scope] = crl
    return tuple(found.values())


def _text(content: bytes) -> str | None:
    """`content` as PEM text; None where it is to be read as DER."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if content.startswith(_SEQUENCE) and "-----BEGIN " not in text else text


def _decoded(line: int, label: str, body: str) -> bytes:
    if label not in _LABELS:
        raise StationkeeperError(Reason.MALFORMED_CRL, f"the block at line {line} is {label[:40]!a}, not a CRL")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:
        raise StationkeeperError(Reason.MALFORMED_CRL, f"the block at line {line} is not base64: {error}") from None


def _check_extensions(extensions: x509.Extensions) -> None:
    for each in extensions:
        if isinstance(each.value, x509.DeltaCRLIndicator):
            raise _unsupported("a delta CRL")
        if isinstance(each.value, x509.IssuingDistributionPoint):
            _check_distribution_point(each.value)
        if each.critical and each.oid not in _UNDERSTOOD:
            raise _unsupported(f"one with the critical extension {each.oid.dotted_string[:_SHOWN]}")


def _check_distribution_point(point: x509.IssuingDistributionPoint) -> None:
    kinds = {
        "an indirect CRL": point.indirect_crl,
        "a CRL of CA certificates only": point.only_contains_ca_certs,
        "a CRL of attribute certificates only": point.only_contains_attribute_certs,
        "a CRL of some reasons only": bool(point.only_some_reasons),
    }
    for kind, holds in kinds.items():
        if holds:
            raise _unsupported(kind)


def _check_entry(entry: x509.RevokedCertificate) -> None:
    for each in entry.extensions:
        if isinstance(each.value, x509.CertificateIssuer):
            raise _unsupported("an indirect CRL (an entry names a certificate issuer)")
        if isinstance(each.value, x509.CRLReason) and each.value.reason is x509.ReasonFlags.remove_from_crl:
            raise _unsupported("one with an entry removeFromCRL, which only a delta CRL may have")
        if each.critical and each.oid not in _UNDERSTOOD_OF_ENTRIES:
            raise _unsupported(f"one with the critical entry extension {each.oid.dotted_string[:_SHOWN]}")


def _unsupported(kind: str) -> StationkeeperError:
    return StationkeeperError(Reason.CRL_UNSUPPORTED, f"this is {kind}")


def _number(crl: x509.CertificateRevocationList) -> int:
    try:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return -1


def _scope(extensions: x509.Extensions) -> bytes:
    try:
        return extensions.get_extension_for_class(x509.IssuingDistributionPoint).value.public_bytes()
    except x509.ExtensionNotFound:
        return b""


def _signed(crl: Crl, issuer: Certificate) -> bool:
    try:
        return crl.x509.is_signature_valid(issuer.x509.public_key())  # type: ignore[arg-type]
    except _UNREADABLE:
        return False


def _may_sign_crls(certificate: Certificate) -> bool:
    try:
        return certificate.x509.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True
    except _UNREADABLE:
        return False


def _shown(crl: Crl) -> str:
    return f"{crl.issuer[:_SHOWN]!a}"
