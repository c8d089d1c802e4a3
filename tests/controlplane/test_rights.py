"""The rights of the two ServiceAccounts: every verb on every resource is tried, and all others are refused."""

import base64
import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from stationkeeper_core.published.documents import DOCUMENTS, secret_name
from stationkeeper_core.published.registry_layout import BUCKET_COUNTS, layout_of
from stationkeeper_tools.api_client import ApiClient, RequestError
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.programs.binaries import ControlPlaneBinaries
from tests.contract.chart import CASES, CHART, RefusedValuesError, Values, render, run_helm

pytestmark = pytest.mark.usefixtures("helm")

RELEASE, TEAM, ELSEWHERE = "rights-release", "rights-team", "rights-elsewhere"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
# Verbs that are no requests themselves but allow other requests; the API server lists few of their resources.
POWERS = (
    *(("impersonate", "", kind) for kind in ("users", "groups", "serviceaccounts")),
    *(("impersonate", "authentication.k8s.io", kind) for kind in ("uids", "userextras/scopes")),
    *((verb, "rbac.authorization.k8s.io", kind) for verb in ("bind", "escalate") for kind in ("roles", "clusterroles")),
    *((verb, "certificates.k8s.io", "signers") for verb in ("sign", "approve", "attest")),
    ("*", "*", "*"),
)
PUBLISHED = (
    *(secret_name(document) for document in DOCUMENTS),
    # Some documents of each other count: pods read them while the count changes.
    *(secret_name(layout_of(count).registry[place]) for count in BUCKET_COUNTS[1:] for place in (0, -1)),
)
UNKNOWN = ("stationkeeper-registry-16", "stationkeeper-registry-48-00", "stationkeeper-registry-64-64")
NO_SECRET_OF_OURS = "stationkeeper-server-tls"
SHOWN_KINDS = ("trustedcas", "gateways")
SHARED = ("stationkeeper-internal-token", "stationkeeper-operator-key")

# The rights for objects of any name, as "verb group/resource".
ANYWHERE_SERVED = {
    *(
        f"{verb} stationkeeper.io/{kind}"
        for verb in ("list", "watch")
        for kind in ("trustedcas", "gateways", "gatewaydefaults")
    ),
    *(f"patch stationkeeper.io/{kind}/status" for kind in ("trustedcas", "gateways", "gatewaydefaults")),
    *(f"{verb} /{kind}" for verb in ("get", "list", "watch") for kind in ("secrets", "configmaps")),
    "create /events",
}
IN_THE_RELEASE = {"create coordination.k8s.io/leases", "list /pods", "create /events"}


class Cluster:
    """A cluster, as its administrator sees it."""

    def __init__(self, running: ControlPlane) -> None:
        self.control_plane = running
        self.kubeconfig = running.admin_kubeconfig
        self.api = ApiClient(self.kubeconfig)
        self.of_everybody: set[str] = set()
        content = yaml.safe_load(self.kubeconfig.read_text())
        server = content["clusters"][0]["cluster"]
        authority = base64.b64decode(server["certificate-authority-data"]).decode()
        self._authorization = f"Bearer {content['users'][0]['user']['token']}"
        # One connection for all: thousands of questions are asked.
        self._connection = http.client.HTTPSConnection(
            urlsplit(server["server"]).netloc, timeout=60, context=ssl.create_default_context(cadata=authority)
        )

    def close(self) -> None:
        """Close the connection; the next request opens another one. The API server closes one that is idle for long."""
        self._connection.close()

    def resources(self) -> Iterator[tuple[str, str]]:
        """Return group and name of each resource of the API server, with subresources."""
        groups = [f"/apis/{each['preferredVersion']['groupVersion']}" for each in self.api.get("/apis")["groups"]]
        for path in ("/api/v1", *groups):
            for each in self.api.get(path)["resources"]:
                yield path.removeprefix("/apis/").partition("/")[0] if path != "/api/v1" else "", each["name"]

    def may(self, account: str, namespace: str, verb: str, group: str, resource: str, name: str = "") -> bool:
        kind, _, subresource = resource.partition("/")
        attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": kind, "name": name}
        user = f"system:serviceaccount:{RELEASE}:stationkeeper-{account}"
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{RELEASE}", "system:authenticated"]
        spec = {"user": user, "groups": groups, "resourceAttributes": {**attributes, "subresource": subresource}}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        headers = {"Authorization": self._authorization, "Content-Type": "application/json"}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        self._connection.request("POST", path, json.dumps(body), headers)
        answer = json.load(self._connection.getresponse())
        return bool(answer["status"]["allowed"])

    def allowed(self, account: str, namespace: str) -> set[str]:
        self.close()
        return {
            f"{verb} {group}/{resource}"
            for group, resource in self.resources()
            for verb in VERBS
            if self.may(account, namespace, verb, group, resource)
        } - self.of_everybody


