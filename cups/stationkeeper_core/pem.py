"""Where `stationkeeper_core.x509.pem` was; kept for those who still import from here."""

from stationkeeper_core.x509.certificate import MAX_CERTIFICATE_BYTES, Certificate, parse_certificate
from stationkeeper_core.x509.pem import (
    MAX_CERTIFICATES,
    MAX_PEM_BYTES,
    parse_certificates,
    parse_der_certificate,
    pem_blocks,
    to_pem,
)

__all__ = [
    "MAX_CERTIFICATES",
    "MAX_CERTIFICATE_BYTES",
    "MAX_PEM_BYTES",
    "Certificate",
    "parse_certificate",
    "parse_certificates",
    "parse_der_certificate",
    "pem_blocks",
    "to_pem",
]
