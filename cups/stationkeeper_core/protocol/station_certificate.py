"""Check which certificates a Basics Station can use, as trust and as its own certificate.

Its TLS library is mbedTLS 2.28 with the default profile. It cannot use a certificate with a key, a signature or a
critical extension that it does not know. A trust certificate must also be allowed to verify a server. Source: the CUPS
protocol, how the client behaves; mbedTLS 2.28, `x509_crt.c`.
"""

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.der_reader import (
    BIT_STRING,
    CONSTRUCTED,
    NULL,
    OBJECT_IDENTIFIER,
    SEQUENCE,
    SET,
    DerReader,
    MalformedDERError,
)
from stationkeeper_core.x509.extensions import READERS, Extension
from stationkeeper_core.x509.keys import RSA_ENCRYPTION, KeyKind
from stationkeeper_core.x509.signatures import PSS

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192

_CURVES = {"secp256r1", "secp384r1", "secp521r1"}
_RSA_SIGNATURE, _ECDSA_SIGNATURE = "1.2.840.113549.1.1.", "1.2.840.10045.4."
_STRONG_HASHES = {"sha224", "sha256", "sha384", "sha512"}
_NULL = bytes((NULL, 0))
_KNOWN = {
    "2.5.29.19": "basic constraints",
    "2.5.29.15": "key usage",
    "2.5.29.37": "extended key usage",
    "2.5.29.17": "subject alternative name",
    "2.16.840.1.113730.1.1": "Netscape certificate type",
}
# UTF8, PrintableString, T61String, IA5String, UniversalString, BMPString: see `x509_get_attr_type_value`.
_STRINGS_OF_NAMES = frozenset((BIT_STRING, 12, 19, 20, 22, 28, 30))
_VERSION_3 = 3
_MAX_LENGTH_BYTES = 4
_MAX_DEPTH = 16


def check_trust(certificate: Certificate) -> None:
    """Refuse a certificate with which a Basics Station cannot verify a server.

    A CA's own signature may use SHA-1, as in many old roots: a Station never checks it.

    Raises:
        StationkeeperError: `CertificateUnusable`.
    """
    check_readable(certificate)
    if certificate.is_authority:
        if not certificate.may_sign_certificates:
            raise _unusable(certificate, "has a key usage without keyCertSign")
        return
    check_strong(certificate)
    if certificate.version != 1 and not _is_self_issued(certificate):
        raise _unusable(certificate, "is neither a CA certificate nor self-signed; give the root that signs the server")


def check_client(certificate: Certificate) -> None:
    """Refuse a certificate that a Basics Station cannot present.

    Raises:
        StationkeeperError: `CertificateUnusable`.
    """
    check_readable(certificate)
    check_strong(certificate)


def public_key(certificate: Certificate) -> bytes:
    """Return DER of the SubjectPublicKeyInfo of a checked certificate."""
    return certificate.key.der if certificate.key is not None and certificate.key.der is not None else b""


def check_readable(certificate: Certificate) -> None:
    """Refuse a certificate that a Basics Station cannot parse, at any position in a chain.

    Raises:
        StationkeeperError: `CertificateUnusable`.
    """
    signature = certificate.signature_algorithm.identifier
    if signature == PSS or not signature.startswith((_RSA_SIGNATURE, _ECDSA_SIGNATURE)):
        raise _unusable(certificate, "is signed with neither RSA (PKCS#1 v1.5) nor ECDSA, which a Basics Station needs")
    problem = _key_problem(certificate)
    if problem:
        raise _unusable(certificate, f"{problem}; use RSA of {MIN_RSA_BITS} bits or more, P-256, P-384 or P-521")
    problem = _form_problem(certificate) or _extension_problem(certificate)
    if problem:
        raise _unusable(certificate, f"{problem}, which a Basics Station does not know")


def check_strong(certificate: Certificate) -> None:
    """Refuse a certificate with a signature that is too weak for a Basics Station.

    Raises:
        StationkeeperError: `CertificateUnusable`.
    """
    if certificate.signature_algorithm.hash_name not in _STRONG_HASHES:
        raise _unusable(certificate, "has a signature with SHA-1 or weaker; issue it with SHA-256")


