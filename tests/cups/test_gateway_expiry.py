from datetime import UTC, datetime, timedelta

from stationkeeper_core.published.observation import SeenCertificate
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


def certificate(left: float, life: float) -> SeenCertificate:
    end = NOW + timedelta(days=left)
    return SeenCertificate(
        serial="1", sha256="ab", not_before=end - timedelta(days=life), not_after=end, trusted_ca="radio/a"
    )


def test_gateways_are_counted_by_nearness_at_most_once_a_minute() -> None:
    seen = [certificate(each, 3650) for each in (-1, 0, 7, 8, 30, 31)]
    seen += [certificate(each, 1) for each in (-1, 0.04, 0.2, 0.9)]
    metrics, clock = Metrics(), [0.0]
    metrics.add(GatewayExpiry(lambda: seen, lambda: NOW, lambda: clock[0]))
    assert counts(metrics.exposition().decode()) == {"30d": 6, "7d": 3, "expired": 2}
    seen.clear()
    clock[0] = 59.0
    assert counts(metrics.exposition().decode())["30d"] == 6
    clock[0] = 60.0
    assert counts(metrics.exposition().decode()) == {"30d": 0, "7d": 0, "expired": 0}


async def test_a_gateway_that_asked_is_counted(cups: Cups, pki: Pki) -> None:
    soon = make_gateway(pki.eui, pki.a, datetime.now(UTC) - timedelta(days=195), days=200)
    assert (await cups.client(soon).ask()).status == 200
    exposition = (await get_internal(cups.internal_port, "/metrics")).body.decode()
    assert counts(exposition) == {"30d": 1, "7d": 1, "expired": 0}
