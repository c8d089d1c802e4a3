"""Describe a credential set for people: names and kinds, and no secret unless they ask for it."""

from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from stationkeeper_tools.station.credential_set import Authentication, CredentialSet
from stationkeeper_tools.station.faults import StationError
from stationkeeper_tools.station.tls_client import read_certificates, read_key

_CURVE_NAMES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


def describe(credentials: CredentialSet, *, show_secrets: bool = False) -> dict[str, str | None]:
    """Return the authentication, the subjects of trust and certificate, the kind of key, the token without its value.

    Args:
        credentials: any credential set.
        show_secrets: show the token; a private key is never shown.
    """
    is_token = credentials.authentication is Authentication.TOKEN
    return {
        "authentication": str(credentials.authentication),
        "trust": _text(credentials.trust, _subjects),
        "certificate": _text(credentials.certificate, _subjects),
        "key": None if is_token else _text(credentials.key, _kind),
        "token": _token(credentials, show_secrets=show_secrets) if is_token else None,
    }


def _text(content: bytes, read: Callable[[bytes], str]) -> str | None:
    if not content:
        return None
    try:
        return read(content)
    except ValueError:
        return f"unreadable ({len(content)} bytes)"


def _subjects(content: bytes) -> str:
    return "; ".join(_subject(each) for each in read_certificates(content))


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "(no subject)"


def _kind(content: bytes) -> str:
    key = read_key(content)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return _CURVE_NAMES.get(key.curve.name, key.curve.name)
    return f"RSA {key.key_size}"


def _token(credentials: CredentialSet, *, show_secrets: bool) -> str:
    try:
        lines = credentials.header_lines.decode("latin-1").splitlines()
    except StationError:
        return f"malformed ({len(credentials.key)} bytes)"
    if show_secrets:
        return ", ".join(lines)
    parted = (line.partition(": ") for line in lines)
    return ", ".join(f"{name}: … ({len(value)} bytes)" for name, _, value in parted)
