"""The demo's actions on a cluster as its administrator: install, apply, wait."""

import base64
import http.client
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from stationkeeper_core.published.documents import DOCUMENTS, secret_name
from stationkeeper_tools.api_client import ApiClient
from stationkeeper_tools.shipped_manifests import crd_files, load, rbac_files

OPERATOR, CUPS = "stationkeeper-operator", "stationkeeper-cups"
CREDENTIALS_LABEL = "stationkeeper.io/credentials"

_API_VERSION = "stationkeeper.io/v1alpha1"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_PLURALS = {"TrustedCA": "trustedcas", "Gateway": "gateways", "GatewayDefaults": "gatewaydefaults"}


class ConditionTimeoutError(TimeoutError):
    """A condition did not become true in time; the message says which one."""


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 120.0) -> float:
    """Wait for `condition` and return how many seconds that took.

    Raises:
        ConditionTimeoutError: it did not become true within `seconds`.
    """
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            raise ConditionTimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - begin


class Cluster:
    """A cluster, with the rights of the kubeconfig's user.

    Args:
        kubeconfig: path of the kubeconfig.
        namespace: the release's.
    """

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._namespace = namespace
        self._api = ApiClient(kubeconfig)

    def install_crds(self) -> None:
        """Apply the CustomResourceDefinitions and wait until they are served."""
        paths = []
        for definition in (document for file in crd_files() for document in load(file)):
            paths.append(f"{_DEFINITIONS}/{definition['metadata']['name']}")
            self._api.apply(paths[-1], definition)
        wait_until(lambda: all(self._is_established(path) for path in paths), "the definitions are established")
        for plural in _PLURALS.values():
            wait_until(partial(self._is_served, plural), f"{plural} are served")

    def install_release(self) -> None:
        """Create the namespace, the Secrets to publish and the ServiceAccounts with the rights of the chart."""
        self._api.apply(f"/api/v1/namespaces/{self._namespace}", _object("v1", "Namespace", self._namespace))
        for account in (OPERATOR, CUPS):
            self._api.apply(self._core("serviceaccounts", account), _object("v1", "ServiceAccount", account))
        for document in DOCUMENTS:
            name = secret_name(document)
            self._api.apply(self._core("secrets", name), _object("v1", "Secret", name) | {"type": "Opaque"})
        rules = {file.stem: load(file)[0] for file in rbac_files()}
        self._grant("ClusterRole", OPERATOR, "operator-resources", rules["operator-resources"])
        self._grant("Role", OPERATOR, "operator-release", rules["operator-release"])
        self._grant("Role", CUPS, "cups-release", rules["cups-release"])

    def apply_secret(
        self, name: str, data: Mapping[str, bytes], labels: Mapping[str, str] | None = None, kind: str = "Opaque"
    ) -> None:
        """Apply a Secret with `data` in the release's namespace."""
        encoded = {key: base64.b64encode(value).decode("ascii") for key, value in data.items()}
        body = _object("v1", "Secret", name, labels) | {"type": kind, "data": encoded}
        self._api.apply(self._core("secrets", name), body)

    def stand_for_cups(self, name: str, host: str, port: int) -> None:
        """Create a ready Pod that stands for a CUPS process, so that the operator finds its internal port there."""
        labels = {"app.kubernetes.io/name": "stationkeeper", "app.kubernetes.io/component": "cups"}
        container = {"name": "cups", "image": "none", "ports": [{"name": "internal", "containerPort": port}]}
        path = self._core("pods", name)
        self._api.apply(path, _object("v1", "Pod", name, labels) | {"spec": {"containers": [container]}})
        conditions = [{"type": "Ready", "status": "True"}]
        status = {"phase": "Running", "podIP": host, "podIPs": [{"ip": host}], "conditions": conditions}
        self._api.merge(f"{path}/status", {"status": status})

    def status(self, kind: str, name: str) -> dict[str, Any]:
        """Return the status of a TrustedCA or Gateway; empty if it has none."""
        return dict(self._api.get(self._resource(kind, name)).get("status", {}))

    def apply(self, kind: str, name: str, spec: Mapping[str, Any]) -> None:
        """Apply a TrustedCA or Gateway with `spec` in the release's namespace."""
        self._api.apply(self._resource(kind, name), _object(_API_VERSION, kind, name) | {"spec": dict(spec)})

    def delete(self, kind: str, name: str) -> None:
        """Delete a TrustedCA or Gateway of the release's namespace."""
        self._api.delete(self._resource(kind, name))

    def condition(self, kind: str, name: str, condition: str) -> dict[str, Any] | None:
        """Return a condition of a TrustedCA or Gateway, None if there is none for the present spec."""
        found = self._api.get(self._resource(kind, name))
        for each in found.get("status", {}).get("conditions", []):
            if each["type"] == condition and each.get("observedGeneration") == found["metadata"]["generation"]:
                return dict(each)
        return None

    def wait_ready(self, kind: str, name: str, condition: str = "Ready") -> None:
        """Wait until a TrustedCA or Gateway is Ready, or until another condition is True.

        Raises:
            ConditionTimeoutError: it did not; the message has the condition.
        """

        def holds() -> bool:
            found = self.condition(kind, name, condition)
            return found is not None and found["status"] == "True"

        try:
            wait_until(holds, f"{kind} {name} is {condition}")
        except ConditionTimeoutError as error:
            raise ConditionTimeoutError(f"{error}: {self.condition(kind, name, condition)}") from None

    def _is_established(self, path: str) -> bool:
        conditions = self._api.get(path).get("status", {}).get("conditions") or []
        return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)

    def _is_served(self, plural: str) -> bool:
        """Ask for the resources: only the first request for them makes the API server prepare their storage."""
        return self._api.answer("GET", f"/apis/{_API_VERSION}/{plural}?limit=1").status == http.client.OK

    def _grant(self, kind: str, account: str, role: str, rules: object) -> None:
        name = f"stationkeeper-{role}"
        api_path = f"{_RBAC}/namespaces/{self._namespace}" if kind == "Role" else _RBAC
        api_version = _RBAC.removeprefix("/apis/")
        plural = f"{kind.lower()}s"
        self._api.apply(f"{api_path}/{plural}/{name}", _object(api_version, kind, name) | {"rules": rules})
        binding = _object(api_version, f"{kind}Binding", name) | {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": self._namespace}],
        }
        self._api.apply(f"{api_path}/{kind.lower()}bindings/{name}", binding)

    def _core(self, plural: str, name: str) -> str:
        return f"/api/v1/namespaces/{self._namespace}/{plural}/{name}"

    def _resource(self, kind: str, name: str) -> str:
        return f"/apis/{_API_VERSION}/namespaces/{self._namespace}/{_PLURALS[kind]}/{name}"


def _object(api_version: str, kind: str, name: str, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": dict(labels or {})}}
