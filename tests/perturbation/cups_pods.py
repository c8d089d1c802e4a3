"""Two CUPS processes of a stage, which watch their Secrets, and the Pods by which the operator finds them."""

import os
import sys
from pathlib import Path

import yaml

from stationkeeper_tools.local_cluster.cluster import CUPS, Cluster
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.local_cluster.readiness import is_ready
from stationkeeper_tools.ports import free_ports
from stationkeeper_tools.processes import ManagedProcess
from tests.perturbation.fleet import RELEASE

_START_SECONDS = 180.0


class CupsPod:
    """A CUPS process and its Pod.

    Args:
        name: of the Pod.
        folder: for files.
        control_plane: the process talks to it without the proxy.
        token: of the internal port.

    Attributes:
        url: the address for gateways.
        internal_port: the port for the operator.
    """

    def __init__(self, name: str, folder: Path, control_plane: ControlPlane, token: str) -> None:
        self.name = name
        self.token = token
        self._control_plane = control_plane
        port, self.internal_port = free_ports(2)
        self.url = f"https://127.0.0.1:{port}"
        kubeconfig = control_plane.service_account_kubeconfig(RELEASE, CUPS, folder / f"{name}.kubeconfig")
        api_token, internal = folder / f"{name}.api-token", folder / f"{name}.internal-token"
        for path, text in (
            (api_token, yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"]),
            (internal, token),
        ):
            path.touch(mode=0o600)
            path.write_text(text)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("STATIONKEEPER_", "KUBE"))},
            "STATIONKEEPER_SOURCE": "watch",
            "STATIONKEEPER_NAMESPACE": RELEASE,
            "STATIONKEEPER_KUBERNETES_URL": control_plane.url,
            "STATIONKEEPER_KUBERNETES_CA_FILE": str(control_plane.ca_file),
            "STATIONKEEPER_KUBERNETES_TOKEN_FILE": str(api_token),
            "STATIONKEEPER_CUPS_ADDRESS": f"127.0.0.1:{port}",
            "STATIONKEEPER_INTERNAL_ADDRESS": f"127.0.0.1:{self.internal_port}",
            "STATIONKEEPER_INTERNAL_TOKEN_FILE": str(internal),
        }
        command = [sys.executable, "-c", "from stationkeeper_cups.main import main; main()"]
        self._process = ManagedProcess(name, command, folder / f"{name}.log", environment)

    def begin(self) -> None:
        """Start the process."""
        self._process.start()

    def wait(self) -> None:
        """Wait until it serves, and create its Pod."""
        url = f"https://127.0.0.1:{self.internal_port}"
        self._process.wait_until(lambda: is_ready(url), _START_SECONDS, "CUPS is ready")
        cluster = Cluster(self._control_plane.admin_kubeconfig, RELEASE)
        cluster.stand_for_cups(self.name, "127.0.0.1", self.internal_port)

    def stop(self) -> None:
        """Stop the process."""
        self._process.stop()
