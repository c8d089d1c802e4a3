import json
import re
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from stationkeeper_core.published.documents import DOCUMENTS, secret_name
from stationkeeper_core.published.registry_layout import BUCKET_COUNTS, layout_of
from stationkeeper_operator.observing.cups_pods import BUCKETS_LABEL
from tests.contract.chart import (
    CASES,
    CHART,
    NAMESPACE,
    Manifest,
    Values,
    pod_template,
    render,
    run_helm,
    the,
)

pytestmark = pytest.mark.usefixtures("helm")

ROOT = CHART.parents[1]
RESOURCES_ROLE = f"stationkeeper-operator-resources-{NAMESPACE}"


def rules(name: str) -> list[Any]:
    """Return the rules in the file of that name, and the same rules for the registry Secrets of the other counts."""
    found: list[Any] = yaml.safe_load((CHART / "rbac" / f"{name}.yaml").read_text())
    published = next((each for each in found if "stationkeeper-trust" in each.get("resourceNames", ())), None)
    others = [secret_name(each) for count in BUCKET_COUNTS[1:] for each in layout_of(count).registry]
    return [*found, {**published, "resourceNames": others}] if published is not None else found


def kinds(manifests: list[Manifest]) -> set[str]:
    return {manifest["kind"] for manifest in manifests}


def volumes(manifests: list[Manifest], component: str) -> dict[str, Any]:
    return {each["name"]: each for each in pod_template(manifests, component)["spec"]["volumes"]}


