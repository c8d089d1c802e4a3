"""A real Kubernetes control plane on this machine: etcd and kube-apiserver on loopback, nothing else.

That is enough for definitions, objects, watches, RBAC, ServiceAccount tokens, Leases and events. There is no controller
manager: nothing collects garbage, no namespace finishes its deletion, no ServiceAccount is created by itself (so pods
need none here). It is for trying out and for tests: etcd does not sync to disk.

Everything, keys included, is in one folder that only its owner can read. etcd and the API server speak mutual TLS.
"""

import base64
import json
import os
import secrets
import shutil
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from stationkeeper_tools.local_cluster.control_plane_pki import ControlPlanePki, make_pki
from stationkeeper_tools.local_cluster.loopback_client import LoopbackClient
from stationkeeper_tools.ports import free_ports, is_free
from stationkeeper_tools.private_files import private_folder, write_private
from stationkeeper_tools.processes import ManagedProcess
from stationkeeper_tools.programs.binaries import ControlPlaneBinaries, ProgramPlaces, obtain_control_plane
from stationkeeper_tools.progress import Progress, silent
from stationkeeper_tools.tool_errors import ToolError, ToolFault

READY_SECONDS = 180.0
TOKEN_SECONDS = 24 * 3600

_GRACE_SECONDS = 1.5
_PORT_ATTEMPTS = 5
_PORT_TAKEN = "address already in use"


@dataclass(frozen=True)
class _Ports:
    api: int
    etcd: int
    etcd_peer: int


