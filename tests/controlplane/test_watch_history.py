"""An API server with little history, as a busy one has: the watch still begins, and everything is listed once."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.kubernetes_credentials import Credentials
from stationkeeper_operator.api.resource_paths import GROUP_VERSION, resource_path
from stationkeeper_operator.resources.records import GATEWAY
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.programs.binaries import ControlPlaneBinaries
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_process import OperatorProcess
from tests.controlplane.operator_release import Release
from tests.controlplane.operator_resources import gateway
from tests.waiting import wait_for

GATEWAYS = 2000
# History is the part that etcd has not compacted yet: it begins at the compactor's second last look.
FORGETFUL = {"watch-cache": "false", "etcd-compaction-interval": "2s"}
STARTED_SECONDS = 240.0
LOOKED_AT_SECONDS = 6.0


@pytest.fixture
def cluster(control_plane_binaries: ControlPlaneBinaries, tmp_path: Path) -> Iterator[Release]:
    with ControlPlane(control_plane_binaries, tmp_path / "control-plane", FORGETFUL) as running:
        install_crds(running.admin_kubeconfig)
        made = Release(running.admin_kubeconfig, tmp_path)
        try:
            asyncio.run(create_gateways(running.admin_kubeconfig, made.team))
            yield made
        finally:
            made.end_processes()


async def create_gateways(kubeconfig: Path, namespace: str) -> None:
    async with KubernetesApi(Credentials(kubeconfig)) as api:
        slots = asyncio.Semaphore(16)

        async def create(number: int) -> None:
            body = {"apiVersion": GROUP_VERSION, "kind": GATEWAY, "metadata": {"name": f"gateway-{number}"}}
            async with slots:
                await api.create(resource_path(GATEWAY, namespace), body | {"spec": gateway(f"A84041000{number:07d}")})

        await asyncio.gather(*(create(number) for number in range(GATEWAYS)))


@pytest.fixture
def process(cluster: Release) -> OperatorProcess:
    return cluster.start_leading("alone", STARTED_SECONDS)


def test_a_new_leader_lists_once_and_reports_each_status_once_and_a_change_overtakes_its_backlog(
    cluster: Release, process: OperatorProcess
) -> None:
    """A new leader finds many resources without a status, while the API server drops its history."""
    cluster.apply("Gateway", "late", gateway("A840410009999999"))
    cluster.wait_reason("Gateway", "late", "Accepted")
    waiting = process.metric("stationkeeper_operator_statuses_waiting")
    assert waiting is not None
    assert waiting > GATEWAYS / 20
    assert len(statuses(process)) < GATEWAYS

    time.sleep(LOOKED_AT_SECONDS)
    assert lists(process) == 1
    cluster.apply("Gateway", "last", gateway("A840410009999998"))
    wait_for(lambda: "last" in cluster.registered(), "a change is seen")

    written = statuses(process)
    assert len(written) == len(set(written)) > 0


def statuses(process: OperatorProcess) -> list[str]:
    """Return the Gateways with a status written after a judgement, in order."""
    return [each["resource"] for each in process.lines() if each["event"] == "status"]


def lists(process: OperatorProcess) -> int:
    """Return how often all Gateways were listed."""
    return sum(each["event"] == "listed" and each["kind"] == GATEWAY for each in process.lines())
