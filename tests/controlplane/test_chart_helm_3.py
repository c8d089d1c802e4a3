"""With helm 3, the chart renders the same objects as with helm 4, and can be installed, upgraded and removed."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_operator.api.kubernetes_api import FIELD_MANAGER
from stationkeeper_tools.api_client import ApiClient
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.programs.binaries import ControlPlaneBinaries
from tests.contract.chart import (
    CASES,
    CHART,
    Manifest,
    RefusedValuesError,
    Values,
    notes,
    render,
    run_helm,
)
from tests.contract.helm_3 import HELM_3_VERSION, MODULES, cached_helm_3
from tests.controlplane.test_chart import previous

HELM_3 = cached_helm_3()
needs_helm_3 = pytest.mark.skipif(HELM_3 is None, reason="helm 3 is not here: `make helm-3`")
NAMESPACE = "helm-3"
TRUST = f"/api/v1/namespaces/{NAMESPACE}/secrets/stationkeeper-trust"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gateways.stationkeeper.io"

pytestmark = pytest.mark.usefixtures("helm")


def test_the_go_module_pins_the_version_that_is_named() -> None:
    assert f"helm.sh/helm/v3 v{HELM_3_VERSION}" in (MODULES / "helm3/go.mod").read_text()


def without_what_is_made_anew(manifests: list[Manifest]) -> list[Manifest]:
    """Return the objects in a fixed order; of random Secret data, only the keys are kept."""
    for each in manifests:
        if each["kind"] == "Secret":
            each["data"] = sorted(each.get("data") or ())
    return sorted(manifests, key=lambda each: (each["kind"], each["metadata"]["name"], str(each["metadata"])))


@needs_helm_3
@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_helm_3_and_helm_4_render_the_same_objects(values: Values) -> None:
    ours, theirs = (without_what_is_made_anew(render(values, program=program)) for program in (None, HELM_3))
    assert theirs == ours
    assert len(ours) > 10


@needs_helm_3
@pytest.mark.parametrize(
    "values",
    [
        {"cups": {"preStopSleepSeconds": 3600}},
        {"cups": {"replicas": "two"}},
        {"cups": {"unknown": 1}},
        {"watchNamespaces": ["team-a"], "watchAllNamespaces": True},
        {"registry": {"buckets": 17}},
    ],
)
def test_helm_3_refuses_the_values_that_helm_4_refuses(values: Values) -> None:
    for program in (None, HELM_3):
        with pytest.raises(RefusedValuesError):
            render(values, program=program)


@pytest.fixture(scope="module")
def running(
    control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """Return a separate control plane, because the chart installs and removes definitions that other tests use."""
    with ControlPlane(control_plane_binaries, tmp_path_factory.mktemp("helm-3")) as started:
        yield started


@needs_helm_3
@pytest.mark.parametrize("name", ["defaults", "trial"])
def test_helm_3_prints_the_same_for_a_person(running: ControlPlane, name: str) -> None:
    """Helm 3 asks a cluster for this; the cluster lacks the kinds of other projects."""
    printed = notes(CASES[name], "--kubeconfig", str(running.admin_kubeconfig), program=HELM_3)
    assert printed.rstrip() == notes(CASES[name]).rstrip()
    assert "kubectl apply -f -" in printed


@needs_helm_3
def test_helm_3_installs_upgrades_takes_over_and_uninstalls(running: ControlPlane, tmp_path: Path) -> None:
    api = ApiClient(running.admin_kubeconfig)
    where = ("--namespace", NAMESPACE, "--kubeconfig", running.admin_kubeconfig)

    def helm(command: str, *arguments: str) -> str:
        return run_helm(command, "stationkeeper", *arguments, *where, program=HELM_3)

    def publish(content: bytes) -> None:
        secret = {"apiVersion": "v1", "kind": "Secret", "data": {"trust": base64.b64encode(content).decode()}}
        api.send(
            "PATCH",
            f"{TRUST}?fieldManager={FIELD_MANAGER}&force=true",
            {**secret, "metadata": {"name": "stationkeeper-trust"}},
            "application/apply-patch+yaml",
        )

    def published() -> bytes:
        secret: dict[str, Any] = api.get(TRUST)
        return base64.b64decode((secret.get("data") or {}).get("trust", ""))

    helm("install", str(previous(tmp_path)), "--create-namespace")
    publish(b"before")
    with pytest.raises(RefusedValuesError, match="invalid ownership metadata"):
        helm("upgrade", str(CHART))
    helm("upgrade", str(CHART), "--take-ownership")
    assert published() == b"before"
    publish(b"first")
    helm("upgrade", str(CHART), "--set", "cups.replicas=3", "--set", "server.certificate.source=trial")
    assert published() == b"first"
    trial = api.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/stationkeeper-trial-tls")["data"]
    publish(b"second")
    helm("rollback", "2")
    assert published() == b"second"
    helm("uninstall")
    assert published() == b"second"
    assert api.find(CRD) is not None
    helm("install", str(CHART), "--set", "server.certificate.source=trial")
    assert published() == b"second"
    assert api.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/stationkeeper-trial-tls")["data"] == trial


@needs_helm_3
def test_helm_4_goes_on_with_a_release_of_helm_3(running: ControlPlane) -> None:
    where = (
        "--namespace",
        f"{NAMESPACE}-then-4",
        "--kubeconfig",
        running.admin_kubeconfig,
        "--set",
        "crds.install=false",
    )
    run_helm("install", "stationkeeper", CHART, *where, "--create-namespace", program=HELM_3)
    run_helm("upgrade", "stationkeeper", CHART, *where, "--set", "cups.replicas=3")
    api = ApiClient(running.admin_kubeconfig)
    found = api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}-then-4/deployments/stationkeeper-cups")
    assert found["spec"]["replicas"] == 3


@needs_helm_3
def test_helm_3_lints_the_chart() -> None:
    assert "1 chart(s) linted, 0 chart(s) failed" in run_helm("lint", "--strict", CHART, program=HELM_3)