@pytest.fixture(scope="module")
def cluster(
    control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    with ControlPlane(control_plane_binaries, tmp_path_factory.mktemp("rights")) as running:
        found = Cluster(running)
        for name in (RELEASE, TEAM, ELSEWHERE):
            found.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
        # The rights that Kubernetes gives every ServiceAccount, such as to ask for its own rights.
        found.of_everybody = found.allowed("operator", RELEASE)
        yield found
        found.close()


class Installation:
    """The release of the chart; it stays for the next test if that needs the same values."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._is_there = False
        self._values: tuple[str, ...] | None = None

    def __call__(self, *values: str) -> None:
        """Install the chart with these values, unless it is installed with them."""
        if values != self._values:
            self.remove()
            self._is_there = True
            self._helm("install", *values)
            self._values = values
        self._cluster.close()

    def upgrade(self, *values: str) -> None:
        """Upgrade the release; the next test installs it again."""
        self._values = None
        self._helm("upgrade", *values)

    def remove(self) -> None:
        """Uninstall the release, if it is there."""
        if self._is_there:
            run_helm("uninstall", "stationkeeper", *self._where)
        self._is_there, self._values = False, None

    @property
    def _where(self) -> tuple[str | Path, ...]:
        return "--namespace", RELEASE, "--kubeconfig", self._cluster.kubeconfig

    def _helm(self, what: str, *values: str) -> None:
        chosen = [argument for each in values for argument in ("--set", each)]
        run_helm(what, "stationkeeper", CHART, *self._where, *chosen)


@pytest.fixture(scope="module")
def install(cluster: Cluster) -> Iterator[Installation]:
    made = Installation(cluster)
    yield made
    made.remove()


def test_the_operator_may_do_what_it_needs_and_nothing_else(cluster: Cluster, install: Installation) -> None:
    install("watchNamespaces={rights-team}")
    assert cluster.allowed("operator", RELEASE) == IN_THE_RELEASE
    assert cluster.allowed("operator", TEAM) == ANYWHERE_SERVED
    assert cluster.allowed("operator", ELSEWHERE) == set()


def test_an_operator_of_all_namespaces_may_do_no_more_in_each(cluster: Cluster, install: Installation) -> None:
    install("watchAllNamespaces=true")
    assert cluster.allowed("operator", RELEASE) == IN_THE_RELEASE | ANYWHERE_SERVED
    assert cluster.allowed("operator", ELSEWHERE) == ANYWHERE_SERVED


def test_by_default_the_operator_may_do_nothing_outside_of_its_namespace(
    cluster: Cluster, install: Installation
) -> None:
    install()
    assert cluster.allowed("operator", RELEASE) == IN_THE_RELEASE | ANYWHERE_SERVED
    for namespace in (TEAM, ELSEWHERE, "kube-system"):
        assert cluster.allowed("operator", namespace) == set()


def test_namespaces_can_be_chosen_by_a_label(cluster: Cluster, install: Installation) -> None:
    cluster.api.merge(f"/api/v1/namespaces/{TEAM}", {"metadata": {"labels": {"gateways": "served"}}})
    install("watchNamespacesWithLabels.gateways=served")
    assert cluster.allowed("operator", TEAM) == ANYWHERE_SERVED
    assert cluster.allowed("operator", RELEASE) == IN_THE_RELEASE
    assert cluster.allowed("operator", ELSEWHERE) == set()


def test_an_upgrade_does_not_leave_namespaces_that_were_served_without_a_word(
    cluster: Cluster, install: Installation
) -> None:
    install("watchAllNamespaces=true")
    with pytest.raises(RefusedValuesError, match="serves all namespaces"):
        install.upgrade("logLevel=DEBUG")
    install.upgrade("watchNamespaces={rights-team}")
    assert cluster.allowed("operator", ELSEWHERE) == set()
    install.upgrade("watchNamespaces={rights-team}")


def test_in_its_namespace_the_operator_reads_and_changes_the_published_secrets_and_its_lease_by_name(
    cluster: Cluster, install: Installation
) -> None:
    install("watchNamespaces={rights-team}")

    def verbs(group: str, resource: str, name: str) -> set[str]:
        return {verb for verb in VERBS if cluster.may("operator", RELEASE, verb, group, resource, name)}

    for name in PUBLISHED:
        assert verbs("", "secrets", name) == {"get", "patch"}
    for name in (NO_SECRET_OF_OURS, *SHARED, *UNKNOWN):
        assert verbs("", "secrets", name) == set()
    assert verbs("coordination.k8s.io", "leases", "stationkeeper-operator") == {"get", "update", "create"}
    assert verbs("coordination.k8s.io", "leases", "another") == {"create"}
    for name in PUBLISHED:
        assert not cluster.may("operator", TEAM, "patch", "", "secrets", name)


@pytest.mark.parametrize("account", ["operator", "cups", "page"])
@pytest.mark.parametrize("served", ["watchAllNamespaces=true", "watchNamespaces={rights-team}"])
def test_no_account_may_escalate_its_rights(cluster: Cluster, install: Installation, account: str, served: str) -> None:
    install(served, "cups.source=watch", "page.enabled=true", "page.token.existingSecret=page-token")
    for namespace in (RELEASE, TEAM, ""):
        assert [power for power in POWERS if cluster.may(account, namespace, *power)] == []


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_the_roles_name_just_what_these_tests_try(cluster: Cluster, values: Values) -> None:
    known = {f"{group}/{resource}" for group, resource in cluster.resources()} | {
        f"stationkeeper.io/{kind}{of}"
        for kind in ("trustedcas", "gateways", "gatewaydefaults")
        for of in ("", "/status")
    }
    rules = [rule for each in render(values) if each["kind"] in {"Role", "ClusterRole"} for rule in each["rules"]]
    assert rules
    assert {key for rule in rules for key in rule} <= {"apiGroups", "resources", "resourceNames", "verbs"}
    assert {verb for rule in rules for verb in rule["verbs"]} <= set(VERBS)
    named = {f"{group}/{kind}" for rule in rules for group in rule["apiGroups"] for kind in rule["resources"]}
    assert named <= known


def test_the_page_may_read_two_kinds_where_the_operator_serves_and_nothing_else(
    cluster: Cluster, install: Installation
) -> None:
    install("watchNamespaces={rights-team}", "page.enabled=true", "page.token.existingSecret=page-token")
    reading = {f"{verb} stationkeeper.io/{kind}" for verb in ("get", "list", "watch") for kind in SHOWN_KINDS}
    assert cluster.allowed("page", TEAM) == reading
    for namespace in (RELEASE, ELSEWHERE):
        assert cluster.allowed("page", namespace) == set()


@pytest.mark.parametrize("source", ["files", "watch"])
def test_cups_may_read_its_secrets_by_name_if_it_watches_and_nothing_else(
    cluster: Cluster, install: Installation, source: str
) -> None:
    install(f"cups.source={source}")
    assert cluster.allowed("cups", RELEASE) == set()
    for name in (*PUBLISHED, NO_SECRET_OF_OURS, *SHARED):
        allowed = {verb for verb in VERBS if cluster.may("cups", RELEASE, verb, "", "secrets", name)}
        is_read = source == "watch" and name not in SHARED
        assert allowed == ({"get", "list", "watch"} if is_read else set())


@pytest.mark.parametrize(
    ("refused", "body"),
    [
        ("secrets", {"type": "kubernetes.io/service-account-token", "metadata": {"name": "token"}}),
        ("secrets", {"metadata": {"name": "stationkeeper-trust-2"}}),
        ("pods", {"metadata": {"name": "mine"}, "spec": {"containers": [{"name": "a", "image": "b"}]}}),
        ("serviceaccounts/stationkeeper-cups/token", {"spec": {"expirationSeconds": 3600}}),
        ("configmaps", {"metadata": {"name": "mine"}}),
    ],
)
def test_a_stolen_token_of_the_operator_makes_nothing_that_runs_or_is_a_token(
    cluster: Cluster, install: Installation, tmp_path: Path, refused: str, body: dict[str, Any]
) -> None:
    install()
    stolen = cluster.control_plane.service_account_kubeconfig(RELEASE, "stationkeeper-operator", tmp_path / "stolen")
    thief = ApiClient(stolen)
    assert thief.items(f"/api/v1/namespaces/{RELEASE}/pods") == []
    with pytest.raises(RequestError) as refusal:
        thief.create(f"/api/v1/namespaces/{RELEASE}/{refused}", body)
    assert refusal.value.status == http.client.FORBIDDEN


@pytest.mark.parametrize("resource", ["pods/cups-0", "pods/cups-0/status", "pods/cups-0/ephemeralcontainers"])
def test_a_stolen_token_of_the_operator_changes_no_pod(
    cluster: Cluster, install: Installation, tmp_path: Path, resource: str
) -> None:
    install()
    stolen = cluster.control_plane.service_account_kubeconfig(RELEASE, "stationkeeper-operator", tmp_path / "stolen")
    with pytest.raises(RequestError) as refusal:
        ApiClient(stolen).merge(f"/api/v1/namespaces/{RELEASE}/{resource}", {"metadata": {"annotations": {"a": "b"}}})
    assert refusal.value.status == http.client.FORBIDDEN
