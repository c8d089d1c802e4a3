from typing import Any

import pytest

from helm.document_values import UndocumentedError, documented, with_descriptions, with_table
from tests.contract.chart import CHART, FORWARDED, PAGE_PROXY, RefusedValuesError, Values, render

pytestmark = pytest.mark.usefixtures("helm")

VALUES = (CHART / "values.yaml").read_text()
CERT_MANAGER = {"source": "cert-manager", "dnsNames": ["cups.example.com"], "certManager": {"issuerRef": {"name": "a"}}}


def certificate(**values: Any) -> Values:
    return {"server": {"certificate": values}}


def key(**values: Any) -> Values:
    return certificate(**{**CERT_MANAGER, "certManager": {"issuerRef": {"name": "a"}, "privateKey": values}})


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"replicas": 2}, "replicas"),
        ({"cups": {"replica": 2}}, "replica"),
        ({"cups": {"replicas": "two"}}, "/cups/replicas"),
        ({"cups": {"source": "secrets"}}, "/cups/source"),
        ({"cups": {"tokenAuthentication": "yes"}}, "/cups/tokenAuthentication"),
        ({"cups": {"service": {"type": "ExternalName"}}}, "/cups/service/type"),
        ({"cups": {"service": {"port": 0}}}, "/cups/service/port"),
        ({"cups": {"service": {"ipFamilies": ["IPv5"]}}}, "/cups/service/ipFamilies"),
        ({"cups": {"service": {"loadBalancerSourceRanges": ["all"]}}}, "/cups/service/loadBalancerSourceRanges"),
        ({"cups": {"image": {"digest": "abc"}}}, "/cups/image/digest"),
        ({"cups": {"forwarded": {"enabled": True}}}, "/cups/forwarded/form"),
        ({"cups": {"forwarded": FORWARDED | {"trustedCIDRs": []}}}, "/cups/forwarded/trustedCIDRs"),
        ({"cups": {"forwarded": FORWARDED | {"caSecretName": ""}}}, "/cups/forwarded/caSecretName"),
        ({"cups": {"forwarded": FORWARDED | {"proxyNames": []}}}, "/cups/forwarded/proxyNames"),
        ({"cups": {"forwarded": FORWARDED | {"trustedCIDRs": ["::/0"]}}}, "/cups/forwarded/trustedCIDRs"),
        ({"cups": {"proxyProtocol": {"trustedCIDRs": ["10.0.0.1"]}}}, "/cups/proxyProtocol/trustedCIDRs"),
        ({"cups": {"proxyProtocol": {"trustedCIDRs": ["0.0.0.0/0"]}}}, "/cups/proxyProtocol/trustedCIDRs"),
        ({"cups": {"resources": {"limit": {}}}}, "limit"),
        ({"cups": {"podLabels": {"app.kubernetes.io/component": "x"}}}, "app.kubernetes.io/component"),
        ({"cups": {"extraEnv": [{"value": "x"}]}}, "/cups/extraEnv"),
        ({"cups": {"preStopSleepSeconds": 21}}, "at most 20"),
        ({"cups": {"terminationGracePeriodSeconds": 14}}, "at most 4"),
        ({"cups": {"terminationGracePeriodSeconds": 10}}, "/cups/terminationGracePeriodSeconds"),
        ({"cups": {"autoscaling": {"enabled": True, "minReplicas": 11}}}, "minReplicas is 11"),
        ({"cups": {"autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": 0}}}, "has no metric"),
        ({"cups": {"tls": {"secretName": "mine"}}}, "tls"),
        (certificate(source="cert-manager", certManager={"issuerRef": {"name": "a"}}), "dnsNames"),
        (certificate(source="cert-manager", dnsNames=["a"]), "issuerRef"),
        (certificate(source="acme"), "/server/certificate/source"),
        (certificate(dnsNames=["192.0.2.1"]), "/server/certificate/dnsNames"),
        (certificate(dnsNames=["CUPS"]), "/server/certificate/dnsNames"),
        (key(algorithm="Ed25519", size=256), "privateKey/algorithm"),
        (key(algorithm="RSA", size=3072), "privateKey/size"),
        ({"fullnameOverride": "Keeper"}, "/fullnameOverride"),
        (
            {"monitoring": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
            "every pod would be scraped and counted twice",
        ),
        ({"enabled": False}, "condition: stationkeeper.enabled"),
        ({"helmTest": {"gatewaySecret": "rooftop"}}, "/helmTest/eui"),
        ({"watchNamespaces": "team-a"}, "/watchNamespaces"),
        ({"watchNamespaces": ["Team"]}, "/watchNamespaces"),
        ({"watchNamespaces": ["team-a"], "watchAllNamespaces": True}, "set one of them"),
        ({"watchNamespacesWithLabels": {"gateways": True}}, "/watchNamespacesWithLabels"),
        ({"logLevel": "TRACE"}, "/logLevel"),
        ({"page": {"enabled": True}}, "open to every pod of the cluster"),
        ({"page": {"proxy": PAGE_PROXY | {"existingSecret": ""}}}, "all three of userHeader"),
        ({"page": {"proxy": PAGE_PROXY | {"trustedCIDRs": []}}}, "all three of userHeader"),
        ({"page": {"proxy": PAGE_PROXY | {"trustedCIDRs": ["0.0.0.0/0"]}}}, "/page/proxy/trustedCIDRs"),
        ({"page": {"proxy": PAGE_PROXY | {"userHeader": "X User"}}}, "/page/proxy/userHeader"),
        ({"page": {"proxy": PAGE_PROXY | {"secretHeader": "x-forwarded-user"}}}, "are the same header"),
        ({"page": {"checkIns": 0}}, "/page/checkIns"),
    ],
)
def test_values_that_cannot_be_meant_are_refused_by_name(values: Values, told: str) -> None:
    with pytest.raises(RefusedValuesError) as refusal:
        render(values)
    assert told in str(refusal.value)


