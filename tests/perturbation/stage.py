"""The parts that all runs share: control plane, proxy, two CUPS pods, users, checks. Each run has its own operator."""

import base64
import json
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import yaml

from stationkeeper_core.eui64 import format_hex
from stationkeeper_tools.api_client import ApiClient
from stationkeeper_tools.local_cluster.cluster import OPERATOR, Cluster
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.ports import free_port
from stationkeeper_tools.private_files import write_private
from stationkeeper_tools.programs.binaries import ControlPlaneBinaries
from stationkeeper_tools.sample_pki import KeyPair, make_root, make_server
from tests.controlplane.operator_resources import gateway, trusted_ca
from tests.perturbation import fleet
from tests.perturbation.checks import LET_IN, Checks, Question
from tests.perturbation.cups_pods import CupsPod
from tests.perturbation.fleet import CALM, RELEASE, TEAM, Identities
from tests.perturbation.operators import Operators, wait_for
from tests.perturbation.proxy import Proxy
from tests.perturbation.reference import Reference
from tests.perturbation.statuses import Statuses
from tests.perturbation.users import Users

_PODS = ("stationkeeper-cups-0", "stationkeeper-cups-1")
_GROUP = "/apis/stationkeeper.io/v1alpha1"
_FIRST_SECONDS = 180.0


class Stage:
    """The stage of several runs.

    Args:
        control_plane: its own.
        folder: for files.
        bug: a deliberate bug of the operator; empty for none.

    Attributes:
        proxy, operators, users, reference, statuses, checks: its parts.
        ended: the exit status of each operator that ended by itself.
        log: of the operators.
    """

    def __init__(self, control_plane: ControlPlane, folder: Path, bug: str) -> None:
        self.ended: list[int] = []
        self.again_after = 0.0
        self.api = ApiClient(control_plane.admin_kubeconfig)
        self._cluster = Cluster(control_plane.admin_kubeconfig, RELEASE)
        self._cluster.install_crds()
        self._cluster.install_release()
        for namespace in (TEAM, CALM):
            self.api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        now = datetime.now(UTC)
        server_ca = make_root("Operator", now)
        self._serve(make_server(["localhost"], ["127.0.0.1"], server_ca, now))
        token = secrets.token_urlsafe(36)
        self.pods = [CupsPod(name, folder, control_plane, token) for name in _PODS]
        authority = make_root("proxy", now)
        self.proxy = Proxy(control_plane.url, control_plane.ca_file, authority, folder, self.kill_operator)
        self.log = folder / "operator.log"
        self._operator = self._environment(control_plane, folder, authority, token)
        self.operators = self._load(bug)
        server_ca_file, _ = server_ca.write(folder, "server-ca")
        lock, self.reference = threading.RLock(), Reference()
        self.users = Users(self.api, self.reference, lock)
        self.checks = Checks(self.pods, Identities(folder / "gateways", server_ca_file), self.reference, lock)
        self.statuses = Statuses(self.api, self.checks.enforced, self.checks.removed)
        self.checks.statuses = self.statuses

    def start(self) -> None:
        """Start everything, and wait until each pod lets the bystander in."""
        for pod in self.pods:
            pod.begin()
        self.proxy.start()
        self.users.begin()
        self._apply(CALM, "TrustedCA", fleet.BYSTANDER, trusted_ca(fleet.BYSTANDER))
        self._apply(CALM, "Gateway", fleet.BYSTANDER, gateway(format_hex(fleet.BYSTANDER_EUI)))
        self.operators.start()
        for pod in self.pods:
            pod.wait()
        self.statuses.start()
        for pod in self.pods:
            question = Question(pod, fleet.BYSTANDER, fleet.BYSTANDER_EUI)
            assert wait_for(lambda: self.checks.answer(question) == LET_IN, _FIRST_SECONDS), f"see {self.log}"  # noqa: B023
        self.operators.kill(None)

    def stop(self) -> None:
        """Stop everything."""
        self.operators.close()
        self.proxy.stop()
        for pod in self.pods:
            pod.stop()

    def use(self, bug: str) -> None:
        """Give the next operators a deliberate bug, by its name; empty for none."""
        self.operators.close()
        self.operators = self._load(bug)

    def kill_operator(self) -> None:
        """Kill the operator between two writes, and start the next one a little later."""
        self.operators.kill(self.again_after)

    def remember_lists(self) -> None:
        """Make the proxy store the present LISTs."""
        for plural in ("trustedcas", "gateways", "gatewaydefaults"):
            path = f"{_GROUP}/{plural}"
            self.proxy.remember(path, json.dumps(self.api.get(path)).encode())

    def _load(self, bug: str) -> Operators:
        return Operators(self._operator, self.log, bug, self.ended.append)

    def _serve(self, server: KeyPair) -> None:
        tls = {"tls.crt": server.certificate_pem, "tls.key": server.key_pem}
        self._cluster.apply_secret("stationkeeper-server-tls", tls, kind="kubernetes.io/tls")

    def _apply(self, namespace: str, kind: str, name: str, spec: object) -> None:
        body = {"apiVersion": "stationkeeper.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.api.apply(f"{_GROUP}/namespaces/{namespace}/{kind.lower()}s/{name}", body)

    def _environment(self, control_plane: ControlPlane, folder: Path, authority: KeyPair, token: str) -> dict[str, str]:
        """Return the environment of an operator behind the proxy."""
        kubeconfig = control_plane.service_account_kubeconfig(RELEASE, OPERATOR, folder / "operator.kubeconfig")
        content = yaml.safe_load(kubeconfig.read_text())
        certificate = base64.b64encode(authority.certificate_pem).decode()
        content["clusters"][0]["cluster"] = {"server": self.proxy.url, "certificate-authority-data": certificate}
        kubeconfig.write_text(yaml.safe_dump(content))
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(("STATIONKEEPER_", "KUBE"))},
            "KUBECONFIG": str(kubeconfig),
            "STATIONKEEPER_NAMESPACE": RELEASE,
            "STATIONKEEPER_IDENTITY": "operator-0",
            "STATIONKEEPER_HEALTH_ADDRESS": f"127.0.0.1:{free_port()}",
            "STATIONKEEPER_INTERNAL_TOKEN_FILE": str(write_private(folder / "operator.internal-token", token.encode())),
        }


@contextmanager
def stage(binaries: ControlPlaneBinaries, folder: Path, bug: str = "") -> Iterator[Stage]:
    """Yield a stage on which everything except the operator runs; remove it at the end."""
    with ExitStack() as stack:
        control_plane = stack.enter_context(ControlPlane(binaries, folder / "control-plane"))
        parts = folder / "parts"
        parts.mkdir(mode=0o700)
        made = Stage(control_plane, parts, bug)
        stack.callback(made.stop)
        made.start()
        yield made
