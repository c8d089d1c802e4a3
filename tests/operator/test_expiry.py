import base64
from datetime import timedelta
from typing import Any

import pytest

from stationkeeper_core.errors import Reason
from stationkeeper_operator.compiling.verdict import Use, Validity
from stationkeeper_operator.metrics import Metrics, ResourceMetrics
from stationkeeper_operator.reporting.expiry import expiring, is_graver, seen_validity
from stationkeeper_operator.resources.records import SECRET, Reference, Resource, decode_referenced
from tests.operator.resource_building import (
    EUI,
    NOW,
    make_ca,
    make_defaults,
    make_gateway,
    make_pem,
    make_secret,
    metadata,
    plan_of,
    verdict_on,
)

ROOT, OLD, SOON = make_pem("root"), make_pem("old", end=-1), make_pem("soon", start=-345, end=20)
LNS = {"uri": "wss://lns.example.com:8887", "trust": SOON}


def ends(days: float, name: str = "a", use: Use = Use.TRUST_ANCHOR) -> Validity:
    return Validity(use, name, NOW + timedelta(days=days))


@pytest.mark.parametrize(
    ("days", "status", "reason"),
    [
        ([-1, 3, 20, 400], "True", "Expired"),
        ([400, 20, 3], "True", "ExpiresWithin7Days"),
        ([20, 400], "True", "ExpiresWithin30Days"),
        ([400, 31], "False", "NotExpiring"),
    ],
)
def test_the_gravest_of_all_certificates_counts(days: list[float], status: str, reason: str) -> None:
    found = expiring([ends(each, str(each)) for each in days], NOW)
    assert found is not None
    assert found[:2] == (status, reason)


def test_a_long_lived_certificate_is_reported_although_a_short_lived_one_ends_before() -> None:
    short = Validity(Use.LNS_CLIENT, "short", NOW + timedelta(hours=20), NOW - timedelta(hours=4))
    assert expiring([short], NOW) == (
        "False",
        "NotExpiring",
        "LNSClient short expires at 2026-06-01T20:00:00Z, before all others",
    )
    found = expiring([short, ends(20, "root")], NOW)
    assert found is not None
    assert found[:2] == ("True", "ExpiresWithin30Days")
    assert "root" in found[2]
    assert "short" not in found[2]


def test_the_cert_manager_certificate_that_renews_it_is_named() -> None:
    end = NOW + timedelta(days=2)
    found = expiring([Validity(Use.TRUST_ANCHOR, "a", end, NOW - timedelta(days=88), renewed_by="vendor-a")], NOW)
    assert found is not None
    assert "check that certificates.cert-manager.io 'vendor-a' is Ready" in found[2]


def test_without_a_certificate_there_is_no_condition() -> None:
    assert expiring([], NOW) is None


def test_the_message_names_use_certificate_and_date_and_is_the_same_until_the_next_threshold() -> None:
    early, late = (expiring([ends(20, use=Use.LNS_TRUST)], NOW + timedelta(days=each)) for each in (0, 12))
    assert early == late
    assert early is not None
    assert early[2].startswith("LNSTrust a expires at 2026-06-21T00:00:00Z; gateways then refuse the LNS")


def test_a_long_list_is_cut_and_counted() -> None:
    found = expiring([ends(each) for each in range(1, 6)], NOW)
    assert found is not None
    assert found[2].endswith("and 2 more")


@pytest.mark.parametrize(
    ("reason", "than", "graver"),
    [
        ("ExpiresWithin30Days", None, True),
        ("ExpiresWithin7Days", "ExpiresWithin30Days", True),
        ("Expired", "ExpiresWithin7Days", True),
        ("Expired", "Expired", False),
        ("ExpiresWithin30Days", "ExpiresWithin7Days", False),
        ("NotExpiring", None, False),
    ],
)
def test_only_a_graver_stage_is_an_event(reason: str, than: str | None, graver: bool) -> None:
    assert is_graver(reason, than) is graver


@pytest.mark.parametrize("shown", [None, 7, {}, {"notAfter": 7}, {"notAfter": "soon"}, {"notAfter": "2026-06-21"}])
def test_a_status_without_a_certificate_gives_none(shown: object) -> None:
    assert seen_validity(shown) is None


def test_the_certificate_that_a_gateway_came_with_is_reported_by_its_serial() -> None:
    found = seen_validity({"serial": "0A", "notAfter": "2026-06-21T00:00:00Z"})
    assert found == Validity(Use.GATEWAY, "serial '0A'", NOW + timedelta(days=20))
    day = {"serial": "0A", "notBefore": "2026-06-01T00:00:00Z", "notAfter": "2026-06-02T00:00:00Z"}
    assert seen_validity(day) == Validity(Use.GATEWAY, "serial '0A'", NOW + timedelta(days=1), NOW)


