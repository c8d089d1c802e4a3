"""Credentials for an LNS and for another CUPS server, applied to a real API server: the published sets."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_tools.api_client import RequestError
from stationkeeper_tools.sample_pki import KeyPair, make_gateway
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import LNS_URI, TOKEN, gateway, root, trusted_ca
from tests.station_answer import CredentialSet, split_credentials
from tests.waiting import wait_for

CUPS_URI = "https://cups.example.com:443"
CLIENT = {"clientCertificate": {"secretRef": {"name": "client-tls"}}}


@pytest.fixture(scope="module")
def cluster(control_plane: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    kubeconfig: Path = control_plane.admin_kubeconfig
    install_crds(kubeconfig)
    with release(kubeconfig, tmp_path_factory.mktemp("operator")) as made:
        made.start_leading("credentials")
        made.apply("TrustedCA", "clients", trusted_ca("clients"))
        yield made


def pair(eui: str) -> KeyPair:
    return make_gateway(eui, root("clients"), datetime.now(UTC))


def apply_tls_secret(cluster: Release, certificates: bytes, key: bytes) -> None:
    cluster.apply_secret("client-tls", {"tls.crt": certificates.decode(), "tls.key": key.decode()}, tls=True)


def cups(**fields: Any) -> dict[str, Any]:
    return {"uri": CUPS_URI, "trust": root("cups").certificate_pem.decode(), **fields}


def assert_is(found: CredentialSet, trust: KeyPair, client: KeyPair) -> None:
    assert found.trust == trust.x509.public_bytes(Encoding.DER)
    assert found.certificate == client.x509.public_bytes(Encoding.DER)
    key = load_der_private_key(found.key, None)
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key.public_key().public_bytes(*form) == client.x509.public_key().public_bytes(*form)


def test_a_tls_secret_is_published_as_the_credentials_of_both_servers_and_follows_its_renewal(
    cluster: Release,
) -> None:
    first, second = pair("00000000000000A1"), pair("00000000000000A1")
    cluster.apply("Gateway", "mutual", gateway("00000000000000A1", lns={"auth": CLIENT}, cups=cups(auth=CLIENT)))
    cluster.wait_reason("Gateway", "mutual", "ReferenceNotFound")
    apply_tls_secret(cluster, first.certificate_pem, first.key_pem)

    def record() -> RegisteredGateway | None:
        return cluster.registered().get("mutual")

    found = wait_for(record, "the gateway is registered")
    assert (found.lns_uri, found.cups_uri) == (LNS_URI, CUPS_URI)
    assert_is(split_credentials(found.lns_credentials), root("lns"), first)
    assert_is(split_credentials(found.cups_credentials), root("cups"), first)
    cluster.wait_ready("Gateway/mutual")

    apply_tls_secret(cluster, second.certificate_pem, first.key_pem)
    condition = cluster.wait_reason("Gateway", "mutual", "PrivateKeyMismatch")
    assert condition["message"].startswith("lns.auth.clientCertificate: tls.key does not belong to")
    assert record() == found, "the last good credentials stay in force"

    apply_tls_secret(cluster, second.certificate_pem + root("clients").certificate_pem, second.key_pem)
    condition = cluster.wait_reason("Gateway", "mutual", "Accepted")
    assert "the server must know 'CN=clients' itself" in condition["message"]
    wait_for(lambda: record() not in {None, found}, "the renewed certificate is published")
    renewed = record()
    assert renewed is not None
    assert_is(split_credentials(renewed.lns_credentials), root("lns"), second)


def test_a_gateway_is_moved_to_another_cups_server_with_a_token_or_by_the_uri_alone(cluster: Release) -> None:
    cluster.apply_secret("lns-token", {"token": "Bearer MOVED"})
    cluster.apply("Gateway", "moved", {"eui": "00000000000000A2", "cups": cups(auth={"token": TOKEN})})
    found = wait_for(lambda: cluster.registered().get("moved"), "the gateway is registered")
    assert (found.cups_uri, found.lns_uri, found.lns_credentials) == (CUPS_URI, "", b"")
    assert split_credentials(found.cups_credentials).key == b"Authorization: Bearer MOVED\r\n"
    cluster.apply("Gateway", "moved", {"eui": "00000000000000A2", "cups": {"uri": CUPS_URI}})
    wait_for(lambda: not cluster.registered()["moved"].cups_credentials, "no credentials are sent")
    message = cluster.wait_reason("Gateway", "moved", "Accepted")["message"]
    assert "keeps its CUPS credentials" in message


@pytest.mark.parametrize("server", ["lns", "cups"])
def test_two_ways_of_authentication_are_refused_at_once(cluster: Release, server: str) -> None:
    spec = gateway("00000000000000A3", cups=cups())
    spec[server] = {**spec[server], "auth": {"token": TOKEN, **CLIENT}}
    with pytest.raises(RequestError, match="exactly one of token and clientCertificate"):
        cluster.apply("Gateway", "both", spec)