class ControlPlane:
    """A control plane that runs once, from the start of a `with` block, or from `start`, to `stop` or the block's end.

    Args:
        binaries: the programs to run.
        folder: for data, keys and logs; made here, and left behind.
        api_server_flags: more flags of kube-apiserver, without their dashes; they replace those that are set here.

    Attributes:
        ca_file: PEM, verifies the API server's certificate.
        admin_kubeconfig: a kubeconfig, complete in itself, with all rights.
    """

    def __init__(
        self, binaries: ControlPlaneBinaries, folder: Path, api_server_flags: Mapping[str, str | Path] | None = None
    ) -> None:
        self._binaries = binaries
        self._api_server_flags = dict(api_server_flags or {})
        self._folder = private_folder(folder.absolute())
        self._pki: ControlPlanePki = make_pki(private_folder(self._folder / "pki"))
        self._token = secrets.token_urlsafe(32)
        users = f"{self._token},admin,admin,system:masters\n"
        self._token_file = write_private(self._folder / "pki" / "tokens.csv", users.encode("ascii"))
        self._data_folder = self._folder / "etcd"
        self.ca_file = self._pki.ca_file
        self.admin_kubeconfig = self._folder / "admin.kubeconfig"
        self._ports: _Ports | None = None
        self._etcd: ManagedProcess | None = None
        self._api_server: ManagedProcess | None = None

    @classmethod
    def start(
        cls, folder: Path, *, binaries: ControlPlaneBinaries | None = None, say: Callable[[str], None] = silent
    ) -> "ControlPlane":
        """Start a control plane and return it.

        Args:
            folder: for data, keys and logs; made here, and left behind.
            binaries: the programs to run; None finds or obtains them, as this process' environment says.
            say: called with messages about slow steps.

        Raises:
            ToolError: the programs cannot be obtained, or do not get ready.
        """
        found = binaries or obtain_control_plane(ProgramPlaces.of_this_process(), Progress.to(say))
        return cls(found, folder).__enter__()

    def __enter__(self) -> "ControlPlane":
        """Start it if it does not run yet."""
        if self._ports is None:
            try:
                self._start_on_free_ports()
            except BaseException:
                self.stop()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The API server's URL, `https://127.0.0.1:port`; it stays the same as long as this control plane exists."""
        return f"https://127.0.0.1:{self._started_ports.api}"

    @property
    def kubectl(self) -> Path | None:
        """The `kubectl` of the same set of programs, if it has one."""
        return self._binaries.kubectl

    @property
    def etcd_client(self) -> LoopbackClient:
        """A client of etcd with all rights; the API is JSON under `/v3/`."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.load_cert_chain(self._pki.certificate_file, self._pki.key_file)
        return LoopbackClient(self._started_ports.etcd, context)

    def service_account_kubeconfig(self, namespace: str, name: str, path: Path) -> Path:
        """Write a kubeconfig (mode 0600) with a token of that ServiceAccount, valid for 24 hours; return its path.

        Raises:
            ToolError: `APIRefused`, for example because there is no such ServiceAccount.
            OSError: the API server cannot be reached.
        """
        return write_private(path, self._kubeconfig(name, self._request_token(namespace, name), namespace))

    def stop_api_server(self) -> None:
        """Stop the API server; its data stays in etcd."""
        if self._api_server:
            self._api_server.stop(_GRACE_SECONDS)

    def start_api_server(self) -> None:
        """Start the API server again on the same port, with the same data, keys and tokens, and wait until it is ready.

        Raises:
            ToolError: it did not get ready, or another program took its port.
        """
        if not self._api_server:
            raise ToolError(ToolFault.PROCESS_ENDED, "this control plane was not started, or is stopped")
        if self._api_server.is_running:
            return
        if not is_free(self._started_ports.api):
            raise ToolError(ToolFault.PORT_TAKEN, f"port {self._started_ports.api} was taken by another program")
        self._run_api_server(self._api_server)

    def stop(self) -> None:
        """Stop both programs; takes at most about two seconds."""
        self.stop_api_server()
        if self._etcd:
            self._etcd.stop(0.5)
        self._etcd = self._api_server = None

    @property
    def _started_ports(self) -> _Ports:
        if self._ports is None:
            raise ToolError(ToolFault.PROCESS_ENDED, "this control plane was never started")
        return self._ports

    @property
    def _client(self) -> LoopbackClient:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        return LoopbackClient(self._started_ports.api, context, self._token)

    def _request_token(self, namespace: str, name: str) -> str:
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/serviceaccounts/{quote(name, safe='')}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        status, answer = self._client.post(path, request | {"spec": {"expirationSeconds": TOKEN_SECONDS}})
        if status != HTTPStatus.CREATED:
            detail = f"no token for ServiceAccount {namespace}/{name}: {answer.get('message', status)}"
            raise ToolError(ToolFault.API_REFUSED, detail)
        return str(answer["status"]["token"])

    def _start_on_free_ports(self) -> None:
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            self._ports = _Ports(*free_ports(3))
            try:
                self._start_both(self._ports)
            except ToolError as error:
                self.stop()
                if attempt == _PORT_ATTEMPTS or _PORT_TAKEN not in error.detail:
                    raise
                shutil.rmtree(self._data_folder, ignore_errors=True)
            else:
                break
        write_private(self.admin_kubeconfig, self._kubeconfig("admin", self._token, "default"))

    def _start_both(self, ports: _Ports) -> None:
        self._etcd = ManagedProcess("etcd", self._etcd_command(ports), self._folder / "etcd.log")
        self._etcd.start()
        client = self.etcd_client
        self._etcd.wait_until(lambda: client.answers("/health"), READY_SECONDS, "etcd is ready")
        self._api_server = ManagedProcess(
            "kube-apiserver", self._api_server_command(ports), self._folder / "kube-apiserver.log"
        )
        self._run_api_server(self._api_server)

    def _run_api_server(self, process: ManagedProcess) -> None:
        process.start()
        client = self._client
        process.wait_until(lambda: client.answers("/readyz"), READY_SECONDS, "kube-apiserver is ready")
        process.wait_until(
            lambda: client.answers("/api/v1/namespaces/default"), READY_SECONDS, "the namespace `default` is there"
        )

    def _etcd_command(self, ports: _Ports) -> list[str | Path]:
        client, peer = f"https://127.0.0.1:{ports.etcd}", f"https://127.0.0.1:{ports.etcd_peer}"
        settings: dict[str, str | Path] = {
            "name": "default",
            "data-dir": self._data_folder,
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }
        for prefix in ("", "peer-"):
            settings |= {
                f"{prefix}cert-file": self._pki.certificate_file,
                f"{prefix}key-file": self._pki.key_file,
                f"{prefix}trusted-ca-file": self.ca_file,
                f"{prefix}client-cert-auth": "true",
            }
        return _command(self._binaries.etcd, settings)

    def _api_server_command(self, ports: _Ports) -> list[str | Path]:
        return _command(
            self._binaries.kube_apiserver,
            {
                "etcd-servers": f"https://127.0.0.1:{ports.etcd}",
                "etcd-cafile": self.ca_file,
                "etcd-certfile": self._pki.certificate_file,
                "etcd-keyfile": self._pki.key_file,
                "bind-address": "127.0.0.1",
                "advertise-address": "127.0.0.1",
                "secure-port": str(ports.api),
                "tls-cert-file": self._pki.certificate_file,
                "tls-private-key-file": self._pki.key_file,
                "cert-dir": self._folder / "pki",
                "authorization-mode": "RBAC",
                "token-auth-file": self._token_file,
                "service-account-issuer": "https://kubernetes.default.svc",
                "service-account-key-file": self._pki.service_account_public_key_file,
                "service-account-signing-key-file": self._pki.service_account_key_file,
                "service-cluster-ip-range": "10.96.0.0/16",
                "endpoint-reconciler-type": "none",
                "disable-admission-plugins": "ServiceAccount",
                **self._api_server_flags,
            },
        )

    def _kubeconfig(self, user: str, token: str, namespace: str) -> bytes:
        authority = base64.b64encode(self.ca_file.read_bytes()).decode("ascii")
        cluster = {"server": self.url, "certificate-authority-data": authority}
        context = {"cluster": "stationkeeper", "user": user, "namespace": namespace}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "stationkeeper", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "stationkeeper", "context": context}],
            "current-context": "stationkeeper",
        }
        return f"{json.dumps(document, indent=2)}{os.linesep}".encode()


def _command(program: Path, settings: dict[str, str | Path]) -> list[str | Path]:
    return [program, *(f"--{name}={value}" for name, value in settings.items())]
