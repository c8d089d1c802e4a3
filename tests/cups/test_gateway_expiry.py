from datetime import UTC, datetime, timedelta

from stationkeeper_cups.gateway_expiry import GatewayExpiry
from stationkeeper_cups.metrics import Metrics
from stationkeeper_tools.sample_pki import make_gateway
from tests.cups.client import get_internal
from tests.cups.conftest import Cups
from tests.cups.pki import Pki

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAME = "stationkeeper_gateway_certificates_expiring"


def counts(text: str) -> dict[str, float]:
    lines = [each.removeprefix(NAME) for each in text.splitlines() if each.startswith(NAME)]
    return {line.split('"')[1]: float(line.split()[1]) for line in lines}


def test_gateways_are_counted_by_nearness_at_most_once_a_minute() -> None:
    ends = [NOW + timedelta(days=each) for each in (-1, 0, 7, 8, 30, 31)]
    metrics, clock = Metrics(), [0.0]
    metrics.add(GatewayExpiry(lambda: ends, lambda: NOW, lambda: clock[0]))
    assert counts(metrics.exposition().decode()) == {"30d": 4, "7d": 2, "expired": 1}
    ends.clear()
    clock[0] = 59.0
    assert counts(metrics.exposition().decode())["30d"] == 4
    clock[0] = 60.0
    assert counts(metrics.exposition().decode()) == {"30d": 0, "7d": 0, "expired": 0}


async def test_a_gateway_that_asked_is_counted(cups: Cups, pki: Pki) -> None:
    soon = make_gateway(pki.eui, pki.a, datetime.now(UTC), days=5)
    assert (await cups.client(soon).ask()).status == 200
    exposition = (await get_internal(cups.internal_port, "/metrics")).body.decode()
    assert counts(exposition) == {"30d": 1, "7d": 1, "expired": 0}
