"""Operators start and stop on a real API server: nothing is lost, and nothing is written twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_tools.api_client import ApiClient
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import gateway, trusted_ca
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def kubeconfig(control_plane: Any) -> Path:
    path: Path = control_plane.admin_kubeconfig
    install_crds(path)
    return path


@pytest.fixture
def cluster(kubeconfig: Path, tmp_path: Path) -> Iterator[Release]:
    with release(kubeconfig, tmp_path) as made:
        yield made


TOLD_WHO_VOUCHES = {"gateways/kept"}
"""Its condition names the TrustedCAs that could let it in, so that another one changes it."""


def apply_some(cluster: Release) -> None:
    cluster.apply("TrustedCA", "kept", trusted_ca("kept"))
    cluster.apply("TrustedCA", "dropped", trusted_ca("dropped"))
    cluster.apply("Gateway", "kept", gateway("00000000000000A1"))
    cluster.apply("Gateway", "refused", gateway("00000000000000A2", lns={"trust": "slip"}))
    cluster.wait_ready("TrustedCA/kept", "TrustedCA/dropped", "Gateway/kept")
    cluster.wait_reason("Gateway", "refused", "NoCertificate")
    wait_for(lambda: ("Warning", "NoCertificate") in cluster.events("refused"), "the refusal is told")


def differences(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)}


def test_in_steady_state_only_the_lease_is_written(cluster: Release) -> None:
    cluster.start_leading()
    apply_some(cluster)
    before = cluster.everything()
    renewed = cluster.lease_version()
    wait_for(lambda: cluster.lease_version() != renewed, "the Lease is renewed")
    renewed_again = cluster.lease_version()
    wait_for(lambda: cluster.lease_version() != renewed_again, "the Lease is renewed again")
    assert cluster.everything() == before


def test_a_deletion_while_no_operator_ran_is_seen(cluster: Release) -> None:
    first = cluster.start_leading()
    apply_some(cluster)
    first.terminate()
    cluster.delete("TrustedCA", "dropped")
    cluster.start()
    wait_for(lambda: cluster.trusted() == {f"{cluster.team}/kept"}, "what was deleted is gone")


def test_a_graceful_end_hands_over_at_once(cluster: Release) -> None:
    first = cluster.start_leading("first")
    second = cluster.start("second")
    wait_for(lambda: second.answers("/readyz") == 200, "the follower is ready")
    first.terminate()
    assert cluster.holder() != "first", "it gave its Lease up before it ended"
    wait_for(lambda: cluster.holder() == "second", "the follower took over")
    cluster.apply("TrustedCA", "later", trusted_ca("later"))
    wait_for(lambda: f"{cluster.team}/later" in cluster.trusted(), "the follower works")


def test_after_a_crash_the_follower_takes_over_and_rewrites_nothing(cluster: Release) -> None:
    first = cluster.start_leading("first")
    second = cluster.start("second")
    wait_for(lambda: second.answers("/readyz") == 200, "the follower is ready")
    apply_some(cluster)
    assert "published" not in {line["event"] for line in second.lines()}, "only the leader writes"
    before = cluster.everything(contents=True)
    first.kill()
    cluster.delete("TrustedCA", "dropped")
    wait_for(lambda: cluster.holder() == "second", "the follower took over")
    wait_for(lambda: cluster.trusted() == {f"{cluster.team}/kept"}, "the follower works")
    changed = differences(before, cluster.everything(contents=True))
    assert changed - TOLD_WHO_VOUCHES == {"secrets/stationkeeper-trust", "trustedcas/dropped"}


def test_a_container_that_is_killed_and_started_again_in_its_pod_waits_for_no_lease(
    cluster: Release, kubeconfig: Path
) -> None:
    api = ApiClient(kubeconfig)
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{cluster.namespace}/leases/stationkeeper-operator"
    first = cluster.start_leading("pod-1_uid-1")
    cluster.start("pod-2_uid-2")
    apply_some(cluster)
    first.kill()
    # Another candidate would wait for this time.
    api.merge(lease, {"spec": {"leaseDurationSeconds": 600}})
    before = api.get(lease)["spec"]
    cluster.delete("TrustedCA", "dropped")
    cluster.start("pod-1_uid-1")
    wait_for(lambda: cluster.trusted() == {f"{cluster.team}/kept"}, "what was deleted is gone")
    after = api.get(lease)["spec"]
    assert after["holderIdentity"] == "pod-1_uid-1"
    assert after["leaseTransitions"] == before["leaseTransitions"] + 1, "a term of its own"


def test_a_restart_rewrites_nothing_and_reports_nothing_twice(cluster: Release) -> None:
    first = cluster.start_leading()
    apply_some(cluster)
    before = cluster.everything(contents=True)
    first.terminate()
    second = cluster.start()
    wait_for(lambda: cluster.holder() == second.identity, "the next one leads")
    cluster.apply("TrustedCA", "proof", trusted_ca("proof"))
    cluster.wait_ready("TrustedCA/proof")
    changed = differences(before, cluster.everything(contents=True))
    assert changed - TOLD_WHO_VOUCHES == {"secrets/stationkeeper-trust", "trustedcas/proof"}


def test_an_api_server_that_restarts_is_found_again(cluster: Release, control_plane: Any) -> None:
    operator = cluster.start_leading()
    cluster.apply("TrustedCA", "before", trusted_ca("before"))
    cluster.wait_ready("TrustedCA/before")
    control_plane.stop_api_server()
    control_plane.start_api_server()
    cluster.apply("TrustedCA", "after", trusted_ca("after"))
    cluster.delete("TrustedCA", "before")
    wait_for(lambda: cluster.trusted() == {f"{cluster.team}/after"}, "the operator works again")
    assert operator.is_running()


def test_an_operator_of_named_namespaces_needs_no_cluster_role(kubeconfig: Path, tmp_path: Path) -> None:
    with release(kubeconfig, tmp_path) as elsewhere, release(kubeconfig, tmp_path, namespaced=True) as cluster:
        elsewhere.apply("TrustedCA", "foreign", trusted_ca("foreign"))
        operator = cluster.start_leading()
        cluster.apply_secret("lns-token", {"token": "Bearer ONE"})
        apply_some(cluster)
        cluster.apply("TrustedCA", "for-all", trusted_ca("for-all"), namespace=cluster.namespace)
        wait_for(lambda: f"{cluster.namespace}/for-all" in cluster.trusted(), "the release's CA is trusted")
        assert not any("foreign" in name for name in cluster.trusted(everywhere=True))
        assert operator.answers("/healthz") == 200
        assert not [line for line in operator.lines() if "orbidden" in str(line)]


def test_no_token_is_ever_logged(cluster: Release) -> None:
    operator = cluster.start_leading()
    cluster.apply_secret("lns-token", {"token": "Bearer VERYSECRET"})
    token = {"secretKeyRef": {"name": "lns-token", "key": "token"}}
    cluster.apply("TrustedCA", "kept", trusted_ca("kept"))
    cluster.apply("Gateway", "token", gateway("00000000000000A3", lns={"auth": {"token": token}}))
    cluster.wait_ready("Gateway/token")
    operator.terminate()
    assert "VERYSECRET" not in operator.log.read_text()
