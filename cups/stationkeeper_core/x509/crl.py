"""Parse certificate revocation lists, and find their signers.

Bounded: any bytes give lists or a `StationkeeperError` that says what is wrong. Only lists that identify revoked
certificates by issuer and serial number are accepted: complete for their scope, direct, and signed by the issuer of the
certificates. An entry on hold is revoked. Lists of several distribution points of one issuer add up, and so does a list
of only end-entity certificates: absence from a list never revokes.
Source: RFC 5280, section 5.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.crl_fields import CrlFields, TooManyEntriesError, read_crl_fields
from stationkeeper_core.x509.der_reader import SEQUENCE, DerReader
from stationkeeper_core.x509.extensions import ABSENT, AUTHORITY_KEY_IDENTIFIER, Absence, Extension, find
from stationkeeper_core.x509.fields import UnreadableFieldError
from stationkeeper_core.x509.pem import explained, pem_blocks
from stationkeeper_core.x509.serial_numbers import pack_serials
from stationkeeper_core.x509.signing import is_signed_by
from stationkeeper_core.x509.wrong_format import explain_crl

MAX_CRL_BYTES = 1_048_576
MAX_CRLS = 100
MAX_ENTRIES = 100_000
CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far an issuer's clock may be ahead, so that a new CRL applies at once."""

_DIGIT_ZERO = b"\x30"  # also the tag of a SEQUENCE
_LABELS = {"X509 CRL", "CRL"}
_SHOWN = 100

_CRL_NUMBER = bytes.fromhex("551d14")
_DISTRIBUTION_POINT = bytes.fromhex("551d1c")
_DELTA = bytes.fromhex("551d1b")
_AUTHORITY_INFORMATION = bytes.fromhex("2b06010505070101")
_ISSUER_ALTERNATIVE_NAME = bytes.fromhex("551d12")
_FRESHEST = bytes.fromhex("551d2e")
_UNDERSTOOD = {
    AUTHORITY_KEY_IDENTIFIER,
    _AUTHORITY_INFORMATION,
    _ISSUER_ALTERNATIVE_NAME,
    _CRL_NUMBER,
    _FRESHEST,
    _DISTRIBUTION_POINT,
}
_REASON = bytes.fromhex("551d15")
_INVALIDITY_DATE = bytes.fromhex("551d18")
_CERTIFICATE_ISSUER = bytes.fromhex("551d1d")
_UNDERSTOOD_OF_ENTRIES = {_REASON, _INVALIDITY_DATE}
_ENUMERATED = 0x0A
_REMOVE_FROM_CRL = b"\x08"
# The fields of an issuing distribution point that make a list partial.
_PARTIAL = {
    0x82: "a CRL of CA certificates only",
    0x83: "a CRL of some reasons only",
    0x84: "an indirect CRL",
    0x85: "a CRL of attribute certificates only",
}
_SOME_REASONS = 0x83
_POINT_AND_USERS = {0xA0, 0x81}


@dataclass(frozen=True)
class Crl:
    """A parsed list; its signer is not known yet.

    Attributes:
        fields: its fields.
        serials: of the revoked certificates, as `serial_numbers` packs them.
        entries: the number of serials.
        number: its CRL number; -1 if it has none.
        scope: DER of its issuing distribution point; empty if it has none.
    """

    fields: CrlFields
    serials: bytes
    entries: int
    number: int
    scope: bytes

    @property
    def issuer(self) -> str:
        """Its issuer in the form of RFC 4514."""
        return self.fields.issuer.text

    @property
    def this_update(self) -> datetime:
        """When it was made, aware."""
        return self.fields.this_update

    @property
    def next_update(self) -> datetime | None:
        """When the next one is due, aware; None if it does not say."""
        return self.fields.next_update

    @property
    def age(self) -> tuple[int, datetime]:
        """A sort key: of two lists of one scope, the newer comes last."""
        return (self.number, self.this_update)


def split_crls(content: bytes) -> tuple[bytes, ...]:
    """Return the DER of each list in `content`, at least one: one list in DER, or PEM text of several.

    Raises:
        StationkeeperError: `MalformedCRL`, `TooLarge`, or `PrivateKeyInTrustedCA`.
    """
    if len(content) > MAX_CRL_BYTES:
        raise StationkeeperError(
            Reason.TOO_LARGE, f"there are {len(content)} bytes, at most {MAX_CRL_BYTES} are allowed"
        )
    text = _text(content)
    if text is None:
        explanation = explain_crl(content)
        if explanation is not None:
            raise StationkeeperError(Reason.MALFORMED_CRL, explanation)
        return (content,)
    if "PRIVATE KEY" in text:
        raise StationkeeperError(
            Reason.PRIVATE_KEY_IN_TRUSTED_CA, "there is a private key; remove it and replace that key"
        )
    try:
        blocks = pem_blocks(text)
        ders = tuple(_decoded(*block) for block in blocks[: MAX_CRLS + 1])
    except StationkeeperError as error:
        raise StationkeeperError(Reason.MALFORMED_CRL, explained(error.detail, explain_crl(content))) from None
    if not blocks:
        raise StationkeeperError(Reason.MALFORMED_CRL, explained("there is no CRL in it", explain_crl(content)))
    if len(blocks) > MAX_CRLS:
        raise StationkeeperError(Reason.TOO_LARGE, f"there are more than {MAX_CRLS} CRLs")
    return ders


