"""Access to a person's own cluster by their kubeconfig, with any authentication that it names."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kubernetes import client, config

GROUP, VERSION, GATEWAYS = "stationkeeper.io", "v1alpha1", "gateways"
NOT_FOUND = 404
BOUNDED: Any = {"_request_timeout": 30.0}
"""Bounds a request of the Kubernetes client in time."""

_PAGE = 500


class ClusterError(Exception):
    """The cluster cannot be used; says why, and what to do.

    Attributes:
        is_refusal: whether it answered.
    """

    def __init__(self, detail: str, *, is_refusal: bool) -> None:
        super().__init__(detail)
        self.is_refusal = is_refusal


def connect(kubeconfig: Path | None, context: str | None) -> client.ApiClient:
    """Return a client of the API server; nothing is sent yet.

    Args:
        kubeconfig: its file; None for the usual one.
        context: in it; None for the current one.

    Raises:
        ClusterError: the kubeconfig cannot be used.
    """
    load: Any = config.new_client_from_config  # its types are not published
    try:
        api: client.ApiClient = load(config_file=str(kubeconfig) if kubeconfig else None, context=context)
    except (config.ConfigException, OSError, ValueError) as error:
        detail = f"the kubeconfig cannot be used: {error}; give --kubeconfig and --context, or work on manifests"
        raise ClusterError(detail, is_refusal=False) from None
    api.configuration.retries = False
    return api


def list_gateways(objects: client.CustomObjectsApi, namespace: str | None) -> Iterator[Mapping[str, Any]]:
    """Yield the Gateways; see `list_objects`."""
    return list_objects(objects, GATEWAYS, namespace)


def list_objects(objects: client.CustomObjectsApi, plural: str, namespace: str | None) -> Iterator[Mapping[str, Any]]:
    """Yield the resources of a kind in a namespace, or in all if None, page by page.

    Raises:
        ApiException: the API server refuses.
        HTTPError: it cannot be reached.
    """
    lister: Any = objects.list_namespaced_custom_object if namespace else objects.list_cluster_custom_object
    place = (GROUP, VERSION, namespace, plural) if namespace else (GROUP, VERSION, plural)
    more: Any = {}
    while True:
        page: Any = lister(*place, limit=_PAGE, **BOUNDED, **more)
        yield from page["items"]
        token = page["metadata"].get("continue")
        if not token:
            return
        more = {"_continue": token}
