"""Gateway API has a kind `Gateway` with the same plural: each name in the pages still means ours."""

import http.client
import json
import secrets
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from stationkeeper_tools.api_client import ApiClient, RequestError
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_resources import gateway, trusted_ca
from tests.waiting import wait_for

GROUP = "stationkeeper.io"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CRDS = [yaml.load(path.read_text(), yaml.CSafeLoader) for path in sorted(Path("crds").glob("*.yaml"))]
# The names of https://github.com/kubernetes-sigs/gateway-api/tree/main/config/crd/standard and of Istio.
OTHERS = {
    "gateway.networking.k8s.io": ("Gateway", "gateways", "gateway", ["gtw"], ["gateway-api"]),
    "networking.istio.io": ("Gateway", "gateways", "gateway", ["gw"], ["istio-io", "networking-istio-io"]),
}

Kubectl = Callable[..., "subprocess.CompletedProcess[str]"]


def definition(group: str) -> dict[str, Any]:
    kind, plural, singular, short_names, categories = OTHERS[group]
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": singular}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "metadata": {"name": f"{plural}.{group}", "annotations": {"api-approved.kubernetes.io": "unapproved, a test"}},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {**names, "shortNames": short_names, "categories": categories},
            "versions": [version],
        },
    }


@pytest.fixture(scope="module")
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """Return a namespace with a resource of each kind, ours and those of Gateway API."""
    install_crds(control_plane.admin_kubeconfig)
    api = ApiClient(control_plane.admin_kubeconfig)
    name = f"names-{secrets.token_hex(3)}"
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    for group in OTHERS:
        api.create(DEFINITIONS, definition(group))
    specs = {"Gateway": gateway("00000000000000B1"), "TrustedCA": trusted_ca()}
    specs["GatewayDefaults"] = {"lns": specs["Gateway"]["lns"]}
    ours = {each["spec"]["names"]["plural"]: each["spec"]["names"]["kind"] for each in CRDS}
    for plural, kind in ours.items():
        made = {"apiVersion": f"{GROUP}/v1alpha1", "kind": kind, "metadata": {"name": "default"}, "spec": specs[kind]}
        api.create(f"/apis/{GROUP}/v1alpha1/namespaces/{name}/{plural}", made)
    for group in OTHERS:
        path = f"/apis/{group}/v1/namespaces/{name}/gateways"
        wait_for(partial(_is_served, api, path), "the others' definitions are served")
        body = {"apiVersion": f"{group}/v1", "kind": "Gateway", "metadata": {"name": "theirs"}}
        api.create(path, body)
    yield name
    for group in OTHERS:
        api.delete(f"{DEFINITIONS}/gateways.{group}")
    for plural in ours:
        api.delete(f"/apis/{GROUP}/v1alpha1/namespaces/{name}/{plural}/default")


def _is_served(api: ApiClient, path: str) -> bool:
    try:
        return api.find(path) is not None
    except RequestError as error:
        if error.status == http.client.TOO_MANY_REQUESTS:  # "storage is (re)initializing"
            return False
        raise


@pytest.fixture(scope="module")
def run(
    control_plane: ControlPlane, kubectl: Path, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    cache = tmp_path_factory.mktemp("discovery")

    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        where = ("--kubeconfig", str(control_plane.admin_kubeconfig), "--cache-dir", str(cache), "-n", namespace)
        command = [str(kubectl), *where, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    return call


def test_the_bare_word_means_gateway_api(run: Kubectl) -> None:
    assert run("get", "gateways", "-o", "name").stdout.split() == ["gateway.gateway.networking.k8s.io/theirs"]


@pytest.mark.parametrize("crd", CRDS, ids=lambda crd: crd["metadata"]["name"])
def test_the_full_name_the_short_name_and_the_kind_with_its_group_mean_ours(run: Kubectl, crd: dict[str, Any]) -> None:
    names = crd["spec"]["names"]
    ours = [f"{names['singular']}.{GROUP}/default"]
    for name in (crd["metadata"]["name"], *names["shortNames"], f"{names['kind']}.{GROUP}"):
        done = run("get", name, "-o", "name")
        assert (name, done.stdout.split(), done.stderr) == (name, ours, "")
        done = run("get", f"{name}/default", "-o", "name")
        assert (name, done.stdout.split(), done.stderr) == (name, ours, "")


def test_the_category_means_all_of_ours_and_nothing_else(run: Kubectl) -> None:
    found = run("get", "stationkeeper", "-o", "name").stdout.split()
    assert sorted(found) == sorted(f"{each['spec']['names']['singular']}.{GROUP}/default" for each in CRDS)


def test_no_name_of_ours_is_one_of_the_others_but_for_plural_and_kind() -> None:
    theirs = {word for _, _, _, short_names, categories in OTHERS.values() for word in (*short_names, *categories)}
    names = [each["spec"]["names"] for each in CRDS]
    assert not theirs & {word for each in names for word in (*each["shortNames"], *each["categories"])}


@pytest.mark.parametrize("crd", CRDS, ids=lambda crd: crd["metadata"]["name"])
def test_explain_shows_the_type_and_the_description_of_every_field(run: Kubectl, crd: dict[str, Any]) -> None:
    name = crd["metadata"]["name"]
    done = run("explain", f"{name}.spec", "--recursive")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.endswith("<>")] == []
    assert f"GROUP:      {GROUP}" in done.stdout


def test_explain_shows_the_type_of_an_eui(run: Kubectl) -> None:
    done = run("explain", f"gateways.{GROUP}.spec.eui")
    assert "FIELD: eui <string>" in done.stdout
    assert "16 upper-case hex digits" in done.stdout


def test_the_columns_of_a_gateway_are_as_the_pages_show_them(run: Kubectl, namespace: str) -> None:
    status = {
        "lastSeen": "2020-01-01T00:00:00Z",
        "certificate": {
            "trustedCA": f"{namespace}/default",
            "serial": "01",
            "sha256": "0" * 64,
            "notAfter": "2020-01-01T00:00:00Z",
        },
        "lastRefusal": {"reason": "CertificateRevoked", "time": "2020-01-01T00:00:00Z"},
    }
    patch = json.dumps({"status": status})
    done = run("patch", f"gateways.{GROUP}", "default", "--subresource=status", "--type=merge", "-p", patch)
    assert done.returncode == 0, done.stderr
    header, row = run("get", f"gateways.{GROUP}").stdout.splitlines()
    page = Path("docs/resources.md").read_text()
    assert " ".join(header.split()) in " ".join(page.split())
    assert f"{namespace}/default" in row
    assert "CertificateRevoked" in row
    assert "2020-01-01" not in row, "last seen is an age"
    assert run("get", f"trustedcas.{GROUP}").stdout.split("\n")[0].split()[3:8] == ["GATEWAYS", "SEEN", "IN", "25", "H"]
