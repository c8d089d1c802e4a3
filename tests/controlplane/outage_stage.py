"""The whole product on its own control plane, which a test may break, with gateways that ask meanwhile."""

import asyncio
import base64
import http.client
import json
import os
import signal
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stationkeeper_core.eui64 import EUI64, format_hex, format_id6
from stationkeeper_core.published.documents import secret_name
from stationkeeper_tools.api_client import ApiClient
from stationkeeper_tools.local_cluster.cluster import Cluster
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.local_cluster.release_processes import ReleaseProcesses
from stationkeeper_tools.programs.binaries import ControlPlaneBinaries
from stationkeeper_tools.sample_pki import make_gateway, make_root, make_server
from tests.controlplane.operator_resources import gateway, root, trusted_ca
from tests.cups.client import Client, exchange, get_internal
from tests.waiting import EVENTUALLY, wait_for

NAMESPACE = "stationkeeper"
CAS = f"/apis/stationkeeper.io/v1alpha1/namespaces/{NAMESPACE}/trustedcas"
KEPT, DROPPED, EUI = "kept", "dropped", EUI64(0xA840_4100_0000_0001)
REFUSED = ssl.SSLError.__name__
"""The answer to a gateway with an untrusted CA."""
BODY = json.dumps({"router": format_id6(EUI)}).encode()
PAUSE_SECONDS = 0.02


