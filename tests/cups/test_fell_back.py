"""A gateway whose new CUPS configuration fails, and that asks this server with its old one."""

import json
import ssl
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from stationkeeper_core.protocol.credentials import client_authentication, crc
from stationkeeper_core.protocol.private_key import parse_private_key
from stationkeeper_core.published.observation import DeliveryState, ObservationPage
from stationkeeper_core.x509.pem import parse_certificates
from stationkeeper_tools.sample_pki import KeyPair, make_gateway
from tests.cups.client import get_internal
from tests.cups.conftest import Cups, serving
from tests.cups.documents import LNS_CREDENTIALS, LNS_URI, Gateway
from tests.cups.pki import Pki

TOKEN = "a-token-that-nobody-guesses"
REPORT = {"router": "102:304:506:708", "tcUri": LNS_URI, "tcCredCrc": crc(LNS_CREDENTIALS)}
FELL_BACK, DELIVERED = DeliveryState.FELL_BACK, DeliveryState.DELIVERED


async def _state(cups: Cups) -> DeliveryState | None:
    answer = await get_internal(cups.internal_port, "/observations?since=0", TOKEN)
    (found,) = msgspec.json.decode(answer.body, type=ObservationPage).observations
    return found.delivery.state if found.delivery else None


def _der(pair: KeyPair) -> bytes:
    return parse_certificates(pair.certificate_pem.decode())[0].der


def _set_with(pair: KeyPair, pki: Pki) -> bytes:
    """Return CUPS credentials with the certificate of `pair`."""
    return client_authentication(_der(pki.server_ca), _der(pair), parse_private_key(pair.key_pem).der)


@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_gateway_that_asks_with_its_old_certificate_and_reports_the_new_set_fell_back(
    tmp_path: Path, pki: Pki, caplog: pytest.LogCaptureFixture, tls: ssl.TLSVersion
) -> None:
    renewed = make_gateway(pki.eui, pki.a, datetime.now(UTC))
    blob = _set_with(renewed, pki)
    report = json.dumps(REPORT | {"cupsCredCrc": crc(blob)}).encode()
    gateway = Gateway(pki.eui, options={"cups_credentials": blob})
    async with serving(tmp_path, pki, gateway, token=TOKEN) as cups:
        states = []
        for pair in (pki.a_gateway, pki.a_gateway, renewed, pki.a_gateway):
            assert (await cups.client(pair, tls=tls).ask(report)).status == 200
            states.append(await _state(cups))
        metrics = (await get_internal(cups.internal_port, "/metrics")).body.decode()

    assert states == [FELL_BACK, FELL_BACK, DELIVERED, FELL_BACK]
    said = [each for each in caplog.records if each.getMessage() == "fell back to an older CUPS configuration"]
    assert [each.fields["gateway"] for each in said] == ["radio/gateway"] * 2  # type: ignore[attr-defined]
    assert 'stationkeeper_gateway_deliveries{state="FellBack"} 1.0' in metrics


async def test_the_requested_host_distinguishes_a_working_move_from_a_failed_one(tmp_path: Path, pki: Pki) -> None:
    old, new = "https://cups.example.org:8887", "https://cups-new.example.org:443"
    async with serving(tmp_path, pki, Gateway(pki.eui, options={"cups_uri": new}), token=TOKEN) as cups:

        async def state(host: str, cups_uri: str) -> DeliveryState | None:
            report = json.dumps(REPORT | {"cupsUri": cups_uri}).encode()
            assert (await cups.client(pki.a_gateway).ask(report, headers=(f"Host: {host}",))).status == 200
            return await _state(cups)

        assert await state("cups.example.org:8887", old) is DeliveryState.MOVED
        assert await state("cups.example.org:8887", new) is FELL_BACK
        assert await state("cups-new.example.org:443", new) is DELIVERED
        assert await state("CUPS-NEW.example.org", new) is DELIVERED