@pytest.mark.parametrize(
    ("resource", "uses"),
    [
        (make_ca({"certificates": ROOT + OLD, "intermediates": SOON}), ["TrustAnchor", "Intermediate", "TrustAnchor"]),
        (make_ca({"certificates": OLD}), ["TrustAnchor"]),
        (make_ca({"certificates": OLD, "suspended": True}), []),
        (make_ca({"certificates": "hello"}), []),
        (make_gateway({"eui": EUI, "lns": LNS}), ["LNSTrust"]),
        (make_gateway({"eui": EUI, "lns": LNS, "suspended": True}), []),
        (make_gateway({"eui": EUI, "lns": {**LNS, "uri": "ws://lns.example.com:1"}}), []),
        (make_defaults({"lns": LNS}), ["LNSTrust"]),
    ],
)
def test_a_verdict_has_the_validities_of_its_resource(resource: Resource, uses: list[str]) -> None:
    assert [each.use for each in verdict_on(resource, plan_of(resource)).validities] == uses


def test_the_certificate_of_cert_manager_that_renews_it_is_found_on_the_secret() -> None:
    near = make_pem("near", start=-80, end=10)
    for name, told in (("vendor-a", "vendor-a"), ("x" * 254, "")):
        meta = metadata("ca", "lorawan", labels={"stationkeeper.io/trust": "true"})
        meta["annotations"] = {"cert-manager.io/certificate-name": name, "other": "x"}
        raw = {"metadata": meta, "data": {"ca.crt": base64.b64encode(near.encode()).decode()}}
        referenced = {Reference(SECRET, "lorawan", "ca"): decode_referenced(SECRET, raw)}
        resource = make_ca({"certificatesFrom": {"secretKeyRef": {"name": "ca", "key": "ca.crt"}}})
        (found,) = verdict_on(resource, plan_of(resource, referenced=referenced)).validities
        assert found.renewed_by == told


def test_certificates_that_a_refused_spec_leaves_in_force_are_reported() -> None:
    before = plan_of(make_ca({"certificates": SOON}))
    refused = make_ca({"certificates": "hello"})
    verdict = verdict_on(refused, plan_of(refused, in_force=before.documents))
    assert verdict.reason == Reason.NO_CERTIFICATE
    assert [each.use for each in verdict.validities] == [Use.TRUST_ANCHOR]


def test_certificates_of_a_default_are_not_reported_on_its_gateways() -> None:
    gateway, defaults = make_gateway({"eui": EUI}), make_defaults({"lns": LNS})
    plan = plan_of(gateway, defaults)
    assert verdict_on(gateway, plan).accepted
    assert verdict_on(gateway, plan).validities == ()


def test_metrics_count_each_certificate_once_and_by_nearness() -> None:
    resources: dict[Any, Resource] = {
        each.key: each
        for each in (
            make_ca({"certificates": ROOT + OLD}),
            make_gateway({"eui": EUI, "lns": LNS}),
            make_defaults({"lns": LNS}),
        )
    }
    plan = plan_of(*resources.values())
    metrics = Metrics()
    metrics.add(ResourceMetrics(lambda: plan.verdicts, resources.get, lambda: NOW))
    text = metrics.exposition().decode()
    assert 'stationkeeper_certificates_expiring{use="TrustAnchor",within="expired"} 1.0' in text
    assert 'stationkeeper_certificates_expiring{use="LNSTrust",within="30d"} 1.0' in text
    assert 'stationkeeper_certificates_expiring{use="LNSTrust",within="7d"} 0.0' in text
    assert 'stationkeeper_resources{accepted="true",kind="Gateway"} 1.0' in text


def test_client_certificates_and_the_trust_of_another_cups_server_are_reported() -> None:
    secret = make_secret({"tls.crt": base64.b64encode((OLD + ROOT).encode()).decode()}, name="client")
    auth = {"clientCertificate": {"secretRef": {"name": "client"}}}
    cups = {"uri": "https://cups.example.com:443", "trust": ROOT, "auth": auth}
    gateway = make_gateway({"eui": EUI, "lns": {**LNS, "auth": auth}, "cups": cups})
    found = verdict_on(gateway, plan_of(gateway, referenced=secret)).validities
    assert {each.use for each in found} == {Use.LNS_TRUST, Use.LNS_CLIENT, Use.CUPS_TRUST, Use.CUPS_CLIENT}
    assert [each.use for each in found if each.not_after < NOW] == [Use.CUPS_CLIENT, Use.LNS_CLIENT]
