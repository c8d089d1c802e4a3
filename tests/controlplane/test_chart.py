import base64
import copy
import http.client
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from stationkeeper_operator.api.kubernetes_api import FIELD_MANAGER
from stationkeeper_tools.api_client import ApiClient, RequestError
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.programs.binaries import ControlPlaneBinaries
from stationkeeper_tools.sample_pki import make_root
from tests.contract.chart import (
    CASES,
    CHART,
    NAMESPACE,
    Manifest,
    RefusedValuesError,
    Values,
    commands,
    notes,
    pod_template,
    render,
    run_helm,
)
from tests.controlplane.dry_run import DryRun, Said
from tests.waiting import wait_for

# The API server sometimes takes minutes to see that a definition has no object left, see _EMPTIED_SECONDS.
pytestmark = [pytest.mark.usefixtures("helm"), pytest.mark.timeout(600)]

INSTALLED = "chart-installed"
NAMESPACES = (NAMESPACE, "team-a", "team-b", INSTALLED)
KINDS_OF_OTHERS = {"Certificate", "ServiceMonitor", "PodMonitor", "PrometheusRule"}
TOKEN = "stationkeeper-internal-token"

# It tries for a minute to delete the objects of a deleted definition, waits, and tries again.
_EMPTIED_SECONDS = 240.0
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_OURS = f"/apis/stationkeeper.io/v1alpha1/namespaces/{INSTALLED}"
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def kubeconfig(
    control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Return the kubeconfig of a separate control plane: the chart installs definitions that other tests use."""
    with ControlPlane(control_plane_binaries, tmp_path_factory.mktemp("chart-control-plane")) as running:
        yield running.admin_kubeconfig


@pytest.fixture(scope="module")
def run_kubectl(kubectl: Path, kubeconfig: Path) -> Kubectl:
    def run(*arguments: str, stdin: object = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [kubectl, "--kubeconfig", str(kubeconfig), *arguments],
            input=json.dumps(stdin),
            capture_output=True,
            text=True,
            timeout=_EMPTIED_SECONDS,
            check=False,
        )

    for name in NAMESPACES:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        assert not run("apply", "--filename=-", stdin=namespace).stderr
    return run


@pytest.fixture
def helm_here(helm: Path, run_kubectl: Kubectl, kubeconfig: Path) -> Iterator[Callable[..., str]]:
    def run(*arguments: str) -> str:
        where = ("--namespace", INSTALLED, "--kubeconfig", kubeconfig)
        return run_helm(*arguments, *where, seconds=_EMPTIED_SECONDS)

    yield run
    run("uninstall", "stationkeeper", "--ignore-not-found")
    api = ApiClient(kubeconfig)
    for each in (f"{_OURS}/trustedcas", f"{_OURS}/gateways", f"/api/v1/namespaces/{INSTALLED}/secrets", _DEFINITIONS):
        wait_for(partial(_is_emptied, api, each), f"{each} is emptied")
    wait_for(lambda: not _definitions(api), "the definitions are gone", _EMPTIED_SECONDS)


def _is_emptied(api: ApiClient, collection: str) -> bool:
    """Delete all objects of a definition, if the API server serves it."""
    try:
        api.delete(collection)
    except RequestError as error:
        if error.status == http.client.TOO_MANY_REQUESTS:
            return False
        if error.status != http.client.NOT_FOUND:
            raise
    return True


def _definitions(api: ApiClient) -> list[str]:
    """Return the existing definitions, and remove the finalizers of each, so that it can be deleted."""
    names = [each["metadata"]["name"] for each in api.items(_DEFINITIONS)]
    for each in names:
        # It may be gone by now.
        with suppress(RequestError):
            api.merge(f"{_DEFINITIONS}/{each}", {"metadata": {"finalizers": []}})
    return names


def as_list(manifests: list[Manifest]) -> Manifest:
    items = [each for each in manifests if each["kind"] not in KINDS_OF_OTHERS]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def pod(template: Manifest, name: str) -> Manifest:
    found = copy.deepcopy(template)
    found["metadata"]["name"] = name
    return {"apiVersion": "v1", "kind": "Pod", **found}


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_the_api_server_takes_every_object_without_a_warning(run_kubectl: Kubectl, values: Values) -> None:
    manifests = as_list(render(values))
    done = run_kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "--filename=-",
        stdin=manifests,
    )  # fmt: skip
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == len(manifests["items"])


@pytest.mark.parametrize("component", ["operator", "cups"])
@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
@pytest.mark.usefixtures("run_kubectl")
def test_pods_satisfy_the_restricted_pod_security_standard(kubeconfig: Path, values: Values, component: str) -> None:
    template = pod_template(render(values), component)
    account = template["spec"]["serviceAccountName"]
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}
    ApiClient(kubeconfig).apply(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}", body)
    pods, dry_run = f"/api/v1/namespaces/{NAMESPACE}/pods", DryRun(kubeconfig)
    assert dry_run.create(pods, pod(template, component)) == Said(http.client.CREATED, "", ())

    loosened = pod(template, component)
    loosened["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    refused = dry_run.create(pods, loosened)
    assert refused.status == http.client.FORBIDDEN
    assert 'violates PodSecurity "restricted' in refused.message


def test_an_upgrade_keeps_the_internal_token(run_kubectl: Kubectl, helm_here: Callable[..., str]) -> None:
    def token() -> str:
        return run_kubectl("get", f"--namespace={INSTALLED}", "secret", TOKEN, "--output=jsonpath={.data.token}").stdout

    helm_here("install", "stationkeeper", str(CHART))
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
        "team-b": "no",
        INSTALLED: "no",
    }


def test_the_pod_of_helm_test_satisfies_the_restricted_pod_security_standard(run_kubectl: Kubectl) -> None:
    (made,) = [each for each in render({}) if each["kind"] == "Pod"]
    default = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE}}
    run_kubectl("apply", "--filename=-", stdin=default)
    done = run_kubectl("create", "--dry-run=server", "--validate=strict", "--filename=-", stdin=made)
    assert (done.stderr, done.returncode) == ("", 0)


def test_a_trial_keeps_its_certificate_through_upgrades_and_a_new_installation(
    run_kubectl: Kubectl, helm_here: Callable[..., str]
) -> None:
    def certificate() -> str:
        what = ("secret", "stationkeeper-trial-tls", "--output=jsonpath={.type} {.data.tls\\.crt}")
        return run_kubectl("get", f"--namespace={INSTALLED}", *what).stdout

    trial = ("--set", "server.certificate.source=trial")
    helm_here("install", "stationkeeper", str(CHART), *trial)
    made = certificate()
    helm_here("upgrade", "stationkeeper", str(CHART), *trial, "--set", "cups.replicas=3")
    helm_here("rollback", "stationkeeper", "1")
    assert made.startswith("kubernetes.io/tls LS0t")
    assert certificate() == made
    helm_here("uninstall", "stationkeeper")
    helm_here("install", "stationkeeper", str(CHART), *trial)
    assert certificate() == made


GATEWAY = {
    "apiVersion": "stationkeeper.io/v1alpha1",
    "kind": "Gateway",
    "metadata": {"name": "rooftop", "namespace": INSTALLED},
    "spec": {"eui": "0123456789ABCDEF"},
}


def gateways(run_kubectl: Kubectl) -> str:
    return run_kubectl("get", "gateways", f"--namespace={INSTALLED}", "--output=name").stdout.strip()


def register_gateway(run_kubectl: Kubectl) -> None:
    run_kubectl("wait", "--for=condition=Established", "customresourcedefinition/gateways.stationkeeper.io")
    assert run_kubectl("apply", "--filename=-", stdin=GATEWAY).returncode == 0


def test_definitions_and_resources_outlive_the_release_and_serve_the_next(
    run_kubectl: Kubectl, helm_here: Callable[..., str]
) -> None:
    helm_here("install", "stationkeeper", str(CHART))
    register_gateway(run_kubectl)
    helm_here("uninstall", "stationkeeper")
    assert gateways(run_kubectl) == "gateway.stationkeeper.io/rooftop"
    helm_here("install", "stationkeeper", str(CHART))
    helm_here("upgrade", "stationkeeper", str(CHART), "--set", "crds.install=false")
    assert gateways(run_kubectl) == "gateway.stationkeeper.io/rooftop"


def test_definitions_that_are_not_kept_go_with_the_release(run_kubectl: Kubectl, helm_here: Callable[..., str]) -> None:
    helm_here("install", "stationkeeper", str(CHART), "--set", "crds.keep=false")
    register_gateway(run_kubectl)
    helm_here("uninstall", "stationkeeper", "--wait")
    assert run_kubectl("get", "customresourcedefinitions", "--output=name").stdout == ""


def previous(folder: Path) -> Path:
    """Return the chart of the time before the definitions became templates."""
    chart = folder / "stationkeeper"
    shutil.copytree(CHART, chart, symlinks=False)
    (chart / "definitions").rename(chart / "crds")
    (chart / "templates/definitions.yaml").unlink()
    (chart / "templates/documents.yaml").unlink()
    return chart


def publish(run_kubectl: Kubectl, content: str, labels: dict[str, str] | None = None) -> None:
    """Write as the operator does; with labels, as it did when it also had to create the Secret."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "stationkeeper-trust", "namespace": INSTALLED, **({"labels": labels} if labels else {})},
        "type": "Opaque",
        "data": {"trust": base64.b64encode(content.encode()).decode()},
    }
    options = ("--server-side", f"--field-manager={FIELD_MANAGER}", "--force-conflicts")
    assert run_kubectl("apply", *options, "--filename=-", stdin=secret).returncode == 0


