"""Whether a path is one for TLS clients, as OpenSSL's purpose `sslclient` asks it of every certificate.

What that purpose asks beyond this (a CA has to be one, and to be allowed to sign certificates) OpenSSL asks of every
path. An extended key usage with anyExtendedKeyUsage and without clientAuth is refused, in a gateway's certificate and
in a CA's: OpenSSL does so, other than RFC 5280, section 4.2.1.12, allows.
Source: OpenSSL, crypto/x509/v3_purp.c, check_purpose_ssl_client and check_ssl_ca.
"""

from stationkeeper_core.trust.extension_values import (
    BASIC_CONSTRAINTS,
    EXTENDED_KEY_USAGE,
    KEY_USAGE,
    NETSCAPE_CERTIFICATE_TYPE,
    first_bits,
    object_identifiers,
)
from stationkeeper_core.trust.path_certificate import PathCertificate

_CLIENT_AUTH = b"\x2b\x06\x01\x05\x05\x07\x03\x02"
_DIGITAL_SIGNATURE, _KEY_AGREEMENT = 0x80, 0x08
_NETSCAPE_CLIENT, _NETSCAPE_CLIENT_CA = 0x80, 0x04


def is_for_clients(path: tuple[PathCertificate, ...]) -> bool:
    """Whether `path`, from the end entity to the anchor, is one for TLS clients."""
    return _may_be_client(path[0]) and all(_may_issue_to_clients(each) for each in path[1:])


def _may_be_client(certificate: PathCertificate) -> bool:
    extensions = certificate.extensions
    usage, kind = extensions.get(KEY_USAGE), extensions.get(NETSCAPE_CERTIFICATE_TYPE)
    return (
        _has_client_usage(extensions)
        and (usage is None or bool(first_bits(usage) & (_DIGITAL_SIGNATURE | _KEY_AGREEMENT)))
        and (kind is None or bool(first_bits(kind) & _NETSCAPE_CLIENT))
    )


def _may_issue_to_clients(certificate: PathCertificate) -> bool:
    extensions = certificate.extensions
    kind = extensions.get(NETSCAPE_CERTIFICATE_TYPE)
    by_kind_alone = kind is not None and BASIC_CONSTRAINTS not in extensions and KEY_USAGE not in extensions
    return _has_client_usage(extensions) and (not by_kind_alone or bool(first_bits(kind or b"") & _NETSCAPE_CLIENT_CA))


def _has_client_usage(extensions: dict[bytes, bytes]) -> bool:
    usage = extensions.get(EXTENDED_KEY_USAGE)
    return usage is None or _CLIENT_AUTH in object_identifiers(usage)
