"""The names of the chart's objects, and the names that no value changes."""

from typing import Any

import pytest
import yaml

from stationkeeper_core.published.documents import secret_name
from stationkeeper_core.published.registry_layout import BUCKET_COUNTS, layout_of
from tests.contract.chart import CASES, CHART, Manifest, Values, pod_template, render

pytestmark = pytest.mark.usefixtures("helm")

RELEASE_RULES: Any = yaml.safe_load((CHART / "rbac/operator-release.yaml").read_text())
PUBLISHED = {secret_name(name) for count in BUCKET_COUNTS for name in layout_of(count).documents}


def names_of(manifests: list[Manifest], component: str) -> set[tuple[str, str]]:
    return {
        (each["kind"], each["metadata"]["name"])
        for each in manifests
        if each["metadata"].get("labels", {}).get("app.kubernetes.io/component") == component
    }


@pytest.mark.parametrize(
    ("values", "prefix"),
    [
        ({}, "stationkeeper"),
        ({"nameOverride": "cups"}, "stationkeeper-cups"),
        ({"nameOverride": "keeper"}, "stationkeeper"),
        ({"fullnameOverride": "sk", "nameOverride": "cups"}, "sk"),
    ],
)
def test_the_names_of_objects_begin_as_the_values_say(values: Values, prefix: str) -> None:
    names = names_of(render(values), "cups")
    assert {
        ("Deployment", f"{prefix}-cups"),
        ("Service", f"{prefix}-cups"),
        ("ServiceAccount", f"{prefix}-cups"),
    } <= names
    assert pod_template(render(values), "cups")["spec"]["serviceAccountName"] == f"{prefix}-cups"


def test_every_object_of_the_release_is_in_the_namespace_that_the_values_name() -> None:
    manifests = render({**CASES["other names"], "networkPolicy": {"enabled": True}, "cups": {"source": "watch"}})
    assert {each["metadata"].get("namespace") for each in manifests} == {"team-a"}
    for each in manifests:
        for subject in each.get("subjects", []):
            assert subject["namespace"] == "team-a"


def test_objects_that_the_operator_finds_by_name_keep_their_names() -> None:
    for values in CASES.values():
        (role,) = [each for each in render(values) if each["kind"] == "Role" and each["rules"][:-1] == RELEASE_RULES]
        named = {name for rule in role["rules"] for name in rule.get("resourceNames", [])}
        assert PUBLISHED | {"stationkeeper-operator"} == named


def test_a_serviceaccount_that_is_not_created_gets_the_rights_all_the_same() -> None:
    manifests = render(CASES["everything"])
    accounts = {each["metadata"]["name"] for each in manifests if each["kind"] == "ServiceAccount"}
    assert accounts == {"answering"}
    bound = {each["subjects"][0]["name"] for each in manifests if each["kind"] == "RoleBinding"}
    assert bound == {"answering", "publishing", "showing"}
    assert pod_template(manifests, "operator")["spec"]["serviceAccountName"] == "publishing"
    unnamed = render({"operator": {"serviceAccount": {"create": False}}})
    assert pod_template(unnamed, "operator")["spec"]["serviceAccountName"] == "default"
