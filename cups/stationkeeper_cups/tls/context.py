"""The TLS context of one pair of server credentials. It holds no trust, and lives until the next pair.

TLS 1.2 and 1.3. No session outlives its connection: there is no session cache, and the tickets of TLS 1.3 only name
sessions of such a cache. So no session can be resumed after a change of trust. The certificate store is empty: OpenSSL
proves that the client has the key of its certificate, and `verify` asks a judge for the rest.
"""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_cups.tls.connection import explain, verify
from stationkeeper_cups.tls.server_credentials import ServerCredentials

_LEAF_ALONE = -2

_ServerKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


def gateway_context(credentials: ServerCredentials, *, certificate_optional: bool = False) -> SSL.Context:
    """Return the context for connections of gateways.

    Args:
        credentials: the server credentials. The certificates are sent as given, the server's own first; OpenSSL adds
                none.
        certificate_optional: whether a client needs no certificate. A presented certificate is always judged.

    Raises:
        StationkeeperError: `ServerCertificateInvalid`.
    """
    leaf, *intermediates = _certificates(credentials.certificates)
    key = _private_key(credentials.key)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # An idle connection frees its record buffers (34 KiB).
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    try:
        context.use_certificate(leaf)
        context.use_privatekey(key)
        context.check_privatekey()
        for each in intermediates:
            context.add_extra_chain_cert(each)
    except SSL.Error as error:
        raise _invalid(explain(error)) from None
    # OpenSSL's path ends at the leaf: what else a client presents costs no signature and no comparison of names here.
    # (-1 stands for OpenSSL's default. With another depth the path is longer, and nothing else changes.)
    context.set_verify_depth(_LEAF_ALONE)
    # Without this flag, OpenSSL would call `verify` once more, because no issuer can verify the end-entity certificate.
    # It has already called it for the missing issuer.
    store = context.get_cert_store()
    if store is not None:
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    required = 0 if certificate_optional else SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    context.set_verify(SSL.VERIFY_PEER | required, verify)
    return context


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise _invalid(f"the certificates cannot be read: {error}") from None


def _private_key(pem: bytes) -> _ServerKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise _invalid("the key is encrypted") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _invalid("the key cannot be read as PEM") from None
    if not isinstance(key, _ServerKey):
        raise _invalid("the key is neither RSA nor EC nor Ed25519 nor Ed448")
    return key


def _invalid(detail: str) -> StationkeeperError:
    return StationkeeperError(Reason.SERVER_CERTIFICATE_INVALID, f"the server's certificate or key: {detail}")
