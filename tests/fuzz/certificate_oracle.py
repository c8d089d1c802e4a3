"""The properties of the certificate reader for any bytes: it never fails, and agrees with OpenSSL and cryptography."""

import hashlib
import warnings
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from OpenSSL import crypto

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.certificate import Certificate, parse_certificate
from stationkeeper_core.x509.extensions import MAX_EXTENSIONS, Absence, BasicConstraints, KeyUsage
from stationkeeper_core.x509.keys import KeyKind
from stationkeeper_core.x509.names import MAX_ATTRIBUTES
from stationkeeper_core.x509.strength import key_strength, signature_strength
from stationkeeper_core.x509.usable_certificate import check_usable
from tests.core.certificates import NOW

REFUSED = {Reason.MALFORMED_PEM, Reason.TOO_LARGE}
UNUSABLE = REFUSED | {Reason.KEY_KIND_UNSUPPORTED, Reason.CURVE_UNSUPPORTED}
_UNREADABLE = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)
_KINDS = {
    rsa.RSAPublicKey: KeyKind.RSA,
    ec.EllipticCurvePublicKey: KeyKind.EC,
    ed25519.Ed25519PublicKey: KeyKind.ED25519,
    ed448.Ed448PublicKey: KeyKind.ED448,
}
# OpenSSL loads such a certificate and verifies no chain with it, which is asked.
_VERIFIES_NOTHING = "a certificate's validity cannot be read"
# TLS refuses bytes after a certificate (tls_process_client_certificate); the others are bounds of the reader.
_OPENSSL_LOADS_ALL_THE_SAME = (
    "a certificate's outer form cannot be read: bytes follow it",
    f"cannot be read: it has more than {MAX_ATTRIBUTES} parts",
    f"a certificate's list of extensions cannot be read: there are more than {MAX_EXTENSIONS}",
    "the end of an element with an indefinite length is not found",
)


def check_certificate(der: bytes) -> bool:
    """Return whether `der` can be read as a certificate, and check that all readers agree.

    Raises:
        AssertionError: they do not agree.
    """
    loaded = _by_openssl(der)
    known = _by_cryptography(der)
    try:
        certificate = parse_certificate(der)
    except StationkeeperError as error:
        assert error.reason in REFUSED, error
        if loaded is not None and error.detail.startswith(_VERIFIES_NOTHING):
            assert not _is_verified(loaded), f"OpenSSL verifies it: {error.detail}"
            return False
        excused = any(each in error.detail for each in _OPENSSL_LOADS_ALL_THE_SAME)
        assert loaded is None or excused or len(der) > 16 * 1024, f"OpenSSL reads it: {error.detail}"
        return False
    _check_total(certificate)
    if loaded is not None:
        _check_with_openssl(certificate, loaded)
    if known is not None and certificate.der == der:
        _check_with_cryptography(certificate, known)
    return True


def _check_total(certificate: Certificate) -> None:
    for name in dir(type(certificate)):
        if not name.startswith("_") and name not in {"openssl", "x509", "der", "fields"}:
            getattr(certificate, name)
    key_strength(certificate), signature_strength(certificate)
    assert isinstance(certificate.is_authority, bool)
    assert certificate.not_before.tzinfo is UTC
    try:
        check_usable(certificate)
    except StationkeeperError as error:
        assert error.reason in UNUSABLE, error


def _check_with_openssl(certificate: Certificate, loaded: crypto.X509) -> None:
    assert certificate.der == crypto.dump_certificate(crypto.FILETYPE_ASN1, loaded)
    assert certificate.serial_number == loaded.get_serial_number()
    assert _name_hash(certificate.folded_subject) == loaded.get_subject().hash()
    assert _name_hash(certificate.folded_issuer) == loaded.get_issuer().hash()
    if certificate.not_before.year > 1:
        assert certificate.not_before == _moment(loaded.get_notBefore())
    if certificate.not_after.year > 1:
        assert certificate.not_after == _moment(loaded.get_notAfter())
    if abs(certificate.version) < 2**31:
        assert certificate.version - 1 == loaded.get_version()
    try:
        key = loaded.get_pubkey()
    except (crypto.Error, ValueError, UnsupportedAlgorithm):
        return
    found = certificate.key
    assert found is not None
    if found.kind is KeyKind.RSA:
        assert found.bits == key.bits()
    if found.der is not None and found.algorithm == "1.2.840.113549.1.1.1":
        assert found.der == crypto.dump_publickey(crypto.FILETYPE_ASN1, key)


