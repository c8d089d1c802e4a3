"""`stationkeeper page` with a real API server and the chart's rights."""

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_tools import shipped_manifests
from stationkeeper_tools.api_client import ApiClient
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.ports import free_port
from stationkeeper_tools.programs.binaries import ControlPlaneBinaries
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_resources import gateway, trusted_ca
from tests.tools.command_line import PROGRAM
from tests.tools.page.fleets import ENFORCED, condition
from tests.waiting import EVENTUALLY, wait_for

NAMESPACE, ELSEWHERE = "page-team", "page-elsewhere"
GROUP = "/apis/stationkeeper.io/v1alpha1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
SEEN = "2026-05-01T00:00:00Z"


class Stage:
    """A separate cluster, which a test may break, and a page of one of its namespaces."""

    def __init__(self, own: ControlPlane, folder: Path) -> None:
        self.own = own
        self.api = ApiClient(own.admin_kubeconfig)
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        install_crds(self.own.admin_kubeconfig)
        for name in (NAMESPACE, ELSEWHERE):
            self.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
        self.api.create(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": "page"}})
        (page,) = (each for each in shipped_manifests.rbac_files() if each.stem == "page-resources")
        (rules,) = shipped_manifests.load(page)
        self.api.create(f"{RBAC}/namespaces/{NAMESPACE}/roles", {"metadata": {"name": "page"}, "rules": rules})
        binding = {
            "metadata": {"name": "page"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "page"},
            "subjects": [{"kind": "ServiceAccount", "name": "page", "namespace": NAMESPACE}],
        }
        self.api.create(f"{RBAC}/namespaces/{NAMESPACE}/rolebindings", binding)

    def start(self, *options: str) -> None:
        kubeconfig = self.own.service_account_kubeconfig(NAMESPACE, "page", self._folder / "page.kubeconfig")
        where = ("--listen", f"127.0.0.1:{self._port}", "--kubeconfig", str(kubeconfig))
        with (self._folder / "page.log").open("ab") as log:
            self._process = subprocess.Popen([*PROGRAM, "page", *where, *options], stderr=log)

    def stop(self) -> int:
        if self._process is None:
            return 0
        self._process.terminate()
        ended, self._process = self._process.wait(EVENTUALLY), None
        return ended

    def create(self, kind: str, name: str, spec: dict[str, Any], namespace: str = NAMESPACE) -> None:
        kinds = {"gateways": "Gateway", "trustedcas": "TrustedCA"}
        body = {
            "apiVersion": "stationkeeper.io/v1alpha1",
            "kind": kinds[kind],
            "metadata": {"name": name},
            "spec": spec,
        }
        self.api.create(f"{GROUP}/namespaces/{namespace}/{kind}", body)

    def tell(self, kind: str, name: str, **status: Any) -> None:
        self.api.merge(f"{GROUP}/namespaces/{NAMESPACE}/{kind}/{name}/status", {"status": status})

    def text(self, path: str = "") -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/{path}", timeout=30) as answer:
                return " ".join(answer.read().decode().split())
        except (urllib.error.URLError, ConnectionError) as error:
            return f"{type(error).__name__}: {error}"

    def until(self, holds: Callable[[str], bool], path: str = "") -> None:
        wait_for(lambda: holds(self.text(path)), f"the page {path or '/'} shows it: {self.text(path)[-600:]}")


@pytest.fixture(scope="module")
def stage(control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("page")
    with ControlPlane(control_plane_binaries, folder) as own:
        made = Stage(own, folder)
        made.prepare()
        yield made
        made.stop()


@pytest.fixture
def page(stage: Stage) -> Iterator[Stage]:
    for kind in ("gateways", "trustedcas"):
        stage.api.delete(f"{GROUP}/namespaces/{NAMESPACE}/{kind}")
    yield stage
    assert stage.stop() == 0


def test_resources_and_changes_are_on_the_page(page: Stage) -> None:
    page.create("gateways", "roof", gateway("0123456789ABCDEF"))
    page.create("gateways", "elsewhere", gateway("0123456789ABCDEE"), ELSEWHERE)
    page.create("trustedcas", "vendor", trusted_ca())
    page.start("--namespace", NAMESPACE)
    page.until(lambda text: "1 gateway</h2>" in text and f"{NAMESPACE}/vendor" in text)
    address = f"gateway?namespace={NAMESPACE}&name=roof"
    page.tell("gateways", "roof", conditions=[condition("Accepted"), condition("Published")], lastSeen=SEEN)
    page.until(lambda text: "it came" in text and SEEN in text, address)
    page.until(lambda text: "published, not loaded by every CUPS pod yet" in text, "enforcement")
    page.tell("gateways", "roof", conditions=ENFORCED)
    page.until(
        lambda text: "Enforced holds" in text and "1 of 1 accepted resources are enforced" in text, "enforcement"
    )
    page.api.delete(f"{GROUP}/namespaces/{NAMESPACE}/gateways/roof")
    page.until(lambda text: "HTTPError: HTTP Error 404" in text, address)


def test_while_the_api_server_is_away_the_page_shows_what_it_knows_and_then_what_it_missed(page: Stage) -> None:
    for number in range(3):
        page.create("gateways", f"roof-{number}", gateway(f"0123456789ABCDE{number}"))
    page.start("--namespace", NAMESPACE)
    page.until(lambda text: "3 gateways</h2>" in text)
    page.own.stop_api_server()
    began = time.monotonic()
    assert "3 gateways</h2>" in page.text()
    assert time.monotonic() - began < 30
    page.own.start_api_server()
    page.api.delete(f"{GROUP}/namespaces/{NAMESPACE}/gateways/roof-1")
    page.until(lambda text: "2 gateways</h2>" in text)


def test_a_page_without_rights_says_so_and_is_not_ready(page: Stage) -> None:
    page.start("--namespace", ELSEWHERE)
    page.until(lambda text: "is not completely read yet" in text and "403 Forbidden" in text)
    assert "HTTP Error 503" in page.text("readyz")
    assert "yes" in page.text("healthz")