def environment(manifests: list[Manifest], component: str) -> dict[str, Any]:
    (container,) = pod_template(manifests, component)["spec"]["containers"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def container(manifests: list[Manifest], component: str) -> dict[str, Any]:
    (found,) = pod_template(manifests, component)["spec"]["containers"]
    return dict(found)


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_helm_lint_finds_nothing(values: Values, tmp_path: Path) -> None:
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    assert "0 chart(s) failed" in run_helm("lint", "--strict", "--values", file, CHART)


def test_the_package_holds_the_definitions_that_the_chart_links_to_and_its_readme(tmp_path: Path) -> None:
    run_helm("package", CHART, "--destination", tmp_path)
    (archive,) = tmp_path.glob("stationkeeper-*.tgz")
    with tarfile.open(archive) as package:
        files = {member.name: member for member in package.getmembers()}
        assert "stationkeeper/README.md" in files
        for path in (ROOT / "crds").glob("*.yaml"):
            packed = package.extractfile(files[f"stationkeeper/definitions/{path.name}"])
            assert packed is not None
            assert packed.read() == path.read_bytes()
    assert (CHART / "definitions").readlink() == Path("../../crds")


def definitions(values: Values) -> list[Manifest]:
    return [each for each in render(values) if each["kind"] == "CustomResourceDefinition"]


def test_the_definitions_are_those_of_the_project_and_are_kept() -> None:
    written = [yaml.load(path.read_text(), yaml.CSafeLoader) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    assert [each["spec"] for each in definitions({})] == [each["spec"] for each in written]
    for each in definitions({}):
        assert each["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_the_definitions_can_be_left_out_or_go_with_the_release() -> None:
    assert definitions({"crds": {"install": False}}) == []
    for each in definitions({"crds": {"keep": False}}):
        assert "helm.sh/resource-policy" not in each["metadata"].get("annotations", {})


def test_chart_package_and_images_have_one_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    containerfile = (ROOT / "Containerfile").read_text()
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == version
    assert f"ARG VERSION={version}\n" in containerfile
    assert container(render({}), "cups")["image"] == f"stationkeeper-cups:{version}"


def test_the_images_run_as_the_user_that_the_pods_ask_for() -> None:
    users = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    for component in ("operator", "cups"):
        context = pod_template(render({}), component)["spec"]["securityContext"]
        assert users == [(str(context["runAsUser"]), str(context["runAsGroup"]))]


@pytest.mark.parametrize("component", ["operator", "cups"])
def test_the_entry_points_of_the_images_are_those_of_the_package(component: str) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert f"stationkeeper-{component}" in scripts
    assert f'ENTRYPOINT ["/opt/stationkeeper/bin/stationkeeper-{component}"]' in (ROOT / "Containerfile").read_text()


def test_the_build_context_holds_what_the_images_are_built_of_and_nothing_else() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    ignore = (ROOT / ".dockerignore").read_text().split("\n")
    assert ignore[1] == "*"
    assert {line.removeprefix("!") for line in ignore if line.startswith("!")} == sources
    assert all((ROOT / source).exists() for source in sources)


def test_for_all_namespaces_the_operator_has_the_rules_cluster_wide() -> None:
    manifests = render({"watchAllNamespaces": True})
    assert the(manifests, "ClusterRole", RESOURCES_ROLE, None)["rules"] == rules("operator-resources")
    binding = the(manifests, "ClusterRoleBinding", RESOURCES_ROLE, None)
    assert binding["roleRef"]["name"] == RESOURCES_ROLE
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "stationkeeper-operator", "namespace": NAMESPACE}]
    assert environment(manifests, "operator")["STATIONKEEPER_WATCH_NAMESPACES"] == ""


def test_the_operator_gets_the_names_by_which_gateways_reach_cups() -> None:
    certificate = {"dnsNames": ["cups.example.org", "*.example.org"]}
    values = {"operator": {"cupsNames": ["cups.example.net:443"]}, "server": {"certificate": certificate}}
    assert environment(render({}), "operator")["STATIONKEEPER_CUPS_NAMES"] == ""
    assert (
        environment(render(values), "operator")["STATIONKEEPER_CUPS_NAMES"] == "cups.example.net:443,cups.example.org"
    )


def test_with_named_namespaces_the_operator_has_the_rules_there_and_no_cluster_wide_role() -> None:
    manifests = render(CASES["namespaced"])
    assert not kinds(manifests) & {"ClusterRole", "ClusterRoleBinding"}
    for namespace in (NAMESPACE, "team-a"):
        assert the(manifests, "Role", RESOURCES_ROLE, namespace)["rules"] == rules("operator-resources")
        binding = the(manifests, "RoleBinding", RESOURCES_ROLE, namespace)
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("Role", RESOURCES_ROLE)
        assert binding["subjects"][0]["namespace"] == NAMESPACE
    assert environment(manifests, "operator")["STATIONKEEPER_WATCH_NAMESPACES"] == f"{NAMESPACE},team-a"


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_the_operator_always_has_its_rules_in_the_namespace_of_the_release(values: Values) -> None:
    roles = [each for each in render(values) if each["kind"] == "Role"]
    assert [each["rules"] for each in roles if each["rules"] == rules("operator-release")] == [
        rules("operator-release")
    ]


def test_cups_has_a_token_and_rules_only_if_it_watches() -> None:
    files, watching = render({}), render(CASES["watching"])
    assert not [each for each in files if each["kind"] == "Role" and each["metadata"]["name"] == "stationkeeper-cups"]
    assert pod_template(files, "cups")["spec"]["automountServiceAccountToken"] is False
    assert the(watching, "Role", "stationkeeper-cups")["rules"] == rules("cups-release")
    assert pod_template(watching, "cups")["spec"]["automountServiceAccountToken"] is True


def test_the_documents_lie_in_one_folder_under_their_names() -> None:
    manifests = render({})
    sources = [source["secret"] for source in volumes(manifests, "cups")["documents"]["projected"]["sources"]]
    assert sources == [
        {"name": secret_name(document), "optional": True, "items": [{"key": document, "path": document}]}
        for document in DOCUMENTS
    ]
    mounts = {each["name"]: each["mountPath"] for each in container(manifests, "cups")["volumeMounts"]}
    assert mounts["documents"] == environment(manifests, "cups")["STATIONKEEPER_DOCUMENTS_FOLDER"]
    assert environment(manifests, "cups")["STATIONKEEPER_TLS_CERT"] == f"{mounts['server-tls']}/tls.crt"
    assert environment(manifests, "cups")["STATIONKEEPER_TLS_KEY"] == f"{mounts['server-tls']}/tls.key"


@pytest.mark.parametrize(("values", "switched"), [({}, "false"), ({"cups": {"tokenAuthentication": True}}, "true")])
def test_token_authentication_is_off_unless_it_is_switched_on(values: Values, switched: str) -> None:
    assert environment(render(values), "cups")["STATIONKEEPER_TOKEN_AUTHENTICATION"] == switched


@pytest.mark.parametrize(
    ("values", "switched"), [({}, "false"), ({"server": {"certificate": {"rootMayChange": True}}}, "true")]
)
def test_the_root_of_the_server_may_not_change_unless_that_is_switched_on(values: Values, switched: str) -> None:
    assert environment(render(values), "cups")["STATIONKEEPER_SERVER_ROOT_MAY_CHANGE"] == switched


def test_a_pod_starts_before_there_is_a_server_certificate() -> None:
    named = {"server": {"certificate": {"secretName": "mine"}}}
    secret = volumes(render(named), "cups")["server-tls"]["secret"]
    assert (secret["secretName"], secret["optional"], secret["defaultMode"]) == ("mine", True, 0o440)


def test_the_secrets_to_publish_are_created_without_a_content_and_kept() -> None:
    labelled = {
        each["metadata"]["name"]: each
        for each in render({})
        if each["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "documents"
    }
    assert labelled.keys() == {secret_name(document) for document in DOCUMENTS}
    for secret in labelled.values():
        assert secret.keys() == {"apiVersion", "kind", "metadata", "type"}
        assert secret["metadata"]["annotations"] == {
            "helm.sh/resource-policy": "keep",
            "argocd.argoproj.io/sync-options": "Prune=false",
        }


@pytest.mark.parametrize("buckets", BUCKET_COUNTS)
@pytest.mark.parametrize("source", ["files", "watch"])
def test_the_count_of_the_release_is_that_of_its_secrets_its_volume_its_pods_and_both_processes(
    buckets: int, source: str
) -> None:
    manifests = render({"registry": {"buckets": buckets}, "cups": {"source": source}})
    expected = [secret_name(document) for document in layout_of(buckets).documents]
    secrets = [each["metadata"]["name"] for each in manifests if each["kind"] == "Secret"]
    assert [name for name in secrets if name in set(expected) or "registry" in name] == expected
    if source == "files":
        sources = volumes(manifests, "cups")["documents"]["projected"]["sources"]
        assert [each["secret"]["name"] for each in sources] == expected
    assert pod_template(manifests, "cups")["metadata"]["labels"][BUCKETS_LABEL] == str(buckets)
    for component in ("cups", "operator"):
        assert environment(manifests, component)["STATIONKEEPER_REGISTRY_BUCKETS"] == str(buckets)
        assert BUCKETS_LABEL not in pod_template(manifests, "operator")["metadata"]["labels"]


def test_a_watching_pod_mounts_no_published_secret() -> None:
    assert volumes(render(CASES["watching"]), "cups").keys() == {"tmp", "internal-token", "operator-certificate"}


def test_cups_pods_carry_the_labels_by_which_the_operator_finds_them() -> None:
    for values in CASES.values():
        labels = pod_template(render(values), "cups")["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "stationkeeper"
        assert labels["app.kubernetes.io/component"] == "cups"


def test_the_internal_token_is_made_unless_there_is_one() -> None:
    made = the(render({}), "Secret", "stationkeeper-internal-token")
    assert len(made["data"]["token"]) >= 48
    existing = render({"cups": {"internalToken": {"existingSecret": "mine"}}})
    assert "stationkeeper-internal-token" not in {each["metadata"]["name"] for each in existing}
    assert volumes(existing, "cups")["internal-token"]["secret"]["secretName"] == "mine"
    assert environment(existing, "cups")["STATIONKEEPER_INTERNAL_TOKEN_FILE"].endswith("/internal-token/token")


def test_the_operator_asks_cups_with_the_token_that_cups_expects() -> None:
    for values in CASES.values():
        manifests = render(values)
        secrets = {volumes(manifests, each)["internal-token"]["secret"]["secretName"] for each in ("operator", "cups")}
        files = {environment(manifests, each)["STATIONKEEPER_INTERNAL_TOKEN_FILE"] for each in ("operator", "cups")}
        assert (len(secrets), len(files)) == (1, 1)


def test_in_a_closed_network_the_operator_reaches_the_internal_port_of_cups() -> None:
    manifests = render({"networkPolicy": {"enabled": True, "internalFrom": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}})
    operator = the(manifests, "NetworkPolicy", "stationkeeper-operator")["spec"]
    cups = the(manifests, "NetworkPolicy", "stationkeeper-cups")["spec"]
    (egress,) = [each for each in operator["egress"] if "to" in each]
    (ingress,) = [each for each in cups["ingress"] if each["ports"] == [{"port": "internal"}]]
    assert egress == {"ports": [{"port": "internal"}], "to": [{"podSelector": cups["podSelector"]}]}
    assert {"podSelector": operator["podSelector"]} in ingress["from"]


@pytest.mark.parametrize("component", ["operator", "cups"])
@pytest.mark.parametrize(("replicas", "budgets"), [(0, 0), (1, 0), (2, 1)])
def test_only_more_than_one_pod_has_a_disruption_budget(component: str, replicas: int, budgets: int) -> None:
    other = {"operator": "cups", "cups": "operator"}[component]
    manifests = render({component: {"replicas": replicas}, other: {"replicas": 1}})
    assert [each["kind"] for each in manifests].count("PodDisruptionBudget") == budgets


def test_where_pods_are_scaled_the_deployment_does_not_say_how_many() -> None:
    manifests = render(CASES["everything"])
    assert "replicas" not in the(manifests, "Deployment", "sk-cups")["spec"]
    scaler = the(manifests, "HorizontalPodAutoscaler", "sk-cups")["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "sk-cups"}
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 10)
    assert [each["type"] for each in scaler["metrics"]] == ["Resource", "Pods"]
    assert the(manifests, "PodDisruptionBudget", "sk-cups")["spec"]["maxUnavailable"] == 1


def test_a_rollout_takes_no_pod_away_before_the_new_one_is_ready() -> None:
    deployment = the(render({}), "Deployment", "stationkeeper-cups")["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    sleep = container(render({}), "cups")["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert deployment["template"]["spec"]["terminationGracePeriodSeconds"] > sleep + 10


def test_a_named_constraint_selects_cups_pods_without_saying_so() -> None:
    template = pod_template(render(CASES["everything"]), "cups")
    (constraint,) = template["spec"]["topologySpreadConstraints"]
    selected = constraint["labelSelector"]["matchLabels"].items()
    assert selected <= template["metadata"]["labels"].items()
    assert (constraint["maxSkew"], constraint["whenUnsatisfiable"]) == (1, "DoNotSchedule")


@pytest.mark.parametrize("component", ["operator", "cups"])
def test_without_named_constraints_the_pods_spread_softly_over_nodes_and_zones(component: str) -> None:
    template = pod_template(render({}), component)
    constraints = template["spec"]["topologySpreadConstraints"]
    for each in constraints:
        assert each["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert {each["topologyKey"] for each in constraints} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert {each["whenUnsatisfiable"] for each in constraints} == {"ScheduleAnyway"}


def test_an_ipv6_address_is_listened_on_in_brackets() -> None:
    manifests = render(CASES["one pod on IPv6"])
    assert environment(manifests, "cups")["STATIONKEEPER_CUPS_ADDRESS"] == "[::]:8987"
    assert environment(manifests, "operator")["STATIONKEEPER_HEALTH_ADDRESS"] == "[::]:8081"


def test_the_service_says_of_a_load_balancer_what_the_values_say() -> None:
    spec = the(render(CASES["everything"]), "Service", "sk-cups")["spec"]
    assert (spec["type"], spec["externalTrafficPolicy"]) == ("LoadBalancer", "Local")
    assert (spec["loadBalancerIP"], spec["ipFamilies"]) == ("192.0.2.7", ["IPv4"])
    assert spec["loadBalancerSourceRanges"] == ["192.0.2.0/24", "2001:db8::/32"]
    assert spec["ports"] == [{"name": "cups", "port": 443, "targetPort": "cups", "nodePort": 30987}]


def test_the_internal_port_is_not_a_port_of_the_gateways_service() -> None:
    for values in CASES.values():
        services = {
            each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]
            for each in render(values)
            if each["kind"] == "Service"
        }
        assert [port["targetPort"] for port in services["cups"]["ports"]] == ["cups"]
        assert services["cups-internal"]["type"] == "ClusterIP"


def test_a_digest_goes_before_a_tag() -> None:
    image = {"repository": "example.com/cups", "tag": "1", "digest": f"sha256:{'0' * 64}"}
    assert container(render({"cups": {"image": image}}), "cups")["image"] == f"example.com/cups@sha256:{'0' * 64}"


def test_a_label_of_a_pod_goes_before_the_common_one() -> None:
    assert pod_template(render(CASES["everything"]), "operator")["metadata"]["labels"]["team"] == "operators"


def test_with_files_cups_may_open_no_connection() -> None:
    policy = the(render(CASES["closed network, files"]), "NetworkPolicy", "stationkeeper-cups")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []


def test_a_parent_chart_may_pass_globals() -> None:
    assert render({"global": {"anything": 1}})


@pytest.mark.parametrize("component", ["operator", "cups"])
def test_variables_volumes_and_mounts_can_be_added(component: str) -> None:
    manifests = render(CASES["everything"])
    assert environment(manifests, component)["EXTRA"] == "yes"
    assert volumes(manifests, component)["more"] == {"name": "more", "emptyDir": {}}
    assert {"name": "more", "mountPath": "/more"} in container(manifests, component)["volumeMounts"]


def test_objects_can_be_added_as_a_mapping_or_as_a_text() -> None:
    manifests = render(CASES["everything"])
    assert {the(manifests, "ConfigMap", name)["kind"] for name in ("more", "text")} == {"ConfigMap"}


@pytest.mark.parametrize("component", ["operator", "cups"])
def test_the_ids_of_a_pod_can_be_left_to_the_cluster(component: str) -> None:
    free = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    context = pod_template(render({component: {"podSecurityContext": free}}), component)["spec"]["securityContext"]
    assert context == {
        "runAsNonRoot": True,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_prometheus_has_access_in_a_closed_network() -> None:
    manifests = render(CASES["everything"])
    (peer,) = CASES["everything"]["networkPolicy"]["prometheusFrom"]
    (operator,) = the(manifests, "NetworkPolicy", "sk-operator")["spec"]["ingress"]
    assert operator == {"ports": [{"port": "health"}], "from": [peer]}
    ports = {
        each["ports"][0]["port"]: each["from"] for each in the(manifests, "NetworkPolicy", "sk-cups")["spec"]["ingress"]
    }
    assert peer in ports["internal"]
    assert peer not in ports["cups"]
