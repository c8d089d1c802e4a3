"""The operator and CUPS as two processes on this machine, each with the token of its own ServiceAccount."""

import os
import secrets
import sys
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import yaml

from stationkeeper_tools.local_cluster.cluster import CUPS, OPERATOR, Cluster
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.local_cluster.readiness import is_ready
from stationkeeper_tools.ports import free_ports
from stationkeeper_tools.processes import ManagedProcess

START_SECONDS = 180.0


class ReleaseProcesses:
    """The two programs that the chart runs as Deployments, here as processes.

    Args:
        folder: for kubeconfigs, tokens and logs; made here.
        control_plane: they talk to its API server.
        namespace: the release's.

    Attributes:
        cups_url, internal_url: of CUPS, `https://host:port`.
        log_folder: where both write their logs.
    """

    def __init__(self, folder: Path, control_plane: ControlPlane, namespace: str) -> None:
        folder.mkdir(mode=0o700)
        self.log_folder = folder
        self._control_plane = control_plane
        self._namespace = namespace
        health, cups, internal = free_ports(3)
        self._operator_health = f"http://127.0.0.1:{health}"
        self.cups_url = f"https://127.0.0.1:{cups}"
        self.internal_url = f"https://127.0.0.1:{internal}"
        self._internal_token = folder / "internal.token"
        self._internal_token.touch(mode=0o600)
        self._internal_token.write_text(secrets.token_urlsafe(36))
        self._processes: list[ManagedProcess] = []

    def __enter__(self) -> "ReleaseProcesses":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            process.stop()

    def start_operator(self) -> ManagedProcess:
        """Start the operator, wait until it is ready, and return its process."""
        kubeconfig = self._control_plane.service_account_kubeconfig(
            self._namespace, OPERATOR, self.log_folder / "operator.kubeconfig"
        )
        environment = {
            "KUBECONFIG": str(kubeconfig),
            "STATIONKEEPER_NAMESPACE": self._namespace,
            "STATIONKEEPER_HEALTH_ADDRESS": urlsplit(self._operator_health).netloc,
            "STATIONKEEPER_INTERNAL_TOKEN_FILE": str(self._internal_token),
        }
        process = self._start("operator", "stationkeeper_operator.main", environment)
        process.wait_until(lambda: is_ready(self._operator_health), START_SECONDS, "the operator is ready")
        return process

    def start_cups(self) -> None:
        """Start CUPS, wait until it serves gateways, and create the Pod by which the operator finds it."""
        api, token = self._api_access()
        environment = {
            "STATIONKEEPER_SOURCE": "watch",
            "STATIONKEEPER_NAMESPACE": self._namespace,
            "STATIONKEEPER_KUBERNETES_URL": self._control_plane.url,
            "STATIONKEEPER_KUBERNETES_CA_FILE": str(api),
            "STATIONKEEPER_KUBERNETES_TOKEN_FILE": str(token),
            "STATIONKEEPER_CUPS_ADDRESS": urlsplit(self.cups_url).netloc,
            "STATIONKEEPER_INTERNAL_ADDRESS": urlsplit(self.internal_url).netloc,
            "STATIONKEEPER_INTERNAL_TOKEN_FILE": str(self._internal_token),
        }
        process = self._start("cups", "stationkeeper_cups.main", environment)
        process.wait_until(lambda: is_ready(self.internal_url), START_SECONDS, "CUPS is ready")
        internal = urlsplit(self.internal_url)
        cluster = Cluster(self._control_plane.admin_kubeconfig, self._namespace)
        cluster.stand_for_cups("stationkeeper-cups-0", internal.hostname or "", internal.port or 0)

    def _api_access(self) -> tuple[Path, Path]:
        kubeconfig = self._control_plane.service_account_kubeconfig(
            self._namespace, CUPS, self.log_folder / "cups.kubeconfig"
        )
        token = self.log_folder / "cups.token"
        token.touch(mode=0o600)
        token.write_text(yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"])
        return self._control_plane.ca_file, token

    def _start(self, name: str, module: str, environment: dict[str, str]) -> ManagedProcess:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("STATIONKEEPER_", "KUBE"))}
        command = [sys.executable, "-c", f"from {module} import main; main()"]
        process = ManagedProcess(name, command, self.log_folder / f"{name}.log", inherited | environment)
        self._processes.append(process)
        process.start()
        return process
