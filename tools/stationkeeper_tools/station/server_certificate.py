"""Whether a Station takes a server's certificate, beyond its chain: the name in it and the kind of its key.

Source: the CUPS protocol; mbed TLS 2.28, with which the client is built, knows DNS names only and matches an address as
if it were a name.
"""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from stationkeeper_tools.station.faults import StationError, StationFault

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


def check_server_certificate(certificate: x509.Certificate, host: str) -> None:
    """Refuses what a Station refuses.

    Args:
        certificate: the server's, its chain verified.
        host: as it stands in the URI.

    Raises:
        StationError: `TLSFailed`.
    """
    try:
        names = _names(certificate)
        key = certificate.public_key()
    except ValueError as error:
        raise StationError(StationFault.TLS_FAILED, f"the server's certificate cannot be read: {error}") from None
    if not any(_matches(name.lower(), host.lower()) for name in names):
        detail = f"the server's certificate is for the DNS names {names}, not for {host!a}"
        raise StationError(StationFault.TLS_FAILED, detail)
    if not (isinstance(key, rsa.RSAPublicKey) or (isinstance(key, ec.EllipticCurvePublicKey) and _is_known(key))):
        raise StationError(StationFault.TLS_FAILED, "a Station does not know the kind of the server's key")


def _names(certificate: x509.Certificate) -> list[str]:
    """The DNS names of the alternative names; only where there is no such extension, the Common Names."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return extension.value.get_values_for_type(x509.DNSName)


def _matches(name: str, host: str) -> bool:
    """Equality, or a `*.` that stands for all before the host's first dot."""
    dot = host.find(".")
    return name == host or (name.startswith("*.") and dot > 0 and name[1:] == host[dot:])


def _is_known(key: ec.EllipticCurvePublicKey) -> bool:
    return isinstance(key.curve, _CURVES)
