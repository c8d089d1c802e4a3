"""What the demo and the tests do on a cluster as its administrator: install, apply, wait."""

import base64
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kubernetes import client, config

from stationkeeper_tools import manifests

GROUP, VERSION = "stationkeeper.io", "v1alpha1"
OPERATOR, CUPS = "stationkeeper-operator", "stationkeeper-cups"
CREDENTIALS_LABEL = "stationkeeper.io/credentials"

_KINDS = {"TrustedCA": "trustedcas", "Gateway": "gateways"}
_CONFLICT, _NOT_FOUND = 409, 404


class ConditionTimeoutError(TimeoutError):
    """Something did not come true in time; the message says what."""


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> float:
    """Waits for `condition`, and tells how many seconds that took.

    Raises:
        ConditionTimeoutError: it did not come true within `seconds`.
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
        self.namespace = namespace
        api = config.new_client_from_config(str(kubeconfig))
        self._core = client.CoreV1Api(api)
        self._rbac = client.RbacAuthorizationV1Api(api)
        self._extensions = client.ApiextensionsV1Api(api)
        self._custom = client.CustomObjectsApi(api)

    def install_crds(self) -> None:
        """Creates the CustomResourceDefinitions and waits until they are served."""
        names = []
        for path in manifests.crd_files():
            for definition in manifests.load(path):
                _unless_there(lambda body=definition: self._extensions.create_custom_resource_definition(body))
                names.append(definition["metadata"]["name"])
        for name in names:
            wait_until(lambda name=name: self._is_established(name), f"the definition {name} is established")

    def install_release(self) -> None:
        """Creates the namespace, the two ServiceAccounts, and the rights that the chart gives them."""
        _unless_there(lambda: self._core.create_namespace({"metadata": {"name": self.namespace}}))
        for account in (OPERATOR, CUPS):
            body = {"metadata": {"name": account}}
            _unless_there(lambda body=body: self._core.create_namespaced_service_account(self.namespace, body))
        rules = {path.stem: manifests.load(path) for path in manifests.rbac_files()}
        self._bind_everywhere(OPERATOR, rules["operator-resources"][0])
        self._bind_in_release(OPERATOR, "operator-release", rules["operator-release"][0])
        self._bind_in_release(CUPS, "cups-release", rules["cups-release"][0])

    def apply_secret(
        self, name: str, data: Mapping[str, bytes], labels: Mapping[str, str] | None = None, kind: str = "Opaque"
    ) -> None:
        """Creates or replaces a Secret in the release's namespace."""
        body = {
            "metadata": {"name": name, "labels": dict(labels or {})},
            "type": kind,
            "data": {key: base64.b64encode(value).decode("ascii") for key, value in data.items()},
        }
        try:
            self._core.create_namespaced_secret(self.namespace, body)
        except client.ApiException as error:
            if error.status != _CONFLICT:
                raise
            self._core.replace_namespaced_secret(name, self.namespace, body)

    def apply(self, kind: str, name: str, spec: Mapping[str, Any]) -> None:
        """Creates or changes a TrustedCA or Gateway in the release's namespace."""
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        where = (GROUP, VERSION, self.namespace, _KINDS[kind])
        try:
            self._custom.create_namespaced_custom_object(*where, body)
        except client.ApiException as error:
            if error.status != _CONFLICT:
                raise
            self._custom.patch_namespaced_custom_object(*where, name, body)

    def delete(self, kind: str, name: str) -> None:
        """Deletes a TrustedCA or Gateway of the release's namespace."""
        self._custom.delete_namespaced_custom_object(GROUP, VERSION, self.namespace, _KINDS[kind], name)

    def condition(self, kind: str, name: str, condition: str) -> dict[str, Any] | None:
        """A condition of a TrustedCA or Gateway, if it is about the present spec."""
        found = self._custom.get_namespaced_custom_object(GROUP, VERSION, self.namespace, _KINDS[kind], name)
        for each in found.get("status", {}).get("conditions", []):
            if each["type"] == condition and each.get("observedGeneration") == found["metadata"]["generation"]:
                return dict(each)
        return None

    def wait_ready(self, kind: str, name: str) -> None:
        """Waits until a TrustedCA or Gateway is Ready.

        Raises:
            ConditionTimeoutError: it was not; the message has the condition.
        """

        def ready() -> bool:
            found = self.condition(kind, name, "Ready")
            return found is not None and found["status"] == "True"

        try:
            wait_until(ready, f"{kind} {name} is Ready")
        except ConditionTimeoutError as error:
            raise ConditionTimeoutError(f"{error}: {self.condition(kind, name, 'Ready')}") from None

    def _is_established(self, name: str) -> bool:
        found = self._extensions.read_custom_resource_definition(name)
        conditions = found.status.conditions or [] if found.status else []
        return any(each.type == "Established" and each.status == "True" for each in conditions)

    def _bind_everywhere(self, account: str, rules: object) -> None:
        name = f"{account}-resources"
        role = {"metadata": {"name": name}, "rules": rules}
        _unless_there(lambda: self._rbac.create_cluster_role(role))
        binding = self._binding(account, "ClusterRole", name)
        _unless_there(lambda: self._rbac.create_cluster_role_binding(binding))

    def _bind_in_release(self, account: str, name: str, rules: object) -> None:
        role = {"metadata": {"name": name}, "rules": rules}
        _unless_there(lambda: self._rbac.create_namespaced_role(self.namespace, role))
        binding = self._binding(account, "Role", name)
        _unless_there(lambda: self._rbac.create_namespaced_role_binding(self.namespace, binding))

    def _binding(self, account: str, kind: str, role: str) -> dict[str, Any]:
        return {
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": self.namespace}],
        }


def _unless_there(create: Callable[[], object]) -> None:
    try:
        create()
    except client.ApiException as error:
        if error.status != _CONFLICT:
            raise