def _key_problem(certificate: Certificate) -> str | None:
    key = certificate.key
    if key is None or (key.der is None and key.kind is KeyKind.RSA):
        return "has a public key that cannot be read"
    if key.kind is KeyKind.EC:
        if key.is_on_known_curve and key.curve not in _CURVES:
            return f"has a key on the curve {key.curve}"
        # It knows only named curves and uncompressed points, as in `key.der`.
        is_plain = key.der is not None and key.der == certificate.fields.public_key
        return None if is_plain else "has a public key with a compressed point or with explicit parameters"
    if key.kind is not KeyKind.RSA or key.algorithm != RSA_ENCRYPTION:
        return "has a key that is neither plain RSA nor on an elliptic curve"
    return None if MIN_RSA_BITS <= key.bits <= MAX_RSA_BITS else f"has an RSA key of {key.bits} bits"


def _form_problem(certificate: Certificate) -> str | None:
    """Return the part of the encoding that mbedTLS cannot read, or None; it reads less BER than OpenSSL."""
    fields = certificate.fields
    if fields.inner_algorithm != fields.signature_algorithm or not _has_plain_parameters(fields.inner_algorithm):
        return "names its signature algorithm in two ways or with parameters"
    if not _is_plain(DerReader(fields.signed)):
        return "is encoded with indefinite lengths, or with strings in segments"
    if not fields.issuer.parts or not (fields.issuer.tags | fields.subject.tags) <= _STRINGS_OF_NAMES:
        return "has a name without parts or with another kind of string"
    if not 1 <= fields.version <= _VERSION_3:
        return f"is of the version {fields.version}"[:64]
    if fields.extensions and fields.version != _VERSION_3:
        return "has extensions without being of version 3"
    return None


def _extension_problem(certificate: Certificate) -> str | None:
    seen: set[str] = set()
    for extension in certificate.fields.extensions:
        identifier = extension.identifier
        if identifier in _KNOWN:
            if identifier in seen or not _reads_to_its_end(extension):
                return f"has the extension {_KNOWN[identifier]} twice or in another form"
            seen.add(identifier)
        elif extension.is_critical:
            return f"has the critical extension {identifier[:64]}"
    return None


def _reads_to_its_end(extension: Extension) -> bool:
    _, read = READERS[extension.kind]
    reader = DerReader(extension.value)
    try:
        read(reader)
        reader.finish()
    except MalformedDERError:
        return False
    return _is_plain(DerReader(extension.value))


def _has_plain_parameters(algorithm: bytes) -> bool:
    content = DerReader(algorithm).enter(SEQUENCE)
    content.expect(OBJECT_IDENTIFIER)
    return content.data[content.at : content.end] in {b"", _NULL}


def _is_plain(reader: DerReader, depth: int = 0) -> bool:
    """Return whether every length is definite, in at most four bytes, and no string is in segments."""
    while reader.at < reader.end:
        at = reader.at
        try:
            tag, start, stop = reader.read()
        except MalformedDERError:
            return False
        is_segmented = tag < 0x40 and tag & CONSTRUCTED and tag not in {SEQUENCE, SET}  # noqa: PLR2004 - universal
        if (
            is_segmented
            or tag != reader.data[at]
            or reader.at != stop
            or start - at > 2 + _MAX_LENGTH_BYTES
            or depth > _MAX_DEPTH
        ):
            return False
        if tag & CONSTRUCTED and not _is_plain(DerReader(reader.data, start, stop), depth + 1):
            return False
    return True


def _is_self_issued(certificate: Certificate) -> bool:
    """Return whether subject and issuer have the same text, with any kind of string."""
    subject, issuer = (
        tuple(tuple((each.kind, each.text) for each in part) for part in name.parts)
        for name in (certificate.fields.subject, certificate.fields.issuer)
    )
    return subject == issuer


def _unusable(certificate: Certificate, problem: str) -> StationkeeperError:
    return StationkeeperError(Reason.CERTIFICATE_UNUSABLE, f"the certificate {certificate.subject[:100]!a} {problem}")
