"""Register in a cluster, by a kubeconfig. Objects are applied server-side, beside the fields of other managers."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from stationkeeper_tools.cluster_access import (
    BOUNDED,
    GATEWAYS,
    GROUP,
    NOT_FOUND,
    VERSION,
    ClusterError,
    connect,
    list_gateways,
)
from stationkeeper_tools.registering.register import TargetRefusedError
from stationkeeper_tools.registering.registration import Registration

FIELD_MANAGER = "stationkeeper-register"

_APPLY = "application/apply-patch+yaml"
_SINGLE = {400, 403, 409, 413, 422}  # statuses that are about one object
_CONFLICT = 409
_HINTS = {
    401: "log in again",
    403: "ask for these rights, or write manifests by --to",
    NOT_FOUND: "install the definitions of Stationkeeper first",
}


class ClusterTarget:
    """Registers in a cluster.

    Args:
        kubeconfig: its file; None for the usual one.
        context: in it; None for the current one.
        namespace: of the Gateways.
        dry_run: let the API server judge, and change nothing.

    Raises:
        ClusterError: the kubeconfig cannot be used.
    """

    def __init__(self, kubeconfig: Path | None, context: str | None, namespace: str, *, dry_run: bool) -> None:
        api = connect(kubeconfig, context)
        self._objects = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)
        self._namespace = namespace
        self._how: Any = {
            "field_manager": FIELD_MANAGER,
            "field_validation": "Strict",
            "_content_type": _APPLY,
            **BOUNDED,
            **({"dry_run": "All"} if dry_run else {}),
        }

    def existing(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Return the Gateways of the namespace, page by page.

        Raises:
            ClusterError: it cannot be reached, or refuses.
        """
        with _explained(f"list Gateways in the namespace {self._namespace}", is_one=False):
            for item in list_gateways(self._objects, self._namespace):
                yield item["metadata"]["name"], item.get("spec") or {}

    def put(self, registration: Registration, *, is_new: bool, is_same: bool) -> bool:
        """Apply the Secret, then the Gateway.

        Raises:
            TargetRefusedError: the API server refuses one of them.
            ClusterError: it cannot be reached, or refuses all.
        """
        with _explained(f"apply the Gateway {registration.name}", is_one=True):
            is_changed = self._put_secret(registration.secret)
            return is_changed if is_same else self._put_gateway(registration, is_new=is_new) or is_changed

    def _put_gateway(self, registration: Registration, *, is_new: bool) -> bool:
        place = (GROUP, VERSION, self._namespace, GATEWAYS, registration.name)
        before: Any = None if is_new else self._objects.get_namespaced_custom_object(*place, **BOUNDED)
        after: Any = self._objects.patch_namespaced_custom_object(*place, dict(registration.gateway), **self._how)
        return before is None or before["metadata"]["generation"] != after["metadata"]["generation"]

    def _put_secret(self, secret: Mapping[str, Any] | None) -> bool:
        if secret is None:
            return False
        name = secret["metadata"]["name"]
        try:
            before = self._core.read_namespaced_secret(name, self._namespace, **BOUNDED).data
        except ApiException as error:
            if error.status != NOT_FOUND:
                raise
            before = None
        after = self._core.patch_namespaced_secret(name, self._namespace, dict(secret), **self._how)
        return before != after.data


@contextmanager
def _explained(what: str, *, is_one: bool) -> Iterator[None]:
    """Turn errors of the Kubernetes client into `TargetRefusedError` or `ClusterError`."""
    try:
        yield
    except ApiException as error:
        message = _message(error)
        if is_one and error.status == _CONFLICT:
            hint = "another tool manages these fields; change them there, or remove them from the list"
            raise TargetRefusedError(f"{message}; {hint}") from None
        if is_one and error.status in _SINGLE:
            raise TargetRefusedError(message) from None
        hint = _HINTS.get(error.status, "run the same command again later")
        detail = f"cannot {what}: the API server answers {error.status}: {message}; {hint}"
        raise ClusterError(detail, is_refusal=True) from None
    except (HTTPError, OSError) as error:
        detail = f"cannot {what}: the API server is not reached: {error}"
        raise ClusterError(detail, is_refusal=False) from None


def _message(error: ApiException) -> str:
    """Return the API server's message, at most 500 characters."""
    try:
        status = json.loads(error.body or "{}")
    except ValueError:
        return str(error.reason)
    message = status.get("message") if isinstance(status, dict) else None
    return str(message or error.reason)[:500]