def _check_with_cryptography(certificate: Certificate, known: x509.Certificate) -> None:
    assert certificate.serial_number == known.serial_number
    assert certificate.version == known.version.value + 1
    assert certificate.signed_bytes == known.tbs_certificate_bytes
    assert certificate.signature == known.signature
    assert certificate.signature_algorithm.identifier == known.signature_algorithm_oid.dotted_string
    # The year 0, which OpenSSL has and a `datetime` has not, is read as the year 1.
    assert certificate.not_before.year == 1 or certificate.not_before == known.not_valid_before_utc
    assert certificate.not_after.year == 1 or certificate.not_after == known.not_valid_after_utc
    _check_names(certificate, known)
    _check_key(certificate, known)
    _check_hash(certificate, known)
    _check_extensions(certificate, known)


def _check_names(certificate: Certificate, known: x509.Certificate) -> None:
    try:
        subject, issuer = known.subject, known.issuer
        texts = subject.rfc4514_string(), issuer.rfc4514_string()
    except _UNREADABLE:
        return
    assert (certificate.subject, certificate.issuer) == texts
    listed = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    assert certificate.common_names == tuple(
        each.value if isinstance(each.value, str) else each.value.decode("latin-1") for each in listed
    )


def _check_key(certificate: Certificate, known: x509.Certificate) -> None:
    try:
        key = known.public_key()
    except _UNREADABLE:
        return
    kind = next((kind for cls, kind in _KINDS.items() if isinstance(key, cls)), KeyKind.OTHER)
    found = certificate.key
    assert found is not None
    assert found.kind == kind
    if kind is KeyKind.OTHER or found.curve == "explicit":
        return
    assert found.der == key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if isinstance(key, rsa.RSAPublicKey):
        assert found.bits == key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        assert (found.curve, found.bits) == (key.curve.name, key.curve.key_size)


def _check_hash(certificate: Certificate, known: x509.Certificate) -> None:
    try:
        algorithm = known.signature_hash_algorithm
    except _UNREADABLE:
        return
    found = certificate.signature_algorithm.hash_name
    assert found == (None if algorithm is None else algorithm.name.replace("-", "_").replace("/", "_"))


def _check_extensions(certificate: Certificate, known: x509.Certificate) -> None:
    try:
        extensions = known.extensions
    except _UNREADABLE:
        return
    assert certificate.critical_extensions == tuple(each.oid.dotted_string for each in extensions if each.critical)
    for each in extensions:
        if isinstance(each.value, x509.BasicConstraints):
            found = certificate.basic_constraints
            assert found == BasicConstraints(each.value.ca, each.value.path_length)
        elif isinstance(each.value, x509.KeyUsage):
            _check_key_usage(certificate.key_usage, each.value)
        elif isinstance(each.value, x509.ExtendedKeyUsage):
            assert certificate.extended_key_usage == tuple(usage.dotted_string for usage in each.value)
        elif isinstance(each.value, x509.SubjectKeyIdentifier):
            assert certificate.subject_key_identifier == each.value.digest
        elif isinstance(each.value, x509.AuthorityKeyIdentifier):
            assert certificate.authority_key_identifier == each.value.key_identifier


def _check_key_usage(found: KeyUsage | Absence, known: x509.KeyUsage) -> None:
    flags = KeyUsage(known.digital_signature, known.key_agreement, known.key_cert_sign, known.crl_sign)
    others = known.content_commitment, known.key_encipherment, known.data_encipherment
    # OpenSSL accepts no chain with a usage that allows nothing, so nothing is compared.
    assert found == flags or (isinstance(found, Absence) and not any((*flags, *others)))


def _is_verified(trusted: crypto.X509) -> bool:
    """Return whether OpenSSL verifies a certificate as its own trust anchor, at a time at which the seeds are valid."""
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    store.set_time(NOW + timedelta(days=1))
    try:
        store.add_cert(trusted)
        crypto.X509StoreContext(store, trusted).verify_certificate()
    except (crypto.Error, crypto.X509StoreContextError):
        return False
    return True


def _by_openssl(der: bytes) -> crypto.X509 | None:
    try:
        return crypto.load_certificate(crypto.FILETYPE_ASN1, der)
    except crypto.Error:
        return None


def _by_cryptography(der: bytes) -> x509.Certificate | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return x509.load_der_x509_certificate(der)
        except _UNREADABLE:
            return None


def _name_hash(folded: str) -> int:
    return int.from_bytes(hashlib.sha1(folded.encode("latin-1"), usedforsecurity=False).digest()[:4], "little")


def _moment(text: bytes | None) -> datetime | None:
    return None if text is None else datetime.strptime(text.decode(), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
