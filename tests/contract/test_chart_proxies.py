"""The settings of CUPS for load balancers and proxies in the chart."""

import pytest

from tests.contract.chart import FORWARDED, render, the
from tests.contract.test_chart import environment

pytestmark = pytest.mark.usefixtures("helm")


def test_the_port_for_proxies_is_there_only_where_it_is_asked_for_and_open_to_them_alone() -> None:
    assert not [name for name in environment(render({}), "cups") if "FORWARDED" in name]
    values = {"cups": {"forwarded": FORWARDED}, "networkPolicy": {"enabled": True}}
    manifests = render(values)
    found = environment(manifests, "cups")
    assert found["STATIONKEEPER_FORWARDED_FORM"] == "envoy"
    assert found["STATIONKEEPER_FORWARDED_FROM"] == "10.0.3.0/24"
    assert found["STATIONKEEPER_FORWARDED_NAMES"] == "envoy.ingress.svc,spiffe://example.com/envoy"
    service = the(manifests, "Service", "stationkeeper-cups-forwarded")
    assert [each["targetPort"] for each in service["spec"]["ports"]] == ["forwarded"]
    policy = the(manifests, "NetworkPolicy", "stationkeeper-cups")
    rules = {rule["ports"][0]["port"]: rule.get("from") for rule in policy["spec"]["ingress"]}
    assert rules["forwarded"] == [{"ipBlock": {"cidr": "10.0.3.0/24"}}]
    # Only the CA of its Secret is mounted.
    volumes = {
        each["name"]: each
        for each in the(manifests, "Deployment", "stationkeeper-cups")["spec"]["template"]["spec"]["volumes"]
    }
    assert volumes["proxies"]["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}]
    policy = the(
        render(values | {"networkPolicy": {"enabled": True, "proxiesFrom": peers}}),
        "NetworkPolicy",
        "stationkeeper-cups",
    )
    assert peers in [rule.get("from") for rule in policy["spec"]["ingress"]]


def test_the_networks_of_load_balancers_reach_cups() -> None:
    values = {"cups": {"proxyProtocol": {"trustedCIDRs": ["10.0.0.0/16", "2001:db8::/56"]}}}
    variable = "STATIONKEEPER_PROXY_PROTOCOL_FROM"
    assert environment(render(values), "cups")[variable] == "10.0.0.0/16,2001:db8::/56"
    assert variable not in environment(render({}), "cups")
