from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stationkeeper_core.timestamps import rfc3339
from stationkeeper_core.x509.expiry import Stage
from stationkeeper_tools.operating.fleet import FleetResource, ResourceName
from stationkeeper_tools.operating.fleet_status import GatewayState, fleet_status

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def ago(**span: float) -> str:
    return rfc3339(NOW - timedelta(**span))


def condition(kind: str, status: str, reason: str = "Reason", generation: int = 1) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": "why", "observedGeneration": generation}


def gateway(name: str = "roof", spec: dict[str, Any] | None = None, **status: Any) -> FleetResource:
    seen = {"conditions": [condition("Accepted", "True")], "lastSeen": ago(hours=1), **status}
    known = {key: each for key, each in seen.items() if each is not None}
    return FleetResource(ResourceName("Gateway", "radio", name), {"eui": "00" * 8, **(spec or {})}, known, 1)


def ca(name: str = "vendor", spec: dict[str, Any] | None = None, **status: Any) -> FleetResource:
    seen = {"conditions": [condition("Ready", "True")], **status}
    return FleetResource(ResourceName("TrustedCA", "radio", name), spec or {}, seen, 1)


REFUSED = {"reason": "CertificateExpired", "time": ago(minutes=1)}
STATES = {
    "it came": (gateway(), GatewayState.FINE),
    "it missed one check-in": (gateway(lastSeen=ago(hours=30)), GatewayState.FINE),
    "it missed two": (gateway(lastSeen=ago(hours=49)), GatewayState.SILENT),
    "never": (gateway(lastSeen=None), GatewayState.NEVER_SEEN),
    "refused since": (gateway(lastRefusal=REFUSED), GatewayState.REFUSED),
    "refused and never seen": (gateway(lastSeen=None, lastRefusal=REFUSED), GatewayState.REFUSED),
    "refused before": (gateway(lastRefusal={**REFUSED, "time": ago(hours=2)}), GatewayState.FINE),
    "a client that claims to be it": (gateway(lastRefusal={**REFUSED, "claimed": True}), GatewayState.FINE),
    "not converging": (
        gateway(delivery={"state": "NotConverging", "outstanding": ["LNSURI"]}),
        GatewayState.NOT_CONVERGING,
    ),
    "fell back": (gateway(delivery={"state": "FellBack"}), GatewayState.FELL_BACK),
    "not accepted": (gateway(conditions=[condition("Accepted", "False", "EUIConflict")]), GatewayState.NOT_ACCEPTED),
    "an older spec was not accepted": (
        gateway(conditions=[condition("Accepted", "False", "EUIConflict", generation=0)]),
        GatewayState.FINE,
    ),
    "suspended": (gateway(spec={"suspended": True}, lastRefusal=REFUSED), GatewayState.SUSPENDED),
    "a time that cannot be read": (gateway(lastSeen="yesterday"), GatewayState.NEVER_SEEN),
}


@pytest.mark.parametrize(("resource", "state"), STATES.values(), ids=STATES)
def test_a_gateway_is_in_one_state(resource: FleetResource, state: GatewayState) -> None:
    (line,) = fleet_status([resource], NOW, 2).gateways

    assert line.state is state


def test_the_number_of_check_ins_is_the_person_s() -> None:
    assert fleet_status([gateway(lastSeen=ago(hours=49))], NOW, 3).gateways[0].state is GatewayState.FINE


def test_a_ca_has_its_users_and_the_first_end_of_what_is_in_force() -> None:
    certificates = [
        {"sha256": "a", "notAfter": ago(days=10), "problem": "expired"},
        {"sha256": "b", "notAfter": rfc3339(NOW + timedelta(days=3))},
        {"sha256": "c", "notAfter": rfc3339(NOW + timedelta(days=300))},
    ]
    (line,) = fleet_status([ca(certificates=certificates, gatewaysSeen=7)], NOW, 2).cas

    assert (line.users, line.ends, line.stage) == (7, NOW + timedelta(days=3), Stage.WITHIN_7_DAYS)


def test_unregistered_gateways_are_listed_the_newest_first() -> None:
    listed = [{"eui": "A", "lastSeen": ago(hours=2)}, {"eui": "B", "lastSeen": ago(hours=1)}]

    assert [each.eui for each in fleet_status([ca(unregistered=listed)], NOW, 2).unregistered] == ["B", "A"]


@pytest.mark.parametrize(
    ("resources", "needed"),
    [
        ([gateway(), ca()], False),
        ([gateway(lastSeen=None), gateway("cellar", lastSeen=ago(days=9))], False),
        ([gateway(lastRefusal=REFUSED)], True),
        ([ca(conditions=[condition("Ready", "False")])], True),
        ([ca(spec={"suspended": True}, conditions=[condition("Ready", "False")])], False),
        ([ca(certificates=[{"notAfter": ago(days=1)}])], True),
    ],
)
def test_what_needs_a_person_is_reported(resources: list[FleetResource], needed: bool) -> None:
    assert fleet_status(resources, NOW, 2).needs_a_person is needed
