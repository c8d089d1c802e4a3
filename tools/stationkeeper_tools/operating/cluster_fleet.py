"""A fleet in a cluster, by a kubeconfig."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from stationkeeper_operator.api.merge_patch import merge_patch
from stationkeeper_operator.api.resource_paths import GROUP, GROUP_VERSION, RESOURCES, VERSION
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA
from stationkeeper_tools.cluster_access import BOUNDED, NOT_FOUND, ClusterError, connect, list_objects
from stationkeeper_tools.operating.fleet import Edit, FleetError, FleetFault, FleetResource, ResourceName, edited

FIELD_MANAGER = "stationkeeper-commands"

_CONFLICT = 409
_ATTEMPTS = 5
_MERGE = "application/merge-patch+json"


class ClusterFleet:
    """The fleet of one cluster.

    Args:
        kubeconfig: its file; None for the usual one.
        context: in it; None for the current one.
        namespace: only its resources are in view; None for all.

    Raises:
        FleetError: the kubeconfig cannot be used.
    """

    def __init__(self, kubeconfig: Path | None, context: str | None, namespace: str | None) -> None:
        with _explained():
            self._objects: Any = client.CustomObjectsApi(connect(kubeconfig, context))
        self._namespace = namespace

    def resources(self) -> list[FleetResource]:
        """Return the resources in view; see `Fleet`."""
        with _explained():
            return [
                _resource(each, kind)
                for kind in (TRUSTED_CA, GATEWAY)
                for each in list_objects(self._objects, RESOURCES[kind], self._namespace)
            ]

    def get(self, key: ResourceName) -> FleetResource:
        """Return one resource; see `Fleet`."""
        return _resource(self._read(key), key.kind)

    def edit(self, key: ResourceName, edit: Edit) -> FleetResource:
        """Patch the spec of a resource; on a conflicting write, read it and try again; see `Fleet`."""
        for _ in range(_ATTEMPTS):
            current = self._read(key)
            spec = current.get("spec") or {}
            changed = edited(spec, edit)
            if changed == spec:
                return _resource(current, key.kind)
            body = {
                "metadata": {"resourceVersion": current["metadata"]["resourceVersion"]},
                "spec": merge_patch(spec, changed),
            }
            with _explained():
                try:
                    patched = self._objects.patch_namespaced_custom_object(
                        *_place(key), body, field_manager=FIELD_MANAGER, _content_type=_MERGE, **BOUNDED
                    )
                except ApiException as error:
                    if error.status != _CONFLICT:
                        raise
                    continue
                return _resource(patched, key.kind)
        raise FleetError(FleetFault.REFUSED, f"another program keeps changing {key}; try again")

    def delete(self, key: ResourceName) -> None:
        """Delete a resource; see `Fleet`."""
        with _explained():
            self._objects.delete_namespaced_custom_object(*_place(key), **BOUNDED)

    def _read(self, key: ResourceName) -> Mapping[str, Any]:
        with _explained():
            try:
                found: Mapping[str, Any] = self._objects.get_namespaced_custom_object(*_place(key), **BOUNDED)
            except ApiException as error:
                if error.status != NOT_FOUND:
                    raise
                raise FleetError(FleetFault.NOT_FOUND, f"the cluster has no {key}") from None
        return found


def _place(key: ResourceName) -> tuple[str, str, str, str, str]:
    return (GROUP, VERSION, key.namespace, RESOURCES[key.kind], key.name)


def _resource(item: Mapping[str, Any], kind: str) -> FleetResource:
    metadata = item["metadata"]
    key = ResourceName(kind, metadata["namespace"], metadata["name"])
    return FleetResource(key, item.get("spec") or {}, item.get("status") or {}, metadata.get("generation", 0))


@contextmanager
def _explained() -> Iterator[None]:
    """Turn errors of the Kubernetes client into `FleetError`."""
    try:
        yield
    except ClusterError as error:
        fault = FleetFault.REFUSED if error.is_refusal else FleetFault.UNREACHABLE
        raise FleetError(fault, str(error)) from None
    except ApiException as error:
        hint = f"you need rights on {GROUP_VERSION}; or work on a folder by --manifests"
        raise FleetError(
            FleetFault.REFUSED, f"the API server answers {error.status} ({error.reason}): {hint}"
        ) from None
    except (HTTPError, OSError) as error:
        raise FleetError(FleetFault.UNREACHABLE, f"the API server cannot be reached: {error}") from None
