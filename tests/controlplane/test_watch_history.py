"""An API server that keeps little history, as a busy one does: the watch still begins, and all is listed once."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.kubernetes_credentials import Credentials
from stationkeeper_operator.api.resource_paths import GROUP_VERSION, resource_path
from stationkeeper_operator.resources import GATEWAY
from stationkeeper_tools.binaries import ControlPlaneBinaries
from stationkeeper_tools.control_plane import ControlPlane
from tests.controlplane.operator_process import OperatorProcess, wait_for
from tests.controlplane.operator_release import PROMPTLY, Release, install_crds
from tests.controlplane.operator_resources import gateway

pytestmark = pytest.mark.timeout(240)

GATEWAYS = 2000
# History is what etcd has not compacted yet: from the last look but one.
FORGETFUL = {"watch-cache": "false", "etcd-compaction-interval": "2s"}
LOOKED_AT_SECONDS = 12.0


@pytest.fixture(scope="module")
def cluster(
    control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    folder = tmp_path_factory.mktemp("forgetful")
    with ControlPlane(control_plane_binaries, folder / "control-plane", FORGETFUL) as running:
        install_crds(running.admin_kubeconfig)
        made = Release(running.admin_kubeconfig, folder)
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


def test_the_watch_begins_once_and_all_is_listed_once(cluster: Release) -> None:
    process = cluster.start_leading("alone")
    time.sleep(LOOKED_AT_SECONDS)
    assert lists(process) == 1
    cluster.apply("Gateway", "late", gateway("A840410009999999"))
    wait_for(lambda: "late" in cluster.registered(), "a change is seen", PROMPTLY)


def lists(process: OperatorProcess) -> int:
    """How often all Gateways were listed."""
    return sum(each["event"] == "listed" and each["kind"] == GATEWAY for each in process.lines())