def published(run_kubectl: Kubectl) -> str:
    what = ("secret", "stationkeeper-trust", "--output=jsonpath={.data.trust}")
    return base64.b64decode(run_kubectl("get", f"--namespace={INSTALLED}", *what).stdout).decode()


@pytest.mark.parametrize("way", ["--server-side=true", "--server-side=false"])
def test_helm_never_empties_a_published_secret(run_kubectl: Kubectl, helm_here: Callable[..., str], way: str) -> None:
    helm_here("install", "stationkeeper", str(CHART), way)
    assert published(run_kubectl) == ""
    publish(run_kubectl, "first")
    helm_here("upgrade", "stationkeeper", str(CHART), way, "--set", "cups.replicas=3", "--set", "commonLabels.a=b")
    assert published(run_kubectl) == "first"
    publish(run_kubectl, "second")
    helm_here("rollback", "stationkeeper", "1", way)
    assert published(run_kubectl) == "second"
    helm_here("uninstall", "stationkeeper")
    assert published(run_kubectl) == "second"
    helm_here("install", "stationkeeper", str(CHART), way)
    assert published(run_kubectl) == "second"


def test_an_upgrade_creates_a_published_secret_that_was_deleted(
    run_kubectl: Kubectl, helm_here: Callable[..., str]
) -> None:
    helm_here("install", "stationkeeper", str(CHART))
    run_kubectl("delete", "secret", "stationkeeper-trust", f"--namespace={INSTALLED}")
    helm_here("upgrade", "stationkeeper", str(CHART))
    found = run_kubectl("get", "secret", "stationkeeper-trust", f"--namespace={INSTALLED}", "--output=name")
    assert found.stdout.strip() == "secret/stationkeeper-trust"


