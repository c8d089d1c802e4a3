"""The CustomResourceDefinitions on a real API server."""

import http.client
from functools import partial
from pathlib import Path
from typing import Any

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
            wait_for(partial(_is_served, api, definition["spec"]), f"{name} is served")


def _is_established(api: ApiClient, name: str) -> bool:
    conditions = api.get(f"{_DEFINITIONS}/{name}").get("status", {}).get("conditions")
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions or ())


def _is_served(api: ApiClient, spec: Any) -> bool:
    """Ask for the objects: only the first request for them makes the API server prepare their storage.

    Until then it refuses them, and an operator that starts waits 1, 2 and 3 seconds for the three kinds.
    """
    path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}?limit=1"
    return api.answer("GET", path).status == http.client.OK
