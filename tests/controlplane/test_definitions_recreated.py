from pathlib import Path

from stationkeeper_tools.api_client import ApiClient
from stationkeeper_tools.local_cluster.cluster import Cluster, wait_until
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.local_cluster.release_processes import ReleaseProcesses
from stationkeeper_tools.programs.binaries import ControlPlaneBinaries
from tests.controlplane.operator_resources import root
from tests.waiting import EVENTUALLY

NAMESPACE = "stationkeeper"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAMES = tuple(f"{plural}.stationkeeper.io" for plural in ("trustedcas", "gateways", "gatewaydefaults"))


def test_an_operator_whose_definitions_were_deleted_watches_again_once_they_are_there(
    control_plane_binaries: ControlPlaneBinaries, tmp_path: Path
) -> None:
    with ControlPlane(control_plane_binaries, tmp_path / "control-plane") as own:
        admin, cluster = ApiClient(own.admin_kubeconfig), Cluster(own.admin_kubeconfig, NAMESPACE)
        cluster.install_crds()
        cluster.install_release()
        with ReleaseProcesses(tmp_path / "release", own, NAMESPACE) as processes:
            operator = processes.start_operator()
            cluster.apply("TrustedCA", "before", {"certificates": root("before").certificate_pem.decode()})
            cluster.wait_ready("TrustedCA", "before", "Published")
            for name in NAMES:
                admin.delete(f"{DEFINITIONS}/{name}")
            wait_until(lambda: "the watch ended" in operator.log.read_text(), "it is noticed", EVENTUALLY)
            wait_until(lambda: not any(admin.find(f"{DEFINITIONS}/{name}") for name in NAMES), "they are gone")
            cluster.install_crds()
            cluster.apply("TrustedCA", "after", {"certificates": root("after").certificate_pem.decode()})
            wait_until(
                lambda: (cluster.condition("TrustedCA", "after", "Published") or {}).get("status") == "True",
                "the operator sees what is made then",
                EVENTUALLY,
            )
            assert operator.is_running