class Stage:
    """A release with an operator and a CUPS that watches, and with a CA and a Gateway that stay.

    Attributes:
        own: the control plane.
        cluster: the release, with the administrator's rights.
        admin: an API client with the same rights, for everything else.
    """

    def __init__(self, own: ControlPlane, folder: Path, processes: ReleaseProcesses) -> None:
        self.own = own
        self.cluster = Cluster(own.admin_kubeconfig, NAMESPACE)
        self.admin = ApiClient(own.admin_kubeconfig, EVENTUALLY)
        self._processes = processes
        self._folder = folder
        now = datetime.now(UTC)
        self._server_ca = make_root("Operator", now)
        self._server = make_server(["localhost"], ["127.0.0.1"], self._server_ca, now)

    def start(self) -> None:
        tls = {"tls.crt": self._server.certificate_pem, "tls.key": self._server.key_pem}
        self.cluster.apply_secret("stationkeeper-server-tls", tls, kind="kubernetes.io/tls")
        self._operator = self._processes.start_operator()
        self._apply_kept()
        wait_for(lambda: self.secret("trust"), "it is published")
        self._processes.start_cups()
        wait_for(lambda: self.answer(KEPT) == "200", "the gateway is answered")

    def begin(self) -> None:
        """Restore the gateway and its CA, and remove any other CA."""
        self._apply_kept()
        if self.admin.find(f"{CAS}/{DROPPED}"):
            self.cluster.delete("TrustedCA", DROPPED)
        wait_for(lambda: self.answer(KEPT) == "200", "the gateway is answered")
        self.untrusted(DROPPED)

    def _apply_kept(self) -> None:
        self.cluster.apply("TrustedCA", KEPT, trusted_ca(KEPT))
        self.cluster.apply("Gateway", "roof", gateway(format_hex(EUI)))

    # -- what a user does

    def trust(self, name: str) -> None:
        self.cluster.apply("TrustedCA", name, trusted_ca(name))
        wait_for(lambda: self.answer(name) == "200", "a gateway of the new CA is answered")

    def untrusted(self, name: str, seconds: float = EVENTUALLY) -> None:
        """Wait until every gateway of the CA is refused."""
        wait_for(lambda: self.answer(name) == REFUSED, f"{name} is not trusted any more", seconds)

    # -- gateways

    def answer(self, name: str) -> str:
        """Return the result of a new connection with a certificate of that CA: the status, or the kind of failure."""
        try:
            with self._client(name).connect() as connection:
                return str(exchange(connection, BODY).status)
        except OSError as error:
            return type(error).__name__

    @contextmanager
    def asking(self, name: str, *, always: bool) -> Iterator[list[str]]:
        """Let gateways of that CA ask repeatedly, and check that they are `always` answered, or never."""
        done, answers = threading.Event(), list[str]()

        def new_connections() -> None:
            while not done.wait(PAUSE_SECONDS):
                answers.append(self.answer(name))

        def one_connection() -> None:
            try:
                while not done.is_set():
                    self._ask_until_it_ends(name, done, answers)
            except (OSError, http.client.HTTPException) as error:
                answers.append(type(error).__name__)

        threads = [threading.Thread(target=each) for each in (new_connections, one_connection)]
        for thread in threads:
            thread.start()
        try:
            yield answers
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert answers
        assert set(answers) == {"200"} if always else "200" not in answers, Counter(answers)

    def _ask_until_it_ends(self, name: str, done: threading.Event, answers: list[str]) -> None:
        """Ask on one connection until the server closes it, as it does after some requests."""
        with self._client(name).connect() as connection:
            while not done.wait(PAUSE_SECONDS):
                answer = exchange(connection, BODY)
                answers.append(str(answer.status))
                if answer.ends:
                    return

    def _client(self, name: str) -> Client:
        port = urlsplit(self._processes.cups_url).port
        assert port is not None
        return Client(port, self._server_ca, _pair(name))

    # -- the published Secrets, and what CUPS says of them

    def secret(self, document: str) -> bytes | None:
        found = self.admin.find(self._path(document))
        content = (found or {}).get("data", {}).get(document)
        return None if content is None else base64.b64decode(content)

    def overwrite(self, document: str, value: bytes) -> None:
        self.admin.merge(self._path(document), {"data": {document: base64.b64encode(value).decode()}})

    def loaded(self) -> Any:
        """Return the answer of `/generation`."""
        port = urlsplit(self._processes.internal_url).port
        assert port is not None
        token = (self._folder / "internal.token").read_text()
        return asyncio.run(get_internal(port, "/generation", token)).json()

    def _path(self, document: str) -> str:
        return f"/api/v1/namespaces/{NAMESPACE}/secrets/{secret_name(document)}"

    # -- the processes and the control plane

    @contextmanager
    def operator_paused(self) -> Iterator[None]:
        """Stop the operator's process for a while."""
        pid = self._operator.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def log(self, process: str) -> str:
        """Return the log of `operator` or `cups`."""
        return (self._folder / f"{process}.log").read_text()

    def noticed(self, process: str, before: str) -> bool:
        """Return whether the process has logged a failure since `before`, an earlier state of its log."""
        return any(word in self.log(process)[len(before) :] for word in ("trying again", "cannot be read"))

    def etcd(self, method: str, body: dict[str, Any]) -> Any:
        status, answer = self.own.etcd_client.post(f"/v3/kv/{method}", body)
        assert status == 200, answer
        return answer

    def delete_in_etcd(self, plural: str, name: str) -> int:
        """Delete a resource in etcd, without the API server; return etcd's revision then."""
        key = f"/registry/stationkeeper.io/{plural}/{NAMESPACE}/{name}"
        answer = self.etcd("deleterange", {"key": base64.b64encode(key.encode()).decode()})
        assert answer["deleted"] == "1"
        return int(answer["header"]["revision"])


@contextmanager
def stage(binaries: ControlPlaneBinaries, folder: Path) -> Iterator[Stage]:
    """Yield a stage on which everything runs; remove it at the end."""
    with ControlPlane(binaries, folder / "control-plane") as own:
        cluster = Cluster(own.admin_kubeconfig, NAMESPACE)
        cluster.install_crds()
        cluster.install_release()
        with ReleaseProcesses(folder / "release", own, NAMESPACE) as processes:
            made = Stage(own, folder / "release", processes)
            made.start()
            yield made


@cache
def _pair(name: str) -> Any:
    return make_gateway(format_hex(EUI), root(name), datetime.now(UTC))
