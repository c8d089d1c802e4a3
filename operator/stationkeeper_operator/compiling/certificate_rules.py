"""Which certificates a resource may hold.

Parsing is remembered, within a bound: a compile sees the same few texts of all resources again and again.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.pem import Certificate, parse_certificate, parse_certificates, parse_der_certificate

_REMEMBERED = 2048
_SHOWN = 3
_MAX_SUBJECT = 100


def read_certificates(text: str, field: str, private_key_reason: Reason) -> tuple[Certificate, ...]:
    """The certificates of a PEM text, at least one.

    Args:
        text: what the spec holds or refers to.
        field: where, for the message.
        private_key_reason: the reason if there is a private key in it.

    Raises:
        StationkeeperError: `NoCertificate`, or what `parse_certificates` raises.
    """
    return _named(_parse(text, private_key_reason), field)


def read_content(content: bytes, field: str) -> tuple[Certificate, ...]:
    """The certificates of what a Secret or ConfigMap holds, at least one: PEM text, or one certificate in DER.

    Args:
        content: of the key.
        field: where the spec names it, for the message.

    Raises:
        StationkeeperError: `NoCertificate`, or what `parse_certificates` raises.
    """
    if _is_der(content):
        return _named(_parse_der(content), field)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise StationkeeperError(Reason.MALFORMED_PEM, f"{field}: it is neither PEM text nor DER") from None
    return read_certificates(text, field, Reason.MALFORMED_PEM)


def check_authorities(certificates: Iterable[Certificate], field: str) -> None:
    """Refuses certificates that may not sign others.

    CA:TRUE is asked of each, and keyCertSign where there is a key usage: with partial chains allowed, a gateway's own
    certificate would otherwise become an anchor.

    Raises:
        StationkeeperError: `NotACertificateAuthority`.
    """
    for certificate in certificates:
        if not certificate.is_authority:
            problem = "is not a CA certificate (basic constraints CA:TRUE)"
        elif not certificate.may_sign_certificates:
            problem = "has a key usage without keyCertSign"
        else:
            continue
        raise StationkeeperError(Reason.NOT_A_CERTIFICATE_AUTHORITY, f"{field}: {show([certificate])} {problem}")


def expired(certificates: Iterable[Certificate], now: datetime) -> tuple[Certificate, ...]:
    """Those of `certificates` that are no longer valid at `now`; one that is not valid yet is not among them."""
    return tuple(each for each in certificates if each.x509.not_valid_after_utc < now)


def show(certificates: Iterable[Certificate]) -> str:
    """The subjects of the first few, for messages."""
    subjects = [each.subject[:_MAX_SUBJECT] or each.sha256 for each in certificates]
    shown = ", ".join(f"{subject!a}" for subject in subjects[:_SHOWN])
    return shown if len(subjects) <= _SHOWN else f"{shown} and {len(subjects) - _SHOWN} more"


@lru_cache(maxsize=_REMEMBERED)
def certificate_of(der: bytes) -> Certificate | None:
    """The certificate of `der` that a document in force holds; None where it cannot be read."""
    try:
        return parse_certificate(der)
    except StationkeeperError:
        return None


def _is_der(content: bytes) -> bool:
    """Whether it begins with a sequence of 128 bytes or more, as no text does."""
    return content[:1] == b"\x30" and content[1:2] >= b"\x80"


def _named(found: tuple[Certificate, ...] | StationkeeperError, field: str) -> tuple[Certificate, ...]:
    if isinstance(found, StationkeeperError):
        raise StationkeeperError(found.reason, f"{field}: {found.detail}")
    if not found:
        raise StationkeeperError(Reason.NO_CERTIFICATE, f"{field} holds no PEM certificate")
    return found


@lru_cache(maxsize=_REMEMBERED)
def _parse_der(content: bytes) -> tuple[Certificate, ...] | StationkeeperError:
    try:
        return (parse_der_certificate(content),)
    except StationkeeperError as error:
        return StationkeeperError(error.reason, error.detail)
    except Exception as error:
        # As in `_parse`.
        return StationkeeperError(Reason.MALFORMED_PEM, f"it cannot be read: {type(error).__name__}")


@lru_cache(maxsize=_REMEMBERED)
def _parse(text: str, private_key_reason: Reason) -> tuple[Certificate, ...] | StationkeeperError:
    try:
        return parse_certificates(text, private_key_reason)
    except StationkeeperError as error:
        return StationkeeperError(error.reason, error.detail)
    except Exception as error:
        # What no parser foresaw in one resource must not keep all others from being compiled.
        return StationkeeperError(Reason.MALFORMED_PEM, f"it cannot be read: {type(error).__name__}")
