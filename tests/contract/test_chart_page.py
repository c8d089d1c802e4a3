"""The chart gives the page the rights to read two kinds, a way to authenticate people, and nothing else."""

from typing import Any

import pytest
import yaml

from stationkeeper_tools.commands.page_command import command
from tests.contract.chart import CASES, CHART, NAMESPACE, PAGE_PROXY, Manifest, pod_template, render, the
from tests.contract.test_chart import container, volumes

pytestmark = pytest.mark.usefixtures("helm")

ROLE = f"stationkeeper-page-resources-{NAMESPACE}"
RULES: list[Any] = yaml.safe_load((CHART / "rbac/page-resources.yaml").read_text())
WITH_PAGE = {name: values for name, values in CASES.items() if values.get("page", {}).get("enabled")}
TOKEN = {"enabled": True, "token": {"existingSecret": "page-token"}}


def options(manifests: list[Manifest]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in container(manifests, "page")["args"]:
        name, _, value = each.partition("=")
        found.setdefault(name, []).append(value)
    return found


def test_the_page_is_off_by_default() -> None:
    for values in CASES.values():
        parts = [each for each in render(values) if "page" in each["metadata"]["name"] and each["kind"] != "ConfigMap"]
        assert bool(parts) == bool(values.get("page", {}).get("enabled"))


def test_the_page_may_read_two_kinds_where_the_operator_serves_and_nothing_else() -> None:
    assert RULES == [
        {"apiGroups": ["stationkeeper.io"], "resources": ["trustedcas", "gateways"], "verbs": ["get", "list", "watch"]}
    ]
    for values in WITH_PAGE.values():
        manifests = render(values)
        account = pod_template(manifests, "page")["spec"]["serviceAccountName"]
        bound = [
            each["roleRef"]["name"]
            for each in manifests
            if each["kind"].endswith("RoleBinding") and each["subjects"][0]["name"] == account
        ]
        served = values.get("watchNamespaces") or [NAMESPACE]
        assert len(bound) == len(served)
        for namespace in served:
            assert [each["rules"] for each in manifests if _is(each, "Role", bound[0], namespace)] == [RULES]
        assert options(manifests)["--namespace"] == sorted(served)


def _is(manifest: Manifest, kind: str, name: str, namespace: str) -> bool:
    metadata = manifest["metadata"]
    return (manifest["kind"], metadata["name"], metadata.get("namespace")) == (kind, name, namespace)


def test_for_all_namespaces_the_page_has_its_rules_cluster_wide() -> None:
    manifests = render({"watchAllNamespaces": True, "page": TOKEN})
    assert the(manifests, "ClusterRole", ROLE, None)["rules"] == RULES
    assert "--namespace" not in options(manifests)


def test_the_page_has_an_account_of_its_own() -> None:
    manifests = render({"page": TOKEN})
    assert the(manifests, "ServiceAccount", "stationkeeper-page")["automountServiceAccountToken"] is False
    assert pod_template(manifests, "page")["spec"]["serviceAccountName"] == "stationkeeper-page"


@pytest.mark.parametrize("values", WITH_PAGE.values(), ids=WITH_PAGE)
def test_the_page_takes_the_options_that_it_is_given(values: dict[str, Any]) -> None:
    known = {name for each in command.params for name in each.opts}
    found = container(render(values), "page")
    assert found["command"] == ["/opt/stationkeeper/bin/stationkeeper", "page"]
    assert set(options(render(values))) <= known


def test_the_secrets_of_the_page_are_mounted_where_it_reads_them() -> None:
    manifests = render(CASES["everything"])
    mounts = {each["name"]: each["mountPath"] for each in container(manifests, "page")["volumeMounts"]}
    mounted = volumes(manifests, "page")
    given = options(manifests)
    for option, volume, secret, key in (
        ("--token-file", "page-token", "page-token", "token"),
        ("--proxy-secret-file", "page-proxy", "page-proxy", "secret"),
        ("--tls-cert", "page-tls", "page-tls", "tls.crt"),
        ("--tls-key", "page-tls", "page-tls", "tls.key"),
    ):
        assert given[option] == [f"{mounts[volume]}/{key}"]
        assert mounted[volume]["secret"]["secretName"] == secret
    assert given["--proxy-user-header"] == [PAGE_PROXY["userHeader"]]
    assert given["--proxy-cidrs"] == ["10.0.3.0/24,2001:db8::/56"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container(manifests, "page")[probe]["httpGet"]["scheme"] == "HTTPS"


def test_without_tls_and_a_proxy_their_options_are_absent() -> None:
    manifests = render({"page": TOKEN})
    assert set(options(manifests)) == {"--listen", "--check-ins", "--log-level", "--namespace", "--token-file"}
    assert volumes(manifests, "page").keys() == {"tmp", "page-token"}
    assert container(manifests, "page")["livenessProbe"]["httpGet"]["scheme"] == "HTTP"


@pytest.mark.parametrize("values", WITH_PAGE.values(), ids=WITH_PAGE)
def test_the_page_s_pods_keep_to_the_restricted_standard(values: dict[str, Any]) -> None:
    pod, found = pod_template(render(values), "page")["spec"], container(render(values), "page")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert found["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert found["resources"]["limits"]["memory"]


def test_in_a_closed_network_the_page_s_proxies_reach_it_and_it_reaches_the_api_server() -> None:
    policy = the(render(CASES["page in a closed network"]), "NetworkPolicy", "stationkeeper-page")["spec"]
    (ingress,) = policy["ingress"]
    assert ingress["ports"] == [{"port": "page"}]
    assert [each["ipBlock"]["cidr"] for each in ingress["from"]] == PAGE_PROXY["trustedCIDRs"]
    assert policy["egress"] == [{"ports": [{"port": 443}, {"port": 6443}]}]
    named = {"page": TOKEN, "networkPolicy": {"enabled": True, "pageFrom": [{"podSelector": {}}]}}
    (ingress,) = the(render(named), "NetworkPolicy", "stationkeeper-page")["spec"]["ingress"]
    assert ingress["from"] == [{"podSelector": {}}]


def test_the_page_s_service_leads_to_its_port() -> None:
    manifests = render(CASES["everything"])
    spec = the(manifests, "Service", "sk-page")["spec"]
    assert spec["ports"] == [{"name": "page", "port": 443, "targetPort": "page", "appProtocol": "https"}]
    assert spec["selector"].items() <= pod_template(manifests, "page")["metadata"]["labels"].items()


def test_variables_and_volumes_of_the_page_can_be_added_and_two_pods_have_a_budget() -> None:
    manifests = render(CASES["everything"])
    assert container(manifests, "page")["env"] == [{"name": "EXTRA", "value": "yes"}]
    assert volumes(manifests, "page")["more"] == {"name": "more", "emptyDir": {}}
    assert the(manifests, "PodDisruptionBudget", "sk-page")