def test_an_upgrade_takes_over_what_an_older_chart_left_outside_of_the_release(
    run_kubectl: Kubectl, helm_here: Callable[..., str], tmp_path: Path
) -> None:
    helm_here("install", "stationkeeper", str(previous(tmp_path)))
    register_gateway(run_kubectl)
    publish(run_kubectl, "before", {"app.kubernetes.io/managed-by": "stationkeeper"})
    with pytest.raises(RefusedValuesError, match="invalid ownership metadata"):
        helm_here("upgrade", "stationkeeper", str(CHART))
    helm_here("upgrade", "stationkeeper", str(CHART), "--take-ownership", "--force-conflicts")
    assert published(run_kubectl) == "before"
    publish(run_kubectl, "after")
    helm_here("upgrade", "stationkeeper", str(CHART), "--set", "cups.replicas=3")
    assert published(run_kubectl) == "after"
    helm_here("uninstall", "stationkeeper")
    assert gateways(run_kubectl) == "gateway.stationkeeper.io/rooftop"


def with_kubectl(kubectl: Path, kubeconfig: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{kubectl.parent}:{os.environ['PATH']}", "KUBECONFIG": str(kubeconfig)}


NEED_A_NODE = ("rollout status", " wait ", "port-forward", "curl ", "kill ", "  --")


@pytest.mark.parametrize("certificate", ["secret", "trial"])
def test_the_commands_that_are_printed_run_as_they_are(
    run_kubectl: Kubectl,
    helm_here: Callable[..., str],
    kubectl: Path,
    kubeconfig: Path,
    tmp_path: Path,
    certificate: str,
) -> None:
    """Run those that need no node here; tests/cluster runs all of them."""
    printed = helm_here("install", "stationkeeper", str(CHART), "--set", f"server.certificate.source={certificate}")
    script = commands(printed.partition("NOTES:\n")[2])
    run_kubectl("wait", "--for=condition=Established", "customresourcedefinition/gateways.stationkeeper.io")
    ca = make_root("acme", datetime.now(UTC))
    for name, content in {
        "server.pem": ca.certificate_pem,
        "server.key": ca.key_pem,
        "root-ca.crt": ca.certificate_pem,
        "lns-ca.crt": ca.certificate_pem,
    }.items():
        (tmp_path / name).write_bytes(content)
    here = "\n".join(line for line in script.splitlines() if not any(each in line for each in NEED_A_NODE))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", here],
        cwd=tmp_path,
        env=with_kubectl(kubectl, kubeconfig),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert gateways(run_kubectl) == "gateway.stationkeeper.io/rooftop-1"
    found = run_kubectl(
        "get", "trustedca", "acme", f"--namespace={INSTALLED}", "--output=jsonpath={.spec.certificates}"
    )
    assert found.stdout.strip() == ca.certificate_pem.decode().strip()
    if certificate == "trial":
        assert (tmp_path / "server-ca.crt").read_text().startswith("-----BEGIN CERTIFICATE-----")
    else:
        what = ("secret", "stationkeeper-server-tls", "--output=jsonpath={.data.tls\\.crt}")
        shown = run_kubectl("get", f"--namespace={INSTALLED}", *what).stdout
        assert base64.b64decode(shown) == ca.certificate_pem


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_printed_notes_are_valid_shell_for_all_values(values: Values, tmp_path: Path) -> None:
    script = tmp_path / "printed.sh"
    script.write_text(commands(notes(values)))
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, timeout=10, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "kubectl apply -f -" in script.read_text()
    assert "curl " in script.read_text()
