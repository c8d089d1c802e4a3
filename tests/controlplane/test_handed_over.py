"""Operator and CUPS in the default mode, with a volume that never changes, as with a very late kubelet.

Removals still act, also after an outage of the API server and after a restart of a pod.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.cups_process import CupsProcess
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_process import OperatorProcess
from tests.controlplane.operator_release import Release, release
from tests.controlplane.operator_resources import gateway, root, trusted_ca
from tests.waiting import wait_for

EUI = 0xA840_4100_0000_0001
REFUSED = "TLS: TLSV1_ALERT_UNKNOWN_CA"


@pytest.fixture(scope="module")
def cluster(control_plane: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    install_crds(control_plane.admin_kubeconfig)
    token = secrets.token_urlsafe(30)
    with release(control_plane.admin_kubeconfig, tmp_path_factory.mktemp("operator"), internal_token=token) as made:
        yield made


@pytest.fixture(scope="module")
def operator(cluster: Release) -> OperatorProcess:
    return cluster.start_leading("handing-over")


@pytest.fixture
def cups(cluster: Release, operator: OperatorProcess, tmp_path: Path) -> Iterator[CupsProcess]:
    """Start a pod before anything is trusted; its volume never changes."""
    certificate = cluster.operator_pair.certificate_pem
    made = CupsProcess(tmp_path, cluster, cluster.internal_token, operator_certificate=certificate, latest_seconds=600)
    made.deliver()
    made.begin()
    cluster.create_cups_pod(tmp_path.name.replace("_", "-"), made.internal_port)
    try:
        wait_for(made.is_serving, "the operator says that it has the latest, and it serves")
        yield made
    finally:
        made.stop()
        cluster.delete_pod(tmp_path.name.replace("_", "-"))


def trust(cluster: Release, cups: CupsProcess, name: str) -> None:
    """Apply a CA of that name, and wait until its gateways are answered."""
    cluster.apply("TrustedCA", name, trusted_ca(name))
    cluster.apply("Gateway", name, gateway(f"{EUI:016X}"))
    wait_for(lambda: cups.ask(root(name), EUI) == "200", "a gateway is answered")


def enforced(cluster: Release, name: str) -> str:
    return str((cluster.condition("TrustedCA", name, "Enforced") or {}).get("status"))


def test_a_pod_with_an_old_volume_gets_new_and_removed_resources(cluster: Release, cups: CupsProcess) -> None:
    trust(cluster, cups, "at-once")
    wait_for(lambda: enforced(cluster, "at-once") == "True", "it is proven")
    cluster.apply("TrustedCA", "at-once", {**trusted_ca("at-once"), "suspended": True})
    wait_for(lambda: enforced(cluster, "at-once") == "True", "the removal is proven")
    assert cups.ask(root("at-once"), EUI) == REFUSED
    cluster.delete("Gateway", "at-once")


def test_a_removal_after_an_outage_reaches_it_too(
    cluster: Release, operator: OperatorProcess, cups: CupsProcess, control_plane: Any
) -> None:
    trust(cluster, cups, "outage")
    said = len(operator.lines())
    control_plane.stop_api_server()
    wait_for(
        lambda: [each for each in operator.lines()[said:] if each["event"] == "no longer leading"], "it stops to lead"
    )
    assert cups.ask(root("outage"), EUI) == "200"
    control_plane.start_api_server()
    cluster.delete("TrustedCA", "outage")
    wait_for(lambda: cups.ask(root("outage"), EUI) == REFUSED, "it is refused")
    wait_for(lambda: ("Normal", "Enforced") in cluster.events("outage"), "the removal is proven")
    cluster.delete("Gateway", "outage")


def test_a_pod_restarted_with_its_old_volume_accepts_no_removed_client(
    cluster: Release, operator: OperatorProcess, cups: CupsProcess
) -> None:
    trust(cluster, cups, "killed")
    cups.deliver()
    cluster.apply("TrustedCA", "killed", {**trusted_ca("killed"), "suspended": True})
    wait_for(lambda: enforced(cluster, "killed") == "True", "the removal is proven")
    operator.pause()
    cups.kill()
    cups.begin()
    wait_for(lambda: cups.tells("loaded"), "its volume is read, in which the CA is trusted")
    with pytest.raises(ConnectionRefusedError):
        cups.ask(root("killed"), EUI)
    operator.resume()
    wait_for(cups.is_serving, "the operator hands over what it lacks, and it serves")
    assert cups.ask(root("killed"), EUI) == REFUSED
    cluster.delete("Gateway", "killed")
