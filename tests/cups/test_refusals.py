from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.client_certificate import ClientCertificate, read_client_certificate
from stationkeeper_core.x509.pem import parse_certificates
from stationkeeper_cups.accepting.unaccepted_connections import Refusal
from stationkeeper_cups.http.refusals import MAX_RECENT, Refusals
from stationkeeper_cups.log_budget import BURST, BURST_EACH
from stationkeeper_cups.metrics import Metrics
from stationkeeper_cups.observations import Observations
from stationkeeper_tools.sample_pki import KeyPair
from tests.cups.pki import Pki

NOT_FOUND = StationkeeperError(Reason.PATH_NOT_FOUND, "there is nothing at '/flood'")


def _der(pair: KeyPair) -> bytes:
    return parse_certificates(pair.certificate_pem.decode())[0].der


def _certificate(pair: KeyPair) -> ClientCertificate:
    return read_client_certificate((_der(pair),))


@pytest.fixture
def refusals() -> Refusals:
    metrics = Metrics()
    return Refusals(metrics, Observations(metrics), lambda: datetime.now(UTC))


def _lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [vars(each)["fields"] for each in caplog.records]


def _flood(refusals: Refusals, pki: Pki) -> dict[str, tuple[Callable[[], object], float]]:
    unknown = Refusal("192.0.2.1", Reason.UNKNOWN_CA, "nobody vouches", (_der(pki.b_gateway),))
    return {
        "handshakes": (lambda: refusals.handshake(unknown), BURST),
        "strangers": (lambda: refusals.request("192.0.2.1", NOT_FOUND, None), BURST),
        "one gateway": (lambda: refusals.request("192.0.2.1", NOT_FOUND, _certificate(pki.b_gateway)), BURST_EACH),
    }


@pytest.mark.parametrize("kind", ["handshakes", "strangers", "one gateway"])
def test_no_flood_of_refusals_fills_the_log_or_hides_the_refusal_of_a_gateway(
    refusals: Refusals, pki: Pki, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    refuse, burst = _flood(refusals, pki)[kind]
    for _ in range(3000):
        refuse()
    assert burst <= len(_lines(caplog)) <= burst + 60
    assert len(refusals.recent) <= MAX_RECENT

    caplog.clear()
    refusals.request("192.0.2.2", StationkeeperError(Reason.GATEWAY_SUSPENDED, "-"), _certificate(pki.a_gateway))
    assert [each["reason"] for each in _lines(caplog)] == ["GatewaySuspended"]


def test_a_refused_handshake_names_the_client(refusals: Refusals, pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    certificate = _certificate(pki.b_gateway)
    refusals.handshake(Refusal("192.0.2.1", Reason.UNKNOWN_CA, "nobody vouches", (_der(pki.b_gateway),)))

    (line,) = _lines(caplog)
    (recent,) = refusals.recent
    assert (line["common_name"], line["issuer"]) == (pki.eui, "CN=Vendor B")
    assert (line["serial"], line["sha256"]) == (certificate.leaf.serial, certificate.leaf.sha256)
    assert (recent.common_name, recent.issuer) == (pki.eui, "CN=Vendor B")
    assert (recent.serial, recent.sha256) == (certificate.leaf.serial, certificate.leaf.sha256)
    assert recent.in_handshake


@pytest.mark.parametrize("presented", [(), (b"",), (b"0\x03\x02\x01\x01",)])
def test_whatever_was_presented_a_refusal_is_reported(
    refusals: Refusals, caplog: pytest.LogCaptureFixture, presented: tuple[bytes, ...]
) -> None:
    refusals.handshake(Refusal("192.0.2.1", Reason.HANDSHAKE_FAILED, "no TLS", presented))
    assert [each["reason"] for each in _lines(caplog)] == ["HandshakeFailed"]
