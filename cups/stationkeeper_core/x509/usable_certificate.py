"""Check that a certificate of a resource can be used at all: as an anchor, an intermediate, or by a Station.

A gateway's own certificate is not checked here: OpenSSL checks it.
"""

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509 import openssl
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.extensions import first_unreadable
from stationkeeper_core.x509.keys import EXPLICIT_CURVE, KeyKind, PublicKey


def check_usable(certificate: Certificate) -> None:
    """Refuse a certificate that cannot verify anything, or that cannot be verified.

    Raises:
        StationkeeperError: `MalformedPEM`, `KeyKindUnsupported` or `CurveUnsupported`.
    """
    key = certificate.key
    if key is None:
        raise StationkeeperError(Reason.MALFORMED_PEM, "the public key cannot be read")
    _check_kind(key)
    unreadable = first_unreadable(certificate.fields.extensions)
    if unreadable is not None:
        raise StationkeeperError(Reason.MALFORMED_PEM, f"the extension {unreadable} cannot be read, or is there twice")
    try:
        has_key = openssl.has_usable_key(certificate.openssl)
    except ValueError as error:
        raise StationkeeperError(Reason.MALFORMED_PEM, str(error)) from None
    if has_key:
        return
    # OpenSSL knows every curve that gets here, so it is the point that is wrong.
    where = f": its point is not on the curve {key.curve}" if key.kind is KeyKind.EC else ""
    raise StationkeeperError(Reason.MALFORMED_PEM, f"OpenSSL cannot read the public key{where}")


def _check_kind(key: PublicKey) -> None:
    if key.kind is KeyKind.OTHER:
        raise StationkeeperError(
            Reason.KEY_KIND_UNSUPPORTED, f"the public key is of the kind {key.algorithm[:64]}, not RSA, EC or Ed25519"
        )
    if key.kind is KeyKind.EC and not key.is_on_known_curve:
        raise _on_curve(key)
    if key.der is None:
        raise StationkeeperError(Reason.MALFORMED_PEM, f"the {key.kind} public key cannot be read")


def _on_curve(key: PublicKey) -> StationkeeperError:
    curve = "a curve that it gives by numbers" if key.curve == EXPLICIT_CURVE else f"the curve {key.curve[:64]}"
    return StationkeeperError(Reason.CURVE_UNSUPPORTED, f"the public key is on {curve}, which OpenSSL does not accept")
