"""A release on a real API server for the operator's tests: namespaces, exactly the chart's rights, and processes."""

import base64
import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.published.documents import (
    DOCUMENTS,
    Published,
    RegisteredGateway,
    RegistryDocument,
    TrustDocument,
    decode,
    secret_name,
)
from stationkeeper_core.published.registry_layout import BUCKETS, layout_of
from stationkeeper_operator.observing.cups_pods import BUCKETS_LABEL
from stationkeeper_tools import shipped_manifests
from stationkeeper_tools.api_client import ApiClient
from stationkeeper_tools.local_cluster.cluster import Cluster
from stationkeeper_tools.ports import free_port
from tests.controlplane.operator_process import OperatorProcess
from tests.operator_key import make_operator_pair
from tests.waiting import EVENTUALLY, wait_for

_GROUP = "/apis/stationkeeper.io/v1alpha1"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_LEASES = "/apis/coordination.k8s.io/v1"
_PLURALS = {"TrustedCA": "trustedcas", "Gateway": "gateways", "GatewayDefaults": "gatewaydefaults"}
_ACCOUNT = "stationkeeper-operator"
_PUBLISHED = "labelSelector=app.kubernetes.io/component=documents"


class Release:
    """A release, as its administrator sees it.

    Args:
        kubeconfig: the administrator's.
        folder: for files.
        namespaced: serve only `self.team` and the release's namespace, with Roles instead of a ClusterRole.
        internal_token: the operator asks the CUPS pods with it; empty: it asks none.
    """

    def __init__(self, kubeconfig: Path, folder: Path, *, namespaced: bool = False, internal_token: str = "") -> None:
        self._folder = folder
        self._admin = kubeconfig
        self._namespaced = namespaced
        self.internal_token = internal_token
        self.operator_pair = make_operator_pair()
        self._api = ApiClient(kubeconfig, EVENTUALLY)
        tag = secrets.token_hex(3)
        self.namespace, self.team = f"release-{tag}", f"team-{tag}"
        self._processes: list[OperatorProcess] = []
        for namespace in (self.namespace, self.team):
            self._api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        for document in DOCUMENTS:
            self.create_document(document)
        self._grant()
        self._kubeconfig = self._operators_kubeconfig(kubeconfig)

    # -- the operator

    def start(self, identity: str = "", *, buckets: int = BUCKETS) -> OperatorProcess:
        """Start an operator of a release with `buckets` registry Secrets."""
        identity = identity or f"op-{secrets.token_hex(2)}"
        environment = self.environment(identity) | {"STATIONKEEPER_REGISTRY_BUCKETS": str(buckets)}
        process = OperatorProcess(environment, self._folder / f"{self.namespace}-{identity}.log")
        self._processes.append(process)
        return process

    def environment(self, identity: str) -> dict[str, str]:
        """Return the environment variables of an operator of that name."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("STATIONKEEPER_")},
            "STATIONKEEPER_NAMESPACE": self.namespace,
            "STATIONKEEPER_WATCH_NAMESPACES": f"{self.team},{self.namespace}" if self._namespaced else "",
            "STATIONKEEPER_IDENTITY": identity,
            "STATIONKEEPER_HEALTH_ADDRESS": f"127.0.0.1:{free_port()}",
            "KUBECONFIG": str(self._kubeconfig),
        }
        if self.internal_token:
            token = self._folder / f"{self.namespace}.internal-token"
            token.write_text(self.internal_token)
            environment["STATIONKEEPER_INTERNAL_TOKEN_FILE"] = str(token)
            key = self._folder / f"{self.namespace}.signing-key"
            key.write_bytes(self.operator_pair.key_pem)
            environment["STATIONKEEPER_SIGNING_KEY_FILE"] = str(key)
        return environment

    def start_leading(self, identity: str = "", seconds: float = EVENTUALLY) -> OperatorProcess:
        """Start an operator, and wait until it has published all documents."""
        process = self.start(identity)
        wait_for(lambda: self.holder() == process.identity, "the operator leads", seconds)
        wait_for(lambda: all(self.published(each) for each in DOCUMENTS), "all documents are published", seconds)
        return process

    def end_processes(self) -> None:
        """Stop the operators."""
        for process in self._processes:
            if process.is_running():
                process.end()

    def close(self) -> None:
        """Stop the operators and delete all resources."""
        self.end_processes()
        for namespace in (self.team, self.namespace):
            for plural in _PLURALS.values():
                self._api.delete(f"{_GROUP}/namespaces/{namespace}/{plural}")

    # -- what a user does

    def apply(self, kind: str, name: str, spec: Mapping[str, Any], namespace: str = "") -> None:
        body = {"apiVersion": "stationkeeper.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self._api.apply(self._resource_path(kind, name, namespace), body)

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        self._api.delete(self._resource_path(kind, name, namespace))

    def hold(self, kind: str, name: str, *finalizers: str) -> None:
        """Set the finalizers of a resource to exactly these."""
        self._api.merge(self._resource_path(kind, name, ""), {"metadata": {"finalizers": list(finalizers)}})

    def annotate(self, kind: str, name: str, namespace: str, annotation: str, value: str) -> None:
        body = {"metadata": {"annotations": {annotation: value}}}
        self._api.merge(self._resource_path(kind, name, namespace), body)

    def resource(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._api.get(self._resource_path(kind, name))
        return found

    def apply_secret(
        self,
        name: str,
        data: Mapping[str, str],
        *,
        labelled: bool = True,
        tls: bool = False,
        in_release: bool = False,
    ) -> None:
        """Apply a Secret with only these keys; `stringData` would keep its earlier keys."""
        labels = {"stationkeeper.io/credentials": "true"} if labelled else {}
        metadata = {"name": name, "labels": labels}
        kind = "kubernetes.io/tls" if tls else "Opaque"
        content = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": content}
        namespace = self.namespace if in_release else self.team
        self._api.apply(f"/api/v1/namespaces/{namespace}/secrets/{name}", body)

    def delete_secret(self, name: str) -> None:
        self._api.delete(f"/api/v1/namespaces/{self.team}/secrets/{name}")

    def apply_config_map(self, name: str, data: Mapping[str, str], binary: Mapping[str, bytes] | None = None) -> None:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": dict(data)}
        body["binaryData"] = {key: base64.b64encode(value).decode() for key, value in (binary or {}).items()}
        self._api.apply(f"/api/v1/namespaces/{self.team}/configmaps/{name}", body)

    def delete_config_map(self, name: str) -> None:
        self._api.delete(f"/api/v1/namespaces/{self.team}/configmaps/{name}")

    def create_document(self, document: str) -> None:
        """Create the Secret of a document without content, as the chart does."""
        metadata = {"name": secret_name(document), "labels": {"app.kubernetes.io/component": "documents"}}
        self._api.create(f"/api/v1/namespaces/{self.namespace}/secrets", {"metadata": metadata, "type": "Opaque"})

    def create_count(self, buckets: int) -> None:
        """Create the registry Secrets of another count, and give the operator the chart's rights for them."""
        names = [secret_name(document) for document in layout_of(buckets).registry]
        for document in layout_of(buckets).registry:
            self.create_document(document)
        rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "patch"], "resourceNames": names}
        self._bind(self.namespace, f"registry-{buckets}", [rule])

    def written(self, buckets: int) -> tuple[str, ...]:
        """Return the registry documents of a count whose Secrets have content."""
        return tuple(each for each in layout_of(buckets).registry if self.document_value(each) is not None)

    def delete_document(self, document: str) -> None:
        """Delete a published Secret."""
        self._api.delete(self._document_path(document))

    def overwrite_document(self, document: str, value: bytes) -> None:
        """Replace the content of a published Secret."""
        body = {"data": {document: base64.b64encode(value).decode()}}
        self._api.merge(self._document_path(document), body)

    def create_cups_pod(self, name: str, internal_port: int = 0, *, buckets: int = BUCKETS) -> None:
        """Create a Pod that stands for CUPS; with a port, it is ready and has the address of this machine."""
        if internal_port:
            Cluster(self._admin, self.namespace).stand_for_cups(name, "127.0.0.1", internal_port)
            labelled = {"metadata": {"labels": {BUCKETS_LABEL: str(buckets)}}}
            self._api.merge(f"/api/v1/namespaces/{self.namespace}/pods/{name}", labelled)
            return
        labels = {"app.kubernetes.io/name": "stationkeeper", "app.kubernetes.io/component": "cups"}
        spec = {"containers": [{"name": "cups", "image": "none"}]}
        body = {"metadata": {"name": name, "labels": labels}, "spec": spec}
        self._api.create(f"/api/v1/namespaces/{self.namespace}/pods", body)

    def delete_pod(self, name: str) -> None:
        """Delete a Pod at once."""
        self._api.delete(f"/api/v1/namespaces/{self.namespace}/pods/{name}?gracePeriodSeconds=0")

    def end_cups_pod(self, name: str) -> None:
        """Make a Pod terminate; a finalizer holds it until the release ends."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}"
        self._api.merge(path, {"metadata": {"finalizers": ["stationkeeper.io/test"]}})
        self._api.delete(path)

    # -- what can be seen

    def log(self) -> str:
        """Return the log of all its operators."""
        return "".join(each.log.read_text() for each in self._processes)

    def published(self, document: str) -> Published | None:
        """Return the document in force; None if its Secret or its content is missing or broken."""
        secret = self._api.find(self._document_path(document))
        if secret is None:
            return None
        try:
            return decode(document, base64.b64decode((secret.get("data") or {}).get(document, "")))
        except StationkeeperError:
            return None

    def trusted(self, *, everywhere: bool = False) -> set[str]:
        """Return `namespace/name` of the TrustedCAs in force, of this release's namespaces or of all."""
        found = self.published("trust")
        if found is None:
            return set()
        assert isinstance(found.content, TrustDocument)
        mine = {self.team, self.namespace}
        authorities = [each for each in found.content.authorities if everywhere or each.namespace in mine]
        return {f"{each.namespace}/{each.name}" for each in authorities}

    def registered(self) -> dict[str, RegisteredGateway]:
        """Return the gateways in force of `self.team`, by name."""
        gateways: dict[str, RegisteredGateway] = {}
        for document in DOCUMENTS[1:]:
            found = self.published(document)
            if found is not None:
                assert isinstance(found.content, RegistryDocument)
                gateways |= {each.name: each for each in found.content.gateways if each.namespace == self.team}
        return gateways

    def versions(self) -> dict[str, str]:
        """Return the resourceVersion of each published Secret."""
        return _versions(self._api.items(f"/api/v1/namespaces/{self.namespace}/secrets?{_PUBLISHED}"))

    def contents(self) -> dict[str, str]:
        """Return the content of each published Secret; a new leader marks the Secrets but keeps their content."""
        found = self._api.items(f"/api/v1/namespaces/{self.namespace}/secrets?{_PUBLISHED}")
        return {each["metadata"]["name"]: str(each.get("data")) for each in found}

    def everything(self, *, contents: bool = False) -> dict[str, str]:
        """Return the resourceVersions of everything that the operator writes, without the Lease.

        Args:
            contents: whether to return the contents of the Secrets instead of their versions.
        """
        secrets_held = self.contents() if contents else self.versions()
        found = {f"secrets/{name}": version for name, version in secrets_held.items()}
        paths = {plural: f"{_GROUP}/namespaces/{self.team}/{plural}" for plural in _PLURALS.values()}
        paths["events"] = f"/api/v1/namespaces/{self.team}/events"
        for plural, path in paths.items():
            found |= {f"{plural}/{name}": version for name, version in _versions(self._api.items(path)).items()}
        return found

    def condition(self, kind: str, name: str, condition: str) -> dict[str, Any] | None:
        """Return a condition if it is about the present spec."""
        found = self.resource(kind, name)
        for each in found.get("status", {}).get("conditions", []):
            if each["type"] == condition and each["observedGeneration"] == found["metadata"]["generation"]:
                return dict(each)
        return None

    def wait_reason(self, kind: str, name: str, reason: str) -> dict[str, Any]:
        """Return the condition `Accepted` when it has that reason."""

        def has_reason() -> dict[str, Any] | None:
            found = self.condition(kind, name, "Accepted")
            return found if found is not None and found["reason"] == reason else None

        return wait_for(has_reason, f"{kind} {name} has reason {reason}")

    def wait_ready(self, *names: str) -> None:
        """Wait until these resources (each `Kind/name`) are ready."""
        for each in names:
            kind, name = each.split("/")
            wait_for(partial(self._is_ready, kind, name), f"{each} is ready")

    def pod_events(self, name: str) -> list[str]:
        """Return the reasons of the events about a Pod."""
        selector = f"fieldSelector=involvedObject.name={name}"
        return [each["reason"] for each in self._api.items(f"/api/v1/namespaces/{self.namespace}/events?{selector}")]

    def document_value(self, document: str) -> bytes | None:
        """Return the content of the document's Secret; None if it has none."""
        secret = self._api.find(self._document_path(document))
        content = (secret or {}).get("data", {}).get(document)
        return None if content is None else base64.b64decode(content)

    def events(self, name: str) -> list[tuple[str, str]]:
        """Return type and reason of the events about a resource."""
        selector = f"fieldSelector=involvedObject.name={name}"
        listed = self._api.items(f"/api/v1/namespaces/{self.team}/events?{selector}")
        return [(each["type"], each["reason"]) for each in listed]

    def holder(self) -> str:
        """Return the holder of the Lease; empty if nobody holds it."""
        lease = self._lease()
        return "" if lease is None else str(lease["spec"]["holderIdentity"])

    def give_up_lease(self) -> None:
        """Release the Lease of an operator that has died, as time does."""
        self._api.delete(f"{_LEASES}/namespaces/{self.namespace}/leases/stationkeeper-operator")

    def secret_contents(self) -> dict[str, Any]:
        """Return the content of each published Secret, by its name."""
        found = self._api.get(f"/api/v1/namespaces/{self.namespace}/secrets?{_PUBLISHED}")
        return {each["metadata"]["name"]: each.get("data") for each in found["items"]}

    def lease_version(self) -> str:
        lease = self._lease()
        return "" if lease is None else str(lease["metadata"]["resourceVersion"])

    def clock_of_api_server(self) -> str:
        """Return the time of the API server, as it writes it into new objects."""
        body = {"metadata": {"generateName": "clock-"}}
        made = self._api.create(f"/api/v1/namespaces/{self.team}/configmaps?dryRun=All", body)
        return str(made["metadata"]["creationTimestamp"])

    def _is_ready(self, kind: str, name: str) -> bool:
        found = self.condition(kind, name, "Ready")
        return found is not None and found["status"] == "True"

    def _lease(self) -> Any:
        return self._api.find(f"{_LEASES}/namespaces/{self.namespace}/leases/stationkeeper-operator")

    def _resource_path(self, kind: str, name: str, namespace: str = "") -> str:
        return f"{_GROUP}/namespaces/{namespace or self.team}/{_PLURALS[kind]}/{name}"

    def _document_path(self, document: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/secrets/{secret_name(document)}"

    # -- rights

    def _grant(self) -> None:
        accounts = f"/api/v1/namespaces/{self.namespace}/serviceaccounts"
        self._api.create(accounts, {"metadata": {"name": _ACCOUNT}})
        rules = {path.stem: shipped_manifests.load(path)[0] for path in shipped_manifests.rbac_files()}
        self._bind(self.namespace, "operator-release", rules["operator-release"])
        for namespace in (self.namespace, self.team) if self._namespaced else (None,):
            self._bind(namespace, f"{self.namespace}-resources", rules["operator-resources"])

    def _bind(self, namespace: str | None, name: str, rules: Any) -> None:
        path = f"{_RBAC}/namespaces/{namespace}/role" if namespace else f"{_RBAC}/clusterrole"
        kind = "Role" if namespace else "ClusterRole"
        metadata = {"metadata": {"name": name}}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        subjects = [{"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": self.namespace}]
        self._api.create(f"{path}s", {**metadata, "rules": rules})
        self._api.create(f"{path}bindings", {**metadata, "roleRef": reference, "subjects": subjects})

    def _operators_kubeconfig(self, admin: Path) -> Path:
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{_ACCOUNT}/token"
        token = self._folder / f"{self.namespace}.token"
        token.write_text(self._api.create(path, {"spec": {"expirationSeconds": 3600}})["status"]["token"])
        content = yaml.safe_load(admin.read_text())
        content["users"][0]["user"] = {"tokenFile": str(token)}
        kubeconfig = self._folder / f"{self.namespace}.kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(content))
        return kubeconfig


@contextlib.contextmanager
def release(kubeconfig: Path, folder: Path, *, namespaced: bool = False, internal_token: str = "") -> Iterator[Release]:
    """Yield a release that is removed at the end."""
    made = Release(kubeconfig, folder, namespaced=namespaced, internal_token=internal_token)
    try:
        yield made
    finally:
        made.close()


def _versions(objects: list[Any]) -> dict[str, str]:
    return {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in objects}
