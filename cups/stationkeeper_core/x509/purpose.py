"""Check that a certificate is for TLS clients, as OpenSSL's purpose `sslclient` checks every certificate.

The other checks of that purpose (that a CA is a CA and may sign certificates) are made by OpenSSL for every path. An
extended key usage with anyExtendedKeyUsage but without clientAuth is refused, in certificates of gateways and of CAs:
OpenSSL refuses it too, although RFC 5280, section 4.2.1.12, allows it.
Source: OpenSSL, crypto/x509/v3_purp.c, check_purpose_ssl_client and check_ssl_ca.
"""

from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.extensions import ABSENT, Absence

_NETSCAPE_CLIENT, _NETSCAPE_CLIENT_CA = 0x80, 0x04


def may_be_client(certificate: Certificate) -> bool:
    """Return whether an end-entity certificate by itself is for TLS clients."""
    usage = certificate.key_usage
    signs = usage is ABSENT if isinstance(usage, Absence) else usage.digital_signature or usage.key_agreement
    return signs and certificate.may_issue_to_clients and _has_kind(certificate, _NETSCAPE_CLIENT)


def may_be_clients_ca(certificate: Certificate) -> bool:
    """Return whether a CA certificate by itself is one in a path for TLS clients."""
    is_ca_by_kind_alone = certificate.basic_constraints is ABSENT and certificate.key_usage is ABSENT
    return certificate.may_issue_to_clients and (not is_ca_by_kind_alone or _has_kind(certificate, _NETSCAPE_CLIENT_CA))


def _has_kind(certificate: Certificate, bit: int) -> bool:
    """Return whether the old Netscape certificate type has `bit`, or is absent."""
    kind = certificate.netscape_certificate_type
    return kind is ABSENT or (not isinstance(kind, Absence) and bool(kind & bit))
