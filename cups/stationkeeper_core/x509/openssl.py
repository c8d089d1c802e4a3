"""OpenSSL as the core uses it for certificates. The only place that loads them into it."""

from cryptography.exceptions import UnsupportedAlgorithm
from OpenSSL import crypto


def load(der: bytes) -> crypto.X509:
    """The certificate as OpenSSL knows it.

    Raises:
        ValueError: OpenSSL cannot read it.
    """
    try:
        return crypto.load_certificate(crypto.FILETYPE_ASN1, der)
    except crypto.Error:
        raise ValueError("OpenSSL cannot read the certificate") from None


def written(certificate: crypto.X509) -> bytes:
    """Its bytes as OpenSSL writes them: the signed part as it was, all around it in DER.

    So a TLS connection hands it over, and so `openssl x509 -fingerprint` sees it.
    """
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


def has_usable_key(certificate: crypto.X509) -> bool:
    """Whether OpenSSL can read the public key."""
    try:
        certificate.get_pubkey()
    except (crypto.Error, ValueError, UnsupportedAlgorithm):
        return False
    return True


def signs_itself(certificate: crypto.X509) -> bool:
    """Whether its signature verifies by its own key."""
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


# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED, which are found after the signature was verified.
_ABOUT_TIME = {9, 10}
