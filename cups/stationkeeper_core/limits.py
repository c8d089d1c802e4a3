"""Whether a CA certificate may keep a client of its key out that another certificate of that key would let in.

Source: RFC 5280, section 4.2.
"""

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from stationkeeper_core.pem import Certificate

_FOR_CLIENTS = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
_WITHOUT_LIMIT = {
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
    ExtensionOID.ISSUER_ALTERNATIVE_NAME,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
}


def limits_clients(certificate: Certificate) -> bool:
    """Whether it has name constraints, a usage without clients, or an extension that is not known to be without effect.

    A path length is none: gateways send their own certificate alone.
    """
    try:
        return any(_limits(each) for each in certificate.x509.extensions)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return True


def _limits(extension: x509.Extension[x509.ExtensionType]) -> bool:
    if isinstance(extension.value, x509.ExtendedKeyUsage):
        return _FOR_CLIENTS.isdisjoint(extension.value)
    return extension.oid not in _WITHOUT_LIMIT
