"""Rules for the certificates in a resource.

Parsed texts are cached, within a bound, since a compile reads the same texts of all resources again and again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.certificate import Certificate, parse_certificate
from stationkeeper_core.x509.pem import Bundle, check_no_key, explained, parse_bundle, parse_der_certificate
from stationkeeper_core.x509.wrong_format import explain_bytes, explain_text
from stationkeeper_operator.compiling.verdict import Role

_REMEMBERED = 2048
_SHOWN = 3
_MAX_SUBJECT = 100


@dataclass(frozen=True)
class Authorities:
    """The CA certificates of a text.

    Attributes:
        certificates: the usable ones, at least one.
        left_out: why each of the others cannot be used, for a message.
    """

    certificates: tuple[Certificate, ...]
    left_out: tuple[str, ...] = ()


def read_authorities(content: str | bytes, field: str, role: Role) -> Authorities:
    """Return the CA certificates of a PEM text; leave out unusable ones.

    Args:
        content: the text in the spec, or the bytes that it refers to: PEM text, or one certificate in DER.
        field: the field of the spec, for the message.
        role: the use of the certificates.

    Raises:
        StationkeeperError: no certificate is usable (with the reason of the first one, or `NoCertificate`); or as
            `parse_bundle`, for an error of the whole text, above all a private key.
    """
    bundle = _bundle(content, field, Reason.PRIVATE_KEY_IN_TRUSTED_CA)
    usable, refused = [], list(bundle.refused)
    for certificate in bundle.certificates:
        problem = _authority_problem(certificate, role)
        if problem is None:
            usable.append(certificate)
        else:
            refused.append(problem)
    if not usable:
        raise StationkeeperError(refused[0].reason, f"{field}: {'; '.join(each.detail for each in refused[:_SHOWN])}")
    return Authorities(tuple(usable), tuple(f"{field}: {each.detail}" for each in refused))


def read_certificates(text: str, field: str, private_key_reason: Reason) -> tuple[Certificate, ...]:
    """Return the certificates of a PEM text: at least one, and all usable.

    Args:
        text: the text in the spec, or the one that it refers to.
        field: the field of the spec, for the message.
        private_key_reason: the reason if the text holds a private key.

    Raises:
        StationkeeperError: `NoCertificate`, or what `parse_certificates` raises.
    """
    return _complete(_bundle(text, field, private_key_reason), field)


def read_content(content: bytes, field: str) -> tuple[Certificate, ...]:
    """Return the certificates in a Secret or ConfigMap, at least one: PEM text, or one certificate in DER.

    Args:
        content: the content of the key.
        field: the field of the spec that names it, for the message.

    Raises:
        StationkeeperError: `NoCertificate`, or what `parse_certificates` raises.
    """
    return _complete(_bundle(content, field, Reason.MALFORMED_PEM), field)


def expired(certificates: Iterable[Certificate], now: datetime) -> tuple[Certificate, ...]:
    """Return the certificates that have expired at `now`; one that is not valid yet is not among them."""
    return tuple(each for each in certificates if each.not_after < now)


def show(certificates: Iterable[Certificate]) -> str:
    """Return the subjects of the first few certificates, for messages."""
    subjects = [each.subject[:_MAX_SUBJECT] or each.sha256 for each in certificates]
    shown = ", ".join(f"{subject!a}" for subject in subjects[:_SHOWN])
    return shown if len(subjects) <= _SHOWN else f"{shown} and {len(subjects) - _SHOWN} more"


@lru_cache(maxsize=_REMEMBERED)
def certificate_of(der: bytes) -> Certificate | None:
    """Parse a certificate of a document in force; return None if it cannot be read."""
    try:
        return parse_certificate(der)
    except StationkeeperError:
        return None


def _is_der(content: bytes) -> bool:
    """Return whether `content` begins with a DER sequence of at least 128 bytes; no text does."""
    return content[:1] == b"\x30" and content[1:2] >= b"\x80"


def _authority_problem(certificate: Certificate, role: Role) -> StationkeeperError | None:
    """Return why a certificate may not sign others; None if it may.

    Each must have CA:TRUE, and keyCertSign if it has a key usage. Otherwise, since partial chains are allowed, a
    gateway's own certificate could become an anchor. A root of X.509 v1 has neither. It differs from a gateway's
    certificate in that its own key signs it. OpenSSL accepts such a root, but only at the end of a chain.
    """
    if role is Role.ANCHOR and certificate.version == 1 and certificate.signs_itself:
        return None
    if not certificate.is_authority:
        problem = "is not a CA certificate (basic constraints CA:TRUE)"
    elif not certificate.may_sign_certificates:
        problem = "has a key usage without keyCertSign"
    else:
        return None
    return StationkeeperError(Reason.NOT_A_CERTIFICATE_AUTHORITY, f"{show([certificate])} {problem}")


def _bundle(content: str | bytes, field: str, private_key_reason: Reason) -> Bundle:
    """Return the certificates of PEM text, or of bytes (PEM text or one DER certificate); at least one."""
    if isinstance(content, bytes) and _is_der(content):
        bundle = _parse_der(content, private_key_reason)
    else:
        bundle = _parse(_text(content, field), private_key_reason)
    if isinstance(bundle, StationkeeperError):
        raise StationkeeperError(bundle.reason, f"{field}: {bundle.detail}")
    if not bundle.certificates and not bundle.refused:
        raise StationkeeperError(Reason.NO_CERTIFICATE, _without_certificate(content, field))
    return bundle


def _text(content: str | bytes, field: str) -> str:
    if isinstance(content, str):
        return content
    try:
        return content.decode()
    except UnicodeDecodeError:
        detail = explained(f"{field}: it is neither PEM text nor DER", explain_bytes(content))
        raise StationkeeperError(Reason.MALFORMED_PEM, detail) from None


def _without_certificate(content: str | bytes, field: str) -> str:
    encoded = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
    explanation = explain_bytes(encoded) or explain_text(encoded.decode("utf-8", "replace"))
    return explained(f"{field} holds no PEM certificate", explanation)


def _complete(found: Bundle, field: str) -> tuple[Certificate, ...]:
    if found.refused:
        raise StationkeeperError(found.refused[0].reason, f"{field}: {found.refused[0].detail}")
    return found.certificates


@lru_cache(maxsize=_REMEMBERED)
def _parse_der(content: bytes, private_key_reason: Reason) -> Bundle | StationkeeperError:
    try:
        check_no_key(content, "in DER", private_key_reason)
        return Bundle((parse_der_certificate(content),), ())
    except StationkeeperError as error:
        return StationkeeperError(error.reason, explained(error.detail, explain_bytes(content)))
    except Exception as error:
        # As in `_parse`.
        return StationkeeperError(Reason.MALFORMED_PEM, f"it cannot be read: {type(error).__name__}")


@lru_cache(maxsize=_REMEMBERED)
def _parse(text: str, private_key_reason: Reason) -> Bundle | StationkeeperError:
    try:
        return parse_bundle(text, private_key_reason)
    except StationkeeperError as error:
        return StationkeeperError(error.reason, error.detail)
    except Exception as error:
        # An unforeseen error in one resource must not stop the compile of all others.
        return StationkeeperError(Reason.MALFORMED_PEM, f"it cannot be read: {type(error).__name__}")