@pytest.mark.parametrize("seconds", [1, 20])
def test_a_sleep_that_leaves_time_for_open_requests_is_taken(seconds: int) -> None:
    assert render({"cups": {"preStopSleepSeconds": seconds}})


@pytest.mark.parametrize(
    "values", [key(algorithm="RSA", size=4096), key(algorithm="ECDSA", size=256), key(algorithm="ECDSA", size=521)]
)
def test_a_key_that_a_basics_station_takes_can_be_asked_for(values: Values) -> None:
    assert render(values)


def test_the_readme_and_the_schema_are_what_make_docs_writes_from_the_comments() -> None:
    found = documented(VALUES)
    for name, write in (("README.md", with_table), ("values.schema.json", with_descriptions)):
        text = (CHART / name).read_text()
        assert write(text, found) == text, f"run `make docs`: {name} is not of these values"


def test_the_readme_has_every_value_with_its_default() -> None:
    rows = [line for line in (CHART / "README.md").read_text().splitlines() if line.startswith("| `")]
    assert "| `cups.replicas` | `2` |" in "\n".join(rows)
    assert len(rows) == len([each for each in documented(VALUES) if not each.is_section])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (VALUES + "more: 1\n", "more has no comment"),
        (VALUES + "# More.\nmore: 1\n", "values.schema.json lacks more"),
        (
            VALUES.replace("# The lowest level that operator and CUPS log.\nlogLevel: INFO\n", ""),
            "values.yaml lacks ['logLevel']",
        ),
    ],
)
def test_a_value_without_a_comment_or_without_a_schema_is_reported(values: str, told: str) -> None:
    schema = (CHART / "values.schema.json").read_text()
    with pytest.raises(UndocumentedError, match=told.replace("[", r"\[")):
        with_descriptions(schema, documented(values))
