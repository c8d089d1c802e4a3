import copy
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.chart import CASES, CHART, NAMESPACE, Manifest, Values, pod_template, render, run_helm

pytestmark = pytest.mark.usefixtures("helm")

CRDS = CHART.parents[1] / "crds"
INSTALLED = "chart-installed"
NAMESPACES = (NAMESPACE, "team-a", INSTALLED)
KINDS_OF_OTHERS = {"Certificate", "ServiceMonitor"}
TOKEN = "stationkeeper-internal-token"

Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def kubeconfig(control_plane: Any) -> Path:
    path: Path = control_plane.admin_kubeconfig
    return path


@pytest.fixture(scope="module")
def run_kubectl(kubectl: Path, kubeconfig: Path) -> Kubectl:
    def run(*arguments: str, stdin: object = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [kubectl, "--kubeconfig", str(kubeconfig), *arguments],
            input=json.dumps(stdin),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    for name in NAMESPACES:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        assert not run("apply", "--filename=-", stdin=namespace).stderr
    run("apply", "--server-side", f"--filename={CRDS}")
    assert run("wait", "--for=condition=Established", f"--filename={CRDS}").returncode == 0
    return run


@pytest.fixture
def helm_here(helm: Path, run_kubectl: Kubectl, kubeconfig: Path) -> Iterator[Callable[..., str]]:
    def run(*arguments: str) -> str:
        return run_helm(*arguments, "--namespace", INSTALLED, "--kubeconfig", kubeconfig)

    yield run
    run("uninstall", "stationkeeper", "--ignore-not-found")


def as_list(manifests: list[Manifest]) -> Manifest:
    items = [each for each in manifests if each["kind"] not in KINDS_OF_OTHERS]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def pod(template: Manifest, name: str) -> Manifest:
    found = copy.deepcopy(template)
    found["metadata"]["name"] = name
    return {"apiVersion": "v1", "kind": "Pod", **found}


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_the_api_server_takes_every_object_without_a_warning(run_kubectl: Kubectl, values: Values) -> None:
    manifests = as_list(render(values, "--include-crds"))
    done = run_kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "--filename=-",
        stdin=manifests,
    )  # fmt: skip
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == len(manifests["items"])


@pytest.mark.parametrize("component", ["operator", "cups"])
@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_pods_satisfy_the_restricted_pod_security_standard(
    run_kubectl: Kubectl, values: Values, component: str
) -> None:
    manifests = render(values)
    accounts = [each for each in manifests if each["kind"] == "ServiceAccount"]
    run_kubectl("apply", "--filename=-", stdin=as_list(accounts))
    template = pod_template(manifests, component)
    done = run_kubectl(
        "create", f"--namespace={NAMESPACE}", "--dry-run=server", "--filename=-", stdin=pod(template, component)
    )
    assert (done.stderr, done.returncode) == ("", 0)

    loosened = pod(template, component)
    loosened["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    refused = run_kubectl("create", f"--namespace={NAMESPACE}", "--dry-run=server", "--filename=-", stdin=loosened)
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_an_upgrade_keeps_the_internal_token(run_kubectl: Kubectl, helm_here: Callable[..., str]) -> None:
    def token() -> str:
        return run_kubectl("get", f"--namespace={INSTALLED}", "secret", TOKEN, "--output=jsonpath={.data.token}").stdout

    assert "create secret tls stationkeeper-server-tls" in helm_here("install", "stationkeeper", str(CHART))
    made = token()
    helm_here("upgrade", "stationkeeper", str(CHART), "--set", "cups.replicas=3")
    assert made
    assert token() == made


def test_an_operator_of_named_namespaces_can_read_secrets_nowhere_else(
    run_kubectl: Kubectl, helm_here: Callable[..., str]
) -> None:
    helm_here("install", "stationkeeper", str(CHART), "--set", "watchNamespaces={team-a}")
    account = f"--as=system:serviceaccount:{INSTALLED}:stationkeeper-operator"

    def may_list_secrets(namespace: str) -> str:
        return run_kubectl("auth", "can-i", "list", "secrets", f"--namespace={namespace}", account).stdout.strip()

    assert {name: may_list_secrets(name) for name in NAMESPACES} == {
        NAMESPACE: "no",
        "team-a": "yes",
        INSTALLED: "no",
    }