def parse_crl(der: bytes) -> Crl:
    """Parse a list.

    Raises:
        StationkeeperError: `MalformedCRL`, `TooLarge` or `CRLUnsupported`.
    """
    try:
        fields = read_crl_fields(der, MAX_ENTRIES)
        serials = pack_serials(fields.serials)
    except TooManyEntriesError as error:
        raise StationkeeperError(Reason.TOO_LARGE, str(error)) from None
    except UnreadableFieldError as error:
        raise _malformed(f"its {error}") from None
    except ValueError as error:
        raise _malformed(str(error)) from None
    scope = _check_extensions(fields.extensions)
    _check_entries(fields.entry_extensions)
    return Crl(fields, serials, len(fields.serials), _number(fields.extensions), scope)


def signer_of(crl: Crl, issuers: Iterable[Certificate], now: datetime) -> Certificate:
    """Return the certificate of `issuers` that signed `crl` and may sign it.

    Args:
        crl: the list.
        issuers: the certificates of one TrustedCA.
        now: the time, aware.

    Raises:
        StationkeeperError: `CRLIssuerUnknown`, `CRLSignatureInvalid`, `CRLSignerNotAllowed` or `CRLNotYetValid`.
    """
    named = [each for each in issuers if each.folded_subject == crl.fields.issuer.folded]
    if not named:
        raise StationkeeperError(
            Reason.CRL_ISSUER_UNKNOWN, f"its issuer {_shown(crl)} is none of the anchors and intermediates"
        )
    signers = [each for each in named if _signed(crl, each)]
    if not signers:
        raise StationkeeperError(Reason.CRL_SIGNATURE_INVALID, f"it is not signed by the key of {_shown(crl)}")
    signer = next((each for each in signers if each.may_sign_crls), None)
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
    """Return the newest list of each scope, of one issuer's lists: by CRL number, then by thisUpdate."""
    found: dict[bytes, Crl] = {}
    for crl in sorted(crls, key=lambda each: each.age):
        found[crl.scope] = crl
    return tuple(found.values())


def _text(content: bytes) -> str | None:
    """Return `content` as PEM text; None if it is DER."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if content.startswith(_DIGIT_ZERO) and "-----BEGIN " not in text else text


def _decoded(line: int, label: str, body: str) -> bytes:
    if label not in _LABELS:
        raise StationkeeperError(Reason.MALFORMED_CRL, f"the block at line {line} is {label[:40]!a}, not a CRL")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:
        raise StationkeeperError(Reason.MALFORMED_CRL, f"the block at line {line} is not base64: {error}") from None


def _malformed(problem: str) -> StationkeeperError:
    return StationkeeperError(Reason.MALFORMED_CRL, f"it cannot be read: {problem}")


def _unsupported(kind: str) -> StationkeeperError:
    return StationkeeperError(Reason.CRL_UNSUPPORTED, f"this is {kind}")


def _check_extensions(extensions: tuple[Extension, ...]) -> bytes:
    """Refuse a list that does not identify revoked certificates by issuer and serial number.

    Returns:
        DER of its issuing distribution point; empty if it has none.
    """
    for each in extensions:
        if each.kind == _DELTA:
            raise _unsupported("a delta CRL")
        if each.is_critical and each.kind not in _UNDERSTOOD:
            raise _unsupported(f"one with the critical extension {each.identifier[:_SHOWN]}")
    point = find(extensions, _DISTRIBUTION_POINT, _distribution_point)
    if point is ABSENT:
        return b""
    if isinstance(point, Absence):
        raise _malformed("its issuing distribution point cannot be read, or is there twice")
    for tag, content in point:
        if tag not in _PARTIAL and tag not in _POINT_AND_USERS:
            raise _malformed("its issuing distribution point has an unknown field")
        if tag in _PARTIAL and (any(content) or tag == _SOME_REASONS):
            raise _unsupported(_PARTIAL[tag])
    return next(each.value for each in extensions if each.kind == _DISTRIBUTION_POINT)


def _distribution_point(reader: DerReader) -> tuple[tuple[int, bytes], ...]:
    """Return the tags and contents of its fields."""
    content, found = reader.enter(SEQUENCE), []
    while content.at < content.end:
        tag, start, stop = content.read()
        found.append((tag, content.data[start:stop]))
    return tuple(found)


def _check_entries(extensions: tuple[Extension, ...]) -> None:
    for extension in extensions:
        if extension.kind == _CERTIFICATE_ISSUER:
            raise _unsupported("an indirect CRL (an entry names a certificate issuer)")
        if extension.kind == _REASON and _reason(extension) == _REMOVE_FROM_CRL:
            raise _unsupported("one with an entry removeFromCRL, which only a delta CRL may have")
        if extension.is_critical and extension.kind not in _UNDERSTOOD_OF_ENTRIES:
            raise _unsupported(f"one with the critical entry extension {extension.identifier[:_SHOWN]}")


def _reason(extension: Extension) -> bytes:
    found = find((extension,), _REASON, lambda reader: reader.content(_ENUMERATED))
    if isinstance(found, Absence):
        raise _malformed("the reason of an entry cannot be read")
    return found


def _number(extensions: tuple[Extension, ...]) -> int:
    found = find(extensions, _CRL_NUMBER, DerReader.integer)
    if found is ABSENT:
        return -1
    if isinstance(found, Absence):
        raise _malformed("its CRL number cannot be read, or is there twice")
    return found


def _signed(crl: Crl, issuer: Certificate) -> bool:
    if issuer.key is None:
        return False
    return is_signed_by(issuer.key, crl.fields.algorithm, crl.fields.signed, crl.fields.signature)


def _shown(crl: Crl) -> str:
    return f"{crl.issuer[:_SHOWN]!a}"
