import ssl

import pytest

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.pem import parse_certificates
from stationkeeper_cups.tls_context import ServerCredentials, client_authentication, server_authentication
from stationkeeper_tools.sample_pki import KeyPair
from tests.cups.pki import Pki


def _credentials(pair: KeyPair) -> ServerCredentials:
    return ServerCredentials(pair.certificate_pem, pair.key_pem)


def test_a_certificate_that_cannot_be_read_does_not_shut_the_door_for_the_others(
    pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    good = parse_certificates(pki.a.certificate_pem.decode())[0].der

    context = client_authentication([b"0\x03\x02\x01\x01", good], _credentials(pki.server))

    assert context.get_ca_certs(binary_form=True) == [good]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_without_any_ca_a_certificate_is_asked_for_all_the_same(pki: Pki) -> None:
    context = client_authentication([], _credentials(pki.server))

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.get_ca_certs() == []


def test_a_certificate_is_optional_only_where_that_is_said_and_verified_even_then(pki: Pki) -> None:
    context = client_authentication([], _credentials(pki.server), certificate_optional=True)

    assert context.verify_mode is ssl.CERT_OPTIONAL
    assert context.get_ca_certs() == []


@pytest.mark.parametrize(
    "credentials",
    [
        lambda pki: ServerCredentials(b"", b""),
        lambda pki: ServerCredentials(pki.server.certificate_pem, b""),
        lambda pki: ServerCredentials(pki.server.certificate_pem, pki.other_server.key_pem),
        lambda pki: ServerCredentials(b"garbage", pki.server.key_pem),
        lambda pki: ServerCredentials(pki.server.certificate_pem, b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA"),
    ],
)
def test_server_credentials_that_cannot_be_used_are_refused_without_repeating_them(
    pki: Pki, credentials: object
) -> None:
    assert callable(credentials)
    with pytest.raises(StationkeeperError) as refused:
        server_authentication(credentials(pki))
    assert refused.value.reason is Reason.SERVER_CERTIFICATE_INVALID
    assert "PRIVATE" not in refused.value.detail


def test_the_key_is_in_no_representation(pki: Pki) -> None:
    assert "PRIVATE" not in repr(_credentials(pki.server))
