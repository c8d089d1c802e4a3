"""The CustomResourceDefinitions on a real API server."""

from functools import partial
from pathlib import Path

from stationkeeper_tools import shipped_manifests
from stationkeeper_tools.api_client import ApiClient
from tests.waiting import wait_for

_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def install_crds(kubeconfig: Path) -> None:
    """Create the CustomResourceDefinitions, and wait until they are served."""
    api = ApiClient(kubeconfig)
    for path in shipped_manifests.crd_files():
        for definition in shipped_manifests.load(path):
            name = definition["metadata"]["name"]
            if api.find(f"{_DEFINITIONS}/{name}") is None:
                api.create(_DEFINITIONS, definition)
            wait_for(partial(_is_established, api, name), f"{name} is established")


def _is_established(api: ApiClient, name: str) -> bool:
    conditions = api.get(f"{_DEFINITIONS}/{name}").get("status", {}).get("conditions")
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions or ())
