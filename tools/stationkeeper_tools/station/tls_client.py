"""Speak TLS as a Station does, without a socket: bytes in, bytes out.

TLS 1.2 at most. SNI is always sent, even for an address. Each certificate of the trust file is a trust anchor. No
session is resumed, and no close_notify is sent. Built on pyOpenSSL, since the standard library sends no SNI for an
address.
"""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key, load_pem_private_key
from OpenSSL import SSL, crypto

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.protocol.station_certificate import check_readable
from stationkeeper_core.x509.certificate import parse_certificate
from stationkeeper_tools.station.credential_set import Authentication, CredentialSet
from stationkeeper_tools.station.faults import StationError, StationFault

# RSA and DH of at least 2048 bits, P-256 at least, no SHA-1 in certificates: what mbed TLS requires of a chain.
_CIPHERS = b"DEFAULT:@SECLEVEL=2"
_PEM_BEGIN = b"-----BEGIN"


def tls_client(host: str, credentials: CredentialSet) -> SSL.Connection:
    """Return the client's end of a new TLS connection over memory, before its handshake.

    Args:
        host: the host name for the SNI.
        credentials: a set with a trust.

    Raises:
        StationError: `CredentialsUnusable`; the detail does not repeat a secret.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(_CIPHERS)
    context.set_verify(SSL.VERIFY_PEER)
    _trust(context, credentials.trust)
    if credentials.authentication is Authentication.MUTUAL:
        _identify(context, credentials)
    connection = SSL.Connection(context, None)
    try:
        connection.set_tlsext_host_name(host.encode("ascii"))
    except ValueError:
        raise StationError(StationFault.BAD_URI, f"{host!a} is not a host name") from None
    connection.set_connect_state()
    return connection


def read_certificates(content: bytes) -> list[x509.Certificate]:
    """Return the certificates of a file: one if it is DER, one or more if it is PEM.

    Raises:
        ValueError: it is neither.
    """
    if content.startswith(_PEM_BEGIN):
        return x509.load_pem_x509_certificates(content)
    return [x509.load_der_x509_certificate(content)]


def read_key(content: bytes) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    """Return the private key of a file, PEM or DER; like the client, do not check that an RSA key's factors are prime.

    Raises:
        ValueError: it is not a private key, or of a kind that a Station does not know, such as Ed25519.
    """
    try:
        load = load_pem_private_key if content.startswith(_PEM_BEGIN) else load_der_private_key
        key = load(content, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("not a private key that can be read") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError("neither an RSA nor an EC key")  # noqa: TRY004 - what the file holds is a value
    return key


def error_text(error: SSL.Error) -> str:
    """Return OpenSSL's message."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(str(entry[-1]) for entry in queue) or str(error) or "the connection was closed"


def _trust(context: SSL.Context, content: bytes) -> None:
    store = context.get_cert_store()
    if store is None:
        raise RuntimeError("a new TLS context has a store")
    try:
        for certificate in read_certificates(content):
            check_readable(parse_certificate(certificate.public_bytes(Encoding.DER)))
            store.add_cert(crypto.X509.from_cryptography(certificate))
    except (ValueError, StationkeeperError, crypto.Error) as error:
        raise StationError(StationFault.CREDENTIALS_UNUSABLE, f"the trust cannot be read: {error}") from None
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)


def _identify(context: SSL.Context, credentials: CredentialSet) -> None:
    try:
        leaf, *others = read_certificates(credentials.certificate)
        context.use_certificate(leaf)
        for each in others:
            context.add_extra_chain_cert(each)
    except (ValueError, SSL.Error) as error:
        raise StationError(StationFault.CREDENTIALS_UNUSABLE, f"the certificate cannot be used: {error}") from None
    try:
        context.use_privatekey(read_key(credentials.key))
    except SSL.Error as error:
        detail = f"the key does not fit the certificate: {error_text(error)}"
        raise StationError(StationFault.CREDENTIALS_UNUSABLE, detail) from None
    except ValueError as error:
        raise StationError(StationFault.CREDENTIALS_UNUSABLE, f"the key cannot be used: {error}") from None
