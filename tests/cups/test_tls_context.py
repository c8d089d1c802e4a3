import ssl
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from OpenSSL import SSL

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_cups.tls.context import gateway_context
from stationkeeper_cups.tls.server_credentials import ServerCredentials, server_authentication
from stationkeeper_tools.sample_pki import KeyPair
from tests.cups.pki import Pki


def _credentials(pair: KeyPair) -> ServerCredentials:
    return ServerCredentials(pair.certificate_pem, pair.key_pem)


def test_nothing_of_a_session_outlives_its_connection(pki: Pki) -> None:
    context = gateway_context(_credentials(pki.server))

    assert context.get_session_cache_mode() == SSL.SESS_CACHE_OFF
    options = context.set_options(0)
    for option in (SSL.OP_NO_TICKET, SSL.OP_NO_RENEGOTIATION, SSL.OP_NO_COMPRESSION):
        assert options & option


@pytest.mark.parametrize("optional", [True, False])
def test_a_certificate_is_requested_and_optional_only_if_configured(pki: Pki, *, optional: bool) -> None:
    mode = gateway_context(_credentials(pki.server), certificate_optional=optional).get_verify_mode()

    assert mode & SSL.VERIFY_PEER
    assert bool(mode & SSL.VERIFY_FAIL_IF_NO_PEER_CERT) is not optional


def _pem(key: PrivateKeyTypes, encryption: KeySerializationEncryption) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _encrypted(pem: bytes) -> bytes:
    return _pem(load_pem_private_key(pem, None), BestAvailableEncryption(b"password"))


@pytest.mark.parametrize("make", [gateway_context, server_authentication])
@pytest.mark.parametrize(
    "credentials",
    [
        lambda pki: ServerCredentials(b"", b""),
        lambda pki: ServerCredentials(pki.server.certificate_pem, b""),
        lambda pki: ServerCredentials(pki.server.certificate_pem, pki.other_server.key_pem),
        lambda pki: ServerCredentials(b"garbage", pki.server.key_pem),
        lambda pki: ServerCredentials(pki.server.certificate_pem, b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA"),
        lambda pki: ServerCredentials(pki.server.certificate_pem, _encrypted(pki.server.key_pem)),
        lambda pki: ServerCredentials(
            pki.server.certificate_pem, _pem(x25519.X25519PrivateKey.generate(), NoEncryption())
        ),
    ],
)
def test_server_credentials_that_cannot_be_used_are_refused_without_repeating_them(
    pki: Pki,
    credentials: Callable[[Pki], ServerCredentials],
    make: Callable[[ServerCredentials], SSL.Context | ssl.SSLContext],
) -> None:
    with pytest.raises(StationkeeperError) as refused:
        make(credentials(pki))
    assert refused.value.reason is Reason.SERVER_CERTIFICATE_INVALID
    assert "PRIVATE" not in refused.value.detail


def test_the_key_is_in_no_representation(pki: Pki) -> None:
    assert "PRIVATE" not in repr(_credentials(pki.server))
