"""Which certificates the TLS of a Basics Station can use, as trust and as its own.

It is mbedTLS 2.28 with its default profile. A certificate that it cannot read as a whole, for its key, its signature or
a critical extension that it does not know, is useless to it; and what it does read must be allowed to verify a server.
Source: the CUPS protocol, how the client behaves; mbedTLS 2.28, `x509_crt.c`.
"""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, PublicKeyAlgorithmOID

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.pem import Certificate

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_RSA_SIGNATURE, _ECDSA_SIGNATURE = "1.2.840.113549.1.1.", "1.2.840.10045.4."
_PSS_SIGNATURE = "1.2.840.113549.1.1.10"
_WEAK_SIGNATURES = frozenset(
    (f"{_RSA_SIGNATURE}2", f"{_RSA_SIGNATURE}3", f"{_RSA_SIGNATURE}4", f"{_RSA_SIGNATURE}5", f"{_ECDSA_SIGNATURE}1")
)
_KNOWN_CRITICAL = (
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    x509.ObjectIdentifier("2.16.840.1.113730.1.1"),  # the old Netscape certificate type
)


def check_trust(certificate: Certificate) -> None:
    """Refuses a certificate by which a Basics Station cannot verify a server.

    A CA's own signature may be SHA-1, as that of many an old root: it is never looked at.

    Raises:
        StationkeeperError: `CertificateUnusable`.
    """
    check_readable(certificate)
    if certificate.is_authority:
        if not certificate.may_sign_certificates:
            raise _unusable(certificate, "has a key usage without keyCertSign")
        return
    check_strong(certificate)
    if certificate.x509.version is not x509.Version.v1 and certificate.x509.subject != certificate.x509.issuer:
        raise _unusable(certificate, "is neither a CA certificate nor self-signed; give the root that signs the server")


def check_client(certificate: Certificate) -> None:
    """Refuses a certificate that a Basics Station cannot present.

    Raises:
        StationkeeperError: `CertificateUnusable`.
    """
    check_readable(certificate)
    check_strong(certificate)


def public_key(certificate: Certificate) -> bytes:
    """DER of the SubjectPublicKeyInfo of a certificate that was checked."""
    return certificate.x509.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def check_readable(certificate: Certificate) -> None:
    """Refuses a certificate that a Basics Station cannot parse, wherever in a chain it stands.

    Raises:
        StationkeeperError: `CertificateUnusable`.
    """
    signature = certificate.x509.signature_algorithm_oid.dotted_string
    if signature == _PSS_SIGNATURE or not signature.startswith((_RSA_SIGNATURE, _ECDSA_SIGNATURE)):
        raise _unusable(certificate, "is signed with neither RSA (PKCS#1 v1.5) nor ECDSA, which a Basics Station needs")
    problem = _key_problem(certificate)
    if problem:
        raise _unusable(certificate, f"{problem}; use RSA of {MIN_RSA_BITS} bits or more, P-256, P-384 or P-521")
    for extension in certificate.x509.extensions:
        if extension.critical and extension.oid not in _KNOWN_CRITICAL:
            oid = extension.oid.dotted_string[:64]
            raise _unusable(certificate, f"has the critical extension {oid}, which a Basics Station does not know")


def check_strong(certificate: Certificate) -> None:
    """Refuses a certificate whose signature a Basics Station finds too weak.

    Raises:
        StationkeeperError: `CertificateUnusable`.
    """
    if certificate.x509.signature_algorithm_oid.dotted_string in _WEAK_SIGNATURES:
        raise _unusable(certificate, "has a signature with SHA-1 or weaker; issue it with SHA-256")


def _key_problem(certificate: Certificate) -> str | None:
    try:
        key = certificate.x509.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "has a public key that cannot be read"
    if isinstance(key, ec.EllipticCurvePublicKey):
        if public_key(certificate) not in certificate.x509.tbs_certificate_bytes:
            return "has a public key with a compressed point or with explicit parameters"
        return None if isinstance(key.curve, _CURVES) else f"has a key on the curve {key.curve.name}"
    oid = certificate.x509.public_key_algorithm_oid
    if not isinstance(key, rsa.RSAPublicKey) or oid != PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5:
        return "has a key that is neither plain RSA nor on an elliptic curve"
    return None if MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS else f"has an RSA key of {key.key_size} bits"


def _unusable(certificate: Certificate, problem: str) -> StationkeeperError:
    return StationkeeperError(Reason.CERTIFICATE_UNUSABLE, f"the certificate {certificate.subject[:100]!a} {problem}")
