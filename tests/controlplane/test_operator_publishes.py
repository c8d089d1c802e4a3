"""A running operator, with exactly the chart's rights, on a real API server: applied resources are published."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import LNS_URI, TOKEN, gateway, root, trusted_ca
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def cluster(control_plane: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    kubeconfig: Path = control_plane.admin_kubeconfig
    install_crds(kubeconfig)
    with release(kubeconfig, tmp_path_factory.mktemp("operator")) as made:
        made.start_leading("publishing")
        yield made


def test_an_applied_ca_and_gateway_are_published_and_ready(cluster: Release) -> None:
    cluster.apply("TrustedCA", "first", trusted_ca("first"))
    cluster.apply("Gateway", "first", gateway("0000000000000001"))
    wait_for(lambda: f"{cluster.team}/first" in cluster.trusted(), "the CA is trusted")
    found = wait_for(lambda: cluster.registered().get("first"), "the gateway is registered")
    assert found.lns_uri == LNS_URI
    cluster.wait_ready("TrustedCA/first", "Gateway/first")
    status = cluster.resource("TrustedCA", "first")["status"]
    assert [each["subject"] for each in status["certificates"]] == [root("first").x509.subject.rfc4514_string()]


def test_a_deleted_ca_and_gateway_are_gone(cluster: Release) -> None:
    cluster.apply("TrustedCA", "leaving", trusted_ca("leaving"))
    cluster.apply("Gateway", "leaving", gateway("0000000000000002"))
    cluster.wait_ready("TrustedCA/leaving", "Gateway/leaving")
    cluster.delete("TrustedCA", "leaving")
    cluster.delete("Gateway", "leaving")
    wait_for(lambda: f"{cluster.team}/leaving" not in cluster.trusted(), "the CA is gone")
    wait_for(lambda: "leaving" not in cluster.registered(), "the gateway is gone")


def test_suspension_acts_and_can_be_taken_back(cluster: Release) -> None:
    name = f"{cluster.team}/pausing"
    cluster.apply("TrustedCA", "pausing", trusted_ca("pausing"))
    cluster.apply("Gateway", "pausing", gateway("0000000000000003"))
    cluster.wait_ready("TrustedCA/pausing", "Gateway/pausing")
    cluster.apply("TrustedCA", "pausing", trusted_ca("pausing", suspended=True))
    cluster.apply("Gateway", "pausing", gateway("0000000000000003", suspended=True))
    wait_for(lambda: name not in cluster.trusted(), "the CA is not trusted")
    wait_for(lambda: cluster.registered()["pausing"].suspended, "the gateway is suspended")
    cluster.wait_reason("TrustedCA", "pausing", "Suspended")
    cluster.apply("TrustedCA", "pausing", trusted_ca("pausing"))
    wait_for(lambda: name in cluster.trusted(), "the CA is trusted again")
    assert cluster.events("pausing") == []


def test_a_token_secret_may_come_change_and_lose_its_label_later(cluster: Release) -> None:
    def credentials() -> bytes:
        found = cluster.registered().get("token")
        return found.lns_credentials if found is not None else b""

    cluster.apply("Gateway", "token", gateway("0000000000000004", lns={"auth": {"token": TOKEN}}))
    cluster.wait_reason("Gateway", "token", "ReferenceNotFound")
    cluster.apply_secret("lns-token", {"token": "Bearer ONE"}, labelled=False)
    cluster.apply("Gateway", "other", gateway("0000000000000005", lns={"auth": {"token": TOKEN}}))
    cluster.wait_reason("Gateway", "other", "ReferenceNotLabelled")
    cluster.apply_secret("lns-token", {"token": "Bearer ONE"})
    wait_for(lambda: b"Bearer ONE" in credentials(), "the token is published")
    cluster.apply_secret("lns-token", {"token": "Bearer TWO"})
    wait_for(lambda: b"Bearer TWO" in credentials(), "the new token is published")
    cluster.apply_secret("lns-token", {"token": "Bearer TWO"}, labelled=False)
    cluster.wait_reason("Gateway", "token", "ReferenceNotLabelled")
    assert b"Bearer TWO" in credentials(), "the last good token stays in force"
    cluster.delete_secret("lns-token")
    cluster.wait_reason("Gateway", "token", "ReferenceNotFound")


def test_trust_from_a_config_map_follows_it(cluster: Release) -> None:
    source = {"configMapKeyRef": {"name": "roots", "key": "ca.crt"}}
    cluster.apply_config_map("roots", {"ca.crt": root("one").certificate_pem.decode()})
    cluster.apply("TrustedCA", "mapped", {"certificatesFrom": source})

    def subjects() -> list[str]:
        certificates = cluster.resource("TrustedCA", "mapped").get("status", {}).get("certificates", [])
        return [each["subject"] for each in certificates]

    wait_for(lambda: subjects() == ["CN=one"], "the root of the ConfigMap is trusted")
    cluster.apply_config_map("roots", {"ca.crt": root("two").certificate_pem.decode()})
    wait_for(lambda: subjects() == ["CN=two"], "the new root of the ConfigMap is trusted")


def test_an_eui_conflict_ends_when_the_older_gateway_is_deleted(cluster: Release) -> None:
    cluster.apply("Gateway", "older", gateway("0000000000000006"))
    cluster.wait_ready("Gateway/older")
    # Ages are in whole seconds.
    created = cluster.resource("Gateway", "older")["metadata"]["creationTimestamp"]
    wait_for(lambda: cluster.clock_of_api_server() > created, "a second has passed")
    cluster.apply("Gateway", "newer", gateway("0000000000000006"))
    cluster.wait_reason("Gateway", "newer", "EUIConflict")
    wait_for(lambda: ("Warning", "EUIConflict") in cluster.events("newer"), "an event says so")
    cluster.delete("Gateway", "older")
    wait_for(lambda: "newer" in cluster.registered(), "the newer is registered")
    cluster.wait_reason("Gateway", "newer", "Accepted")
    wait_for(lambda: ("Normal", "Accepted") in cluster.events("newer"), "an event says that it is well again")


def test_the_last_good_spec_stays_in_force(cluster: Release) -> None:
    name = f"{cluster.team}/lasting"
    cluster.apply("Gateway", "lasting", gateway("0000000000000007"))
    cluster.apply("TrustedCA", "lasting", trusted_ca("lasting"))
    cluster.wait_ready("Gateway/lasting", "TrustedCA/lasting")
    source = {"secretKeyRef": {"name": "nowhere", "key": "ca"}}
    broken = gateway("0000000000000007")
    broken["lns"] = {"uri": "wss://new.example.com:8887", "trustFrom": source}
    cluster.apply("Gateway", "lasting", broken)
    cluster.apply("TrustedCA", "lasting", {"certificates": "no PEM at all"})
    cluster.wait_reason("Gateway", "lasting", "ReferenceNotFound")
    cluster.wait_reason("TrustedCA", "lasting", "NoCertificate")
    assert cluster.registered()["lasting"].lns_uri == LNS_URI
    assert name in cluster.trusted()


def test_a_private_key_is_refused_loudly_and_reported_nowhere(cluster: Release) -> None:
    pair = root("careless")
    both = (pair.certificate_pem + pair.key_pem).decode()
    cluster.apply("TrustedCA", "careless", {"certificates": both})
    condition = cluster.wait_reason("TrustedCA", "careless", "PrivateKeyInTrustedCA")
    secret_line = pair.key_pem.decode().splitlines()[3]
    assert secret_line not in condition["message"]
    wait_for(lambda: ("Warning", "PrivateKeyInTrustedCA") in cluster.events("careless"), "an event says so")
    assert f"{cluster.team}/careless" not in cluster.trusted()


def test_a_published_secret_that_is_edited_or_created_again_is_restored(cluster: Release) -> None:
    cluster.apply("TrustedCA", "restored", trusted_ca("restored"))
    wait_for(lambda: f"{cluster.team}/restored" in cluster.trusted(), "the CA is trusted")
    before = cluster.published("trust")
    cluster.delete_document("trust")
    cluster.overwrite_document("registry-03", b"nonsense")
    wait_for(lambda: "the Secret stationkeeper-trust is missing" in cluster.log(), "the operator says what is missing")
    cluster.create_document("trust")
    wait_for(lambda: f"{cluster.team}/restored" in cluster.trusted(), "the Secret that was created again is filled")
    wait_for(lambda: cluster.published("registry-03"), "the edited Secret is back")
    after = cluster.published("trust")
    assert before is not None
    assert after is not None
    assert after.header.generation > before.header.generation
