"""A Gateway with only an EUI on a real API server: which LNS it gets, and how soon."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_tools.api_client import ApiClient, RequestError
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import TOKEN, root, trusted_ca
from tests.waiting import wait_for

ALL, TEAM, MOVED = (f"wss://{name}.example.com:8887" for name in ("all", "team", "moved"))


@pytest.fixture(scope="module")
def shared(control_plane: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    kubeconfig: Path = control_plane.admin_kubeconfig
    install_crds(kubeconfig)
    with release(kubeconfig, tmp_path_factory.mktemp("operator"), namespaced=True) as made:
        made.start_leading("defaults")
        made.apply("TrustedCA", "clients", trusted_ca("clients"))
        yield made


@pytest.fixture
def cluster(shared: Release, control_plane: Any) -> Iterator[Release]:
    """Return a cluster without a default and without a Gateway."""
    api = ApiClient(control_plane.admin_kubeconfig)
    yield shared
    for namespace in (shared.team, shared.namespace):
        for plural in ("gateways", "gatewaydefaults"):
            api.delete(f"/apis/stationkeeper.io/v1alpha1/namespaces/{namespace}/{plural}")


def defaults(uri: str, **lns: Any) -> dict[str, Any]:
    return {"lns": {"uri": uri, "trust": root("lns").certificate_pem.decode(), **lns}}


def lns_uri(cluster: Release, name: str) -> str:
    found = cluster.registered().get(name)
    return "" if found is None else found.lns_uri


def test_a_gateway_as_short_as_its_eui_follows_the_releases_default_and_then_its_namespaces(cluster: Release) -> None:
    def follows(uri: str) -> None:
        wait_for(lambda: lns_uri(cluster, "short") == uri, f"the gateway is sent to {uri}")

    cluster.apply("Gateway", "short", {"eui": "A0000000000D0001"})
    cluster.wait_reason("Gateway", "short", "LNSMissing")
    assert lns_uri(cluster, "short") == ""
    cluster.apply("GatewayDefaults", "default", defaults(ALL), cluster.namespace)
    follows(ALL)
    cluster.wait_ready("Gateway/short")
    cluster.apply("GatewayDefaults", "default", defaults(TEAM))
    follows(TEAM)
    cluster.wait_ready("GatewayDefaults/default")
    wait_for(lambda: cluster.resource("GatewayDefaults", "default")["status"]["gateways"] == 1, "it is counted")
    message = f"the LNS is that of GatewayDefaults {cluster.team}/default"
    wait_for(lambda: cluster.wait_reason("Gateway", "short", "Accepted")["message"] == message, "the status says so")
    assert cluster.resource("Gateway", "short")["status"]["lnsURI"] == TEAM
    cluster.apply("GatewayDefaults", "default", defaults(MOVED))
    follows(MOVED)
    cluster.delete("GatewayDefaults", "default")
    follows(ALL)
    cluster.delete("GatewayDefaults", "default", cluster.namespace)
    cluster.wait_reason("Gateway", "short", "LNSMissing")
    assert lns_uri(cluster, "short") == ALL, "what was last accepted stays in force"


def test_the_token_of_a_default_may_come_and_change_and_its_loss_takes_nothing_away(cluster: Release) -> None:
    def credentials() -> bytes:
        found = cluster.registered().get("token")
        return b"" if found is None else found.lns_credentials

    cluster.apply("GatewayDefaults", "default", defaults(TEAM, auth={"token": TOKEN}))
    cluster.apply("Gateway", "token", {"eui": "00000000000D0002"})
    cluster.wait_reason("GatewayDefaults", "default", "ReferenceNotFound")
    message = cluster.wait_reason("Gateway", "token", "LNSMissing")["message"]
    assert f"GatewayDefaults {cluster.team}/default is refused" in message
    wait_for(lambda: ("Warning", "ReferenceNotFound") in cluster.events("default"), "an event says so")
    cluster.apply_secret("lns-token", {"token": "Bearer ONE"})
    cluster.wait_ready("GatewayDefaults/default", "Gateway/token")
    assert b"Bearer ONE" in credentials()
    cluster.apply_secret("lns-token", {"token": "Bearer TWO"})
    wait_for(lambda: b"Bearer TWO" in credentials(), "the new token is published")
    cluster.delete_secret("lns-token")
    cluster.wait_reason("GatewayDefaults", "default", "ReferenceNotFound")
    cluster.wait_reason("Gateway", "token", "LNSMissing")
    assert b"Bearer TWO" in credentials()


def test_each_gateway_follows_its_own_key_of_one_secret(cluster: Release) -> None:
    def credentials(name: str) -> bytes:
        found = cluster.registered().get(name)
        return b"" if found is None else found.lns_credentials

    first, second = "A0000000000D0011", "A0000000000D0012"
    by_eui = {"tokenByEUI": {"secretRef": {"name": "tokens"}}}
    cluster.apply("GatewayDefaults", "default", defaults(TEAM, auth=by_eui))
    cluster.apply_secret("tokens", {first: "Bearer ONE"})
    cluster.apply("Gateway", "first", {"eui": first})
    cluster.apply("Gateway", "second", {"eui": second})
    cluster.wait_ready("GatewayDefaults/default", "Gateway/first")
    assert b"Bearer ONE" in credentials("first")
    said = f"Secret {cluster.team}/tokens has no key {second}: add it"
    assert said in cluster.wait_reason("Gateway", "second", "TokenMissingForEUI")["message"]
    cluster.apply_secret("tokens", {first: "Bearer NEW", second: "Bearer TWO"})
    wait_for(lambda: b"Bearer NEW" in credentials("first"), "the new token is published")
    wait_for(lambda: b"Bearer TWO" in credentials("second"), "the missing token is published")
    cluster.wait_ready("Gateway/second")
    cluster.apply_secret("tokens", {second: "Bearer TWO"})
    cluster.wait_reason("Gateway", "first", "TokenMissingForEUI")
    assert b"Bearer NEW" in credentials("first"), "what was last accepted stays in force"
    cluster.wait_ready("Gateway/second", "GatewayDefaults/default")

    cluster.apply("GatewayDefaults", "default", defaults(ALL, auth=by_eui), cluster.namespace)
    cluster.apply_secret(
        "tokens", {first: "Bearer RELEASE", f"{cluster.team}.{second}": "Bearer TEAM"}, in_release=True
    )
    cluster.delete("GatewayDefaults", "default")
    wait_for(lambda: b"Bearer TEAM" in credentials("second"), "the release's token for this namespace")
    said = f"no key {cluster.team}.{first}"  # The reason was the same before, about the namespace's Secret.
    wait_for(lambda: said in cluster.wait_reason("Gateway", "first", "TokenMissingForEUI")["message"], "it is said")
    assert b"Bearer NEW" in credentials("first"), "another namespace is never given the token of the EUI alone"
    cluster.delete("GatewayDefaults", "default", cluster.namespace)


@pytest.mark.parametrize(
    ("name", "spec", "said"),
    [
        ("other", defaults(TEAM), "must be default"),
        ("default", {"lns": {"trust": "PEM"}}, "spec.lns.uri: Required"),
        (
            "default",
            defaults(TEAM, trustFrom={"configMapKeyRef": {"name": "a", "key": "b"}}),
            "only one of trust and trustFrom",
        ),
        (
            "default",
            defaults(TEAM, auth={"token": TOKEN, "tokenByEUI": {"secretRef": {"name": "a"}}}),
            "exactly one of token, tokenByEUI and clientCertificate",
        ),
        ("default", defaults(TEAM, auth={}), "exactly one of token, tokenByEUI and clientCertificate"),
    ],
)
def test_the_api_server_refuses_what_can_be_no_default(
    cluster: Release, name: str, spec: dict[str, Any], said: str
) -> None:
    with pytest.raises(RequestError, match=said) as refused:
        cluster.apply("GatewayDefaults", name, spec)
    assert refused.value.status == 422
