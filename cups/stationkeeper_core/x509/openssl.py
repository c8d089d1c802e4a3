"""The core's access to OpenSSL for certificates; the only place that loads certificates into it."""

from cryptography.exceptions import UnsupportedAlgorithm
from OpenSSL import crypto


def load(der: bytes) -> crypto.X509:
    """Load a certificate into OpenSSL.

    Raises:
        ValueError: OpenSSL cannot read it.
    """
    try:
        return crypto.load_certificate(crypto.FILETYPE_ASN1, der)
    except crypto.Error:
        raise ValueError("OpenSSL cannot read the certificate") from None


def written(certificate: crypto.X509) -> bytes:
    """Return the certificate as OpenSSL encodes it: the signed part unchanged, the rest in strict DER.

    A TLS connection returns this form, and `openssl x509 -fingerprint` uses it.
    """
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


def has_usable_key(certificate: crypto.X509) -> bool:
    """Return whether OpenSSL can read the public key."""
    try:
        certificate.get_pubkey()
    except (crypto.Error, ValueError, UnsupportedAlgorithm):
        return False
    return True


def signs_itself(certificate: crypto.X509) -> bool:
    """Return whether its own key verifies its signature."""
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.CHECK_SS_SIGNATURE)
    try:
        store.add_cert(certificate)
        crypto.X509StoreContext(store, certificate).verify_certificate()
    except crypto.X509StoreContextError as error:
        return error.errors[0] in _ABOUT_TIME
    except crypto.Error:  # pragma: no cover - no certificate is known that OpenSSL loads and takes into no store
        return False
    return True


# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED; OpenSSL checks these after the signature.
_ABOUT_TIME = {9, 10}
