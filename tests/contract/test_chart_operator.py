"""The chart gives the operator a key, an identity, and only the rights for the namespaces that it serves."""

import base64
from pathlib import Path

import pytest

from stationkeeper_core.published.operator_proof import OperatorCertificate, OperatorKey
from tests.contract.chart import CASES, CHART, NAMESPACE, render, the
from tests.contract.test_chart import RESOURCES_ROLE, container, environment, kinds, rules, volumes

pytestmark = pytest.mark.usefixtures("helm")


def test_by_default_the_operator_serves_the_namespace_of_the_release_alone() -> None:
    manifests = render({})
    assert not kinds(manifests) & {"ClusterRole", "ClusterRoleBinding"}
    assert the(manifests, "Role", RESOURCES_ROLE, NAMESPACE)["rules"] == rules("operator-resources")
    assert environment(manifests, "operator")["STATIONKEEPER_WATCH_NAMESPACES"] == NAMESPACE


def test_only_the_operator_has_the_signing_key_and_cups_has_its_certificate() -> None:
    for values in CASES.values():
        manifests = render(values)
        mounted = {
            "operator": volumes(manifests, "operator")["signing-key"]["secret"],
            "cups": volumes(manifests, "cups")["operator-certificate"]["secret"],
        }
        assert len({each["secretName"] for each in mounted.values()}) == 1
        assert [each["key"] for each in mounted["operator"]["items"]] == ["tls.key"]
        assert [each["key"] for each in mounted["cups"]["items"]] == ["tls.crt"]
        for component, variable in (("operator", "SIGNING_KEY"), ("cups", "OPERATOR_CERTIFICATE")):
            path = environment(manifests, component)[f"STATIONKEEPER_{variable}_FILE"]
            mounts = {each["mountPath"] for each in container(manifests, component)["volumeMounts"]}
            assert str(Path(path).parent) in mounts


def test_the_key_that_the_chart_makes_is_one_that_operator_and_cups_take() -> None:
    made = the(render({}), "Secret", "stationkeeper-operator-key")["data"]
    key, certificate = (base64.b64decode(made[name]) for name in ("tls.key", "tls.crt"))
    signature = OperatorKey(key).sign_document("trust", b"value")
    OperatorCertificate(certificate).check_document("trust", b"value", signature)
    existing = render({"operator": {"signingKey": {"existingSecret": "mine"}}})
    assert "stationkeeper-operator-key" not in {each["metadata"]["name"] for each in existing}
    assert volumes(existing, "cups")["operator-certificate"]["secret"]["secretName"] == "mine"


def test_cups_waits_for_the_latest_where_its_source_may_be_old() -> None:
    assert int(environment(render({}), "cups")["STATIONKEEPER_LATEST_SECONDS"]) > 0
    assert "STATIONKEEPER_LATEST_SECONDS" not in environment(render(CASES["watching"]), "cups")


def test_a_starting_pod_waits_as_long_as_the_page_says() -> None:
    assert environment(render({}), "cups")["STATIONKEEPER_LATEST_SECONDS"] == "120"
    assert "or two minutes have passed without that" in (CHART.parents[1] / "docs/operation.md").read_text()


def test_each_process_of_an_operators_pod_has_the_pods_identity() -> None:
    found = environment(render({}), "operator")
    assert found["STATIONKEEPER_IDENTITY"] == "$(STATIONKEEPER_POD_NAME)_$(STATIONKEEPER_POD_UID)"
    assert found["STATIONKEEPER_POD_UID"] == {"fieldRef": {"fieldPath": "metadata.uid"}}
