"""Check a server's chain by the rules of a Station that OpenSSL does not check.

The client uses mbed TLS 2.28. It parses every certificate of the chain, and knows fewer extensions, keys and signatures
than OpenSSL. It requires digitalSignature in a server's certificate. It knows only DNS names, and compares an address
like a name.
Source: the CUPS protocol; mbed TLS 2.28, `x509_crt.c`, `mbedtls_ssl_check_cert_usage`.
"""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.protocol.server_chain import check_server
from stationkeeper_core.x509.certificate import parse_certificate
from stationkeeper_tools.station.faults import StationError, StationFault


def check_server_certificate(chain: Sequence[x509.Certificate], host: str) -> None:
    """Refuse a chain that a Station refuses.

    Args:
        chain: in the server's order, its own certificate first; already verified by OpenSSL.
        host: the host in the URI.

    Raises:
        StationError: `TLSFailed`.
    """
    try:
        names = _names(chain[0])
        check_server([parse_certificate(each.public_bytes(Encoding.DER)) for each in chain])
    except ValueError as error:
        raise StationError(StationFault.TLS_FAILED, f"the server's certificate cannot be read: {error}") from None
    except StationkeeperError as error:
        raise StationError(StationFault.TLS_FAILED, f"what the server sent: {error.detail}") from None
    if not any(_matches(name.lower(), host.lower()) for name in names):
        detail = f"the server's certificate is for the DNS names {names}, not for {host!a}"
        raise StationError(StationFault.TLS_FAILED, detail)


def _names(certificate: x509.Certificate) -> list[str]:
    """Return the DNS names of the alternative names; without that extension, the Common Names."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return extension.value.get_values_for_type(x509.DNSName)


def _matches(name: str, host: str) -> bool:
    """Return whether `name` is `host`, or has a `*.` in place of everything before the host's first dot."""
    dot = host.find(".")
    return name == host or (name.startswith("*.") and dot > 0 and name[1:] == host[dot:])
