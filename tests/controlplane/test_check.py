"""`stationkeeper check` refuses the same objects by the schema as a real API server, which accepts all others."""

import secrets
from pathlib import Path
from typing import Any

import pytest
import yaml

from stationkeeper_tools.api_client import ApiClient, RequestError
from stationkeeper_tools.local_cluster.cluster import Cluster
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from tests.tools.command_line import stationkeeper
from tests.tools.manifest_files import ACCEPTED_BY_THE_SCHEMA, REFUSED_BY_THE_SCHEMA, write

EXAMPLES = sorted(Path("examples").glob("*/*.yaml"))
PLURALS = {
    "TrustedCA": "trustedcas",
    "Gateway": "gateways",
    "GatewayDefaults": "gatewaydefaults",
    "ConfigMap": "configmaps",
    "Secret": "secrets",
}
OF_OTHERS = "cert-manager.io/v1"  # whose definitions are not installed here


@pytest.fixture(scope="module")
def namespace(control_plane: ControlPlane) -> str:
    name = f"check-{secrets.token_hex(3)}"
    Cluster(control_plane.admin_kubeconfig, name).install_crds()
    ApiClient(control_plane.admin_kubeconfig).create("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture
def api(control_plane: ControlPlane) -> ApiClient:
    return ApiClient(control_plane.admin_kubeconfig)


def is_taken(api: ApiClient, namespace: str, manifest: dict[str, Any]) -> bool:
    """Return whether the API server would create it; unknown fields are errors, as with kubectl."""
    body = {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}
    version, plural = manifest["apiVersion"], PLURALS.get(manifest["kind"], "unknown")
    group = f"/apis/{version}" if "/" in version else f"/api/{version}"
    path = f"{group}/namespaces/{namespace}/{plural}?dryRun=All&fieldValidation=Strict"
    try:
        api.create(path, body)
    except RequestError as error:
        assert error.status in {400, 404, 422}, str(error)
        return False
    return True


@pytest.mark.parametrize("name", REFUSED_BY_THE_SCHEMA)
def test_both_refuse(api: ApiClient, namespace: str, tmp_path: Path, name: str) -> None:
    manifest = REFUSED_BY_THE_SCHEMA[name]

    assert stationkeeper("check", str(write(tmp_path / "all.yaml", manifest))).returncode == 1
    assert not is_taken(api, namespace, manifest)


@pytest.mark.parametrize("name", ACCEPTED_BY_THE_SCHEMA)
def test_both_take(api: ApiClient, namespace: str, tmp_path: Path, name: str) -> None:
    manifest = ACCEPTED_BY_THE_SCHEMA[name]
    findings = stationkeeper("check", str(write(tmp_path / "all.yaml", manifest)), "--output", "json").json["findings"]

    assert not {each["reason"] for each in findings} & {"InvalidField", "UnknownField", "InvalidMetadata"}
    assert is_taken(api, namespace, manifest)


@pytest.mark.parametrize("path", EXAMPLES, ids=[str(each) for each in EXAMPLES])
def test_the_api_server_takes_the_examples(api: ApiClient, namespace: str, path: Path) -> None:
    manifests = [each for each in yaml.safe_load_all(path.read_text()) if each["apiVersion"] != OF_OTHERS]

    assert manifests
    assert all(is_taken(api, namespace, each) for each in manifests)
