"""The observations of real requests, as the operator reads them."""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from stationkeeper_core.protocol.credentials import crc
from stationkeeper_core.protocol.update_info import NO_CHANGE
from stationkeeper_core.published.observation import DeliveryState, Observation, ObservationPage, Segment
from stationkeeper_tools.sample_pki import make_gateway
from tests.cups.client import get_internal, until
from tests.cups.conftest import TOKEN, Cups
from tests.cups.documents import LNS_CREDENTIALS, LNS_URI, Gateway, Trusted
from tests.cups.pki import Pki

OTHER_EUI = "AABBCCDD00000001"
REPORT = {"router": "102:304:506:708", "tcUri": LNS_URI, "tcCredCrc": crc(LNS_CREDENTIALS), "model": "minihub"}


async def _page(cups: Cups, since: int = 0) -> ObservationPage:
    answer = await get_internal(cups.internal_port, f"/observations?since={since}", TOKEN)
    assert answer.status == 200
    return msgspec.json.decode(answer.body, type=ObservationPage)


async def _only(cups: Cups) -> Observation:
    (found,) = (await _page(cups)).observations
    return found


async def _publish(cups: Cups, trusted: list[Trusted], gateways: list[Gateway]) -> None:
    cups.publish(trusted, gateways)

    async def loaded() -> bool:
        answer = await get_internal(cups.internal_port, "/generation", TOKEN)
        return set(answer.json()["generations"].values()) == {cups.generation}

    await until(loaded, "the published generation is in force")


async def test_a_visit_shows_the_gateway_and_its_certificate(guarded: Cups, pki: Pki) -> None:
    await guarded.client(pki.a_gateway).ask(json.dumps(REPORT).encode())

    found = await _only(guarded)

    assert (found.eui, found.uid, found.model) == (pki.eui, "uid-gateway", "minihub")
    assert found.last_seen is not None
    assert found.certificate is not None
    assert found.certificate.trusted_ca == "radio/a"
    assert found.delivery is not None
    assert found.delivery.state is DeliveryState.DELIVERED
    assert found.refusal is None


async def test_a_gateway_that_does_not_accept_its_credentials_is_reported_and_retried_later(
    guarded: Cups, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    stale = json.dumps(REPORT | {"tcCredCrc": 1}).encode()

    answers = [await guarded.client(pki.a_gateway).ask(stale) for _ in range(5)]

    assert [answer.body == NO_CHANGE for answer in answers] == [False] * 3 + [True] * 2
    found = await _only(guarded)
    assert found.delivery is not None
    assert (found.delivery.state, found.delivery.deliveries) == (DeliveryState.NOT_CONVERGING, 3)
    assert found.delivery.outstanding == (Segment.LNS_CREDENTIALS,)
    said = [record for record in caplog.records if record.getMessage() == "not converging"]
    assert [record.fields["gateway"] for record in said] == ["radio/gateway"]  # type: ignore[attr-defined]
    metrics = (await get_internal(guarded.internal_port, "/metrics")).body.decode()
    assert 'stationkeeper_deliveries_total{segment="LNSCredentials"} 3.0' in metrics
    assert "stationkeeper_suppressed_deliveries_total 2.0" in metrics
    assert 'stationkeeper_gateway_deliveries{state="NotConverging"} 1.0' in metrics


async def test_a_request_by_hand_is_answered_in_full_however_often(guarded: Cups, pki: Pki) -> None:
    answers = [await guarded.client(pki.a_gateway).ask() for _ in range(5)]

    assert all(LNS_CREDENTIALS in answer.body for answer in answers)
    assert (await _only(guarded)).delivery is None


def _with_an_end(connection: ssl.SSLSocket) -> None:
    connection.close()


def _with_a_goodbye(connection: ssl.SSLSocket) -> None:
    connection.settimeout(0.1)
    with suppress(OSError):
        connection.unwrap()
    connection.close()


def _with_a_reset(connection: ssl.SSLSocket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("leave", [_with_an_end, _with_a_goodbye, _with_a_reset])
async def test_an_answer_to_a_client_that_has_gone_was_not_sent(
    guarded: Cups,
    pki: Pki,
    caplog: pytest.LogCaptureFixture,
    leave: Callable[[ssl.SSLSocket], None],
    tls: ssl.TLSVersion,
) -> None:
    caplog.set_level("INFO")
    stale = json.dumps(REPORT | {"tcCredCrc": 1}).encode()
    request = b"POST /update-info HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(stale), stale)
    for _ in range(4):
        connection = await asyncio.to_thread(guarded.client(pki.a_gateway, tls=tls).connect)
        await asyncio.sleep(0.05)
        # The server shares this thread: it meets the request and the end at once.
        connection.sendall(request)
        leave(connection)
        await asyncio.sleep(0.05)
    assert not (await _page(guarded)).observations
    assert not [record for record in caplog.records if record.getMessage() == "answered"]
    metrics = (await get_internal(guarded.internal_port, "/metrics")).body.decode()
    assert 'stationkeeper_requests_total{outcome="Answered"} 0.0' in metrics

    await guarded.client(pki.a_gateway).ask(stale)
    found = await _only(guarded)
    assert found.delivery is not None
    assert found.delivery.deliveries == 1


async def test_a_cursor_gets_what_is_new_and_a_server_that_started_again_has_another_instance(
    guarded: Cups, pki: Pki, tmp_path: Path
) -> None:
    await guarded.client(pki.a_gateway).ask()
    first = await _page(guarded)
    assert not (await _page(guarded, first.cursor)).observations
    await guarded.client(pki.a_gateway).ask()
    assert len((await _page(guarded, first.cursor)).observations) == 1
    await guarded.stop()

    again = Cups(tmp_path, pki, token=TOKEN)
    again.start()
    try:

        async def alive() -> bool:
            return (await get_internal(again.internal_port, "/healthz")).status == 200

        await until(alive, "the server is alive")
        page = await _page(again, first.cursor)
        assert page.instance != first.instance
        assert not page.observations
    finally:
        await again.stop()


async def test_a_refusal_stands_with_the_eui_of_the_certificate_and_as_a_claim_with_the_one_that_is_named(
    guarded: Cups, pki: Pki
) -> None:
    await _publish(guarded, [Trusted("a", pki.a)], [Gateway(pki.eui), Gateway(OTHER_EUI)])

    await guarded.client(pki.a_gateway).ask(b'{"router":"aabb:ccdd:0:1"}')

    found = {each.eui: each for each in (await _page(guarded)).observations}
    claims = {each.eui: each.refusal.claimed for each in found.values() if each.refusal}
    assert claims == {pki.eui: False, OTHER_EUI: True}
    assert {each.refusal.reason for each in found.values() if each.refusal} == {"CommonNameMismatch"}
    assert [each.last_seen for each in found.values()] == [None, None]


async def test_a_tenants_certificate_for_somebody_elses_eui_overwrites_nothing(guarded: Cups, pki: Pki) -> None:
    await _publish(guarded, [Trusted("a", pki.a), Trusted("b", pki.b, namespace="tenant")], [Gateway(pki.eui)])
    await guarded.client(pki.a_gateway).ask(json.dumps(REPORT).encode())
    before = await _only(guarded)

    await guarded.client(pki.b_gateway).ask(json.dumps(REPORT | {"model": "theirs"}).encode())

    assert await _only(guarded) == before, "nor is the refusal told in another tenant's status"


async def test_an_unregistered_gateway_is_listed_with_its_certificate(guarded: Cups, pki: Pki) -> None:
    stranger = make_gateway(OTHER_EUI, pki.a, datetime.now(UTC))
    await guarded.client(stranger).ask(b'{"router":"aabb:ccdd:0:1","model":"minihub"}')

    found = await _only(guarded)

    assert (found.eui, found.uid, found.model) == (OTHER_EUI, "", "minihub")
    assert found.certificate is not None
    assert found.last_seen is not None
    assert found.refusal is not None
    assert found.refusal.reason == "GatewayNotRegistered"


async def test_observations_are_shut_without_a_token(cups: Cups) -> None:
    answer = await get_internal(cups.internal_port, "/observations", "anything")

    assert answer.status == 403
    assert b"STATIONKEEPER_INTERNAL_TOKEN_FILE" in answer.body


@pytest.mark.parametrize("token", [None, "wrong", TOKEN[:-1]])
async def test_observations_need_the_token(guarded: Cups, token: str | None) -> None:
    assert (await get_internal(guarded.internal_port, "/observations", token)).status == 401


@pytest.mark.parametrize("since", ["", "x", "-1", "1.0", "%C2%B2", "9" * 19])
async def test_a_cursor_that_is_none_is_refused(guarded: Cups, since: str) -> None:
    assert (await get_internal(guarded.internal_port, f"/observations?since={since}", TOKEN)).status == 400


async def test_another_configuration_is_pending_before_the_gateway_asks_again(guarded: Cups, pki: Pki) -> None:
    await guarded.client(pki.a_gateway).ask(json.dumps(REPORT).encode())
    cursor = (await _page(guarded)).cursor

    await _publish(guarded, [Trusted("a", pki.a)], [Gateway(pki.eui, options={"lns_uri": "wss://other:8887"})])

    (found,) = (await _page(guarded, cursor)).observations
    assert found.delivery is not None
    assert (found.delivery.state, found.delivery.deliveries) == (DeliveryState.PENDING, 0)
    metrics = (await get_internal(guarded.internal_port, "/metrics")).body.decode()
    assert 'stationkeeper_gateway_deliveries{state="Delivered"} 0.0' in metrics


async def test_the_same_configuration_published_again_leaves_it_delivered(guarded: Cups, pki: Pki) -> None:
    await guarded.client(pki.a_gateway).ask(json.dumps(REPORT).encode())
    cursor = (await _page(guarded)).cursor

    await _publish(guarded, [Trusted("a", pki.a)], [Gateway(pki.eui), Gateway(OTHER_EUI)])

    assert not (await _page(guarded, cursor)).observations


async def test_a_refused_handshake_is_reported_with_its_certificate(guarded: Cups, pki: Pki) -> None:
    await guarded.client(pki.b_gateway).alert()

    assert (await get_internal(guarded.internal_port, "/refusals")).status == 401
    (told,) = (await get_internal(guarded.internal_port, "/refusals", TOKEN)).json()["refusals"]
    assert (told["reason"], told["commonName"], told["issuer"]) == ("UnknownCA", pki.eui, "CN=Vendor B")
    assert told["inHandshake"]


async def test_a_gateway_whose_certificate_has_expired_shows_it_as_claimed_and_keeps_what_a_visit_left(
    guarded: Cups, pki: Pki
) -> None:
    await guarded.client(pki.a_gateway).ask(json.dumps(REPORT).encode())
    before = await _only(guarded)
    assert "EXPIRED" in await guarded.client(pki.a_expired_gateway).alert()

    after = await _only(guarded)
    assert after.refusal is not None
    assert (after.refusal.reason, after.refusal.claimed) == ("CertificateExpired", True)
    assert msgspec.structs.replace(after, refusal=None) == before


async def test_a_claim_replaces_no_proven_observation(guarded: Cups, pki: Pki) -> None:
    await _publish(guarded, [Trusted("a", pki.a)], [Gateway(pki.eui, options={"suspended": True})])
    await guarded.client(pki.a_gateway).ask(json.dumps(REPORT).encode())
    before = await _only(guarded)
    await guarded.client(pki.a_expired_gateway).alert()

    assert before.refusal is not None
    assert (before.refusal.reason, before.refusal.claimed) == ("GatewaySuspended", False)
    assert await _only(guarded) == before


async def test_a_client_with_another_gateways_certificate_shows_on_both_and_changes_nothing_of_a_visit(
    guarded: Cups, pki: Pki
) -> None:
    other = make_gateway(OTHER_EUI, pki.a, datetime.now(UTC))
    await _publish(guarded, [Trusted("a", pki.a)], [Gateway(pki.eui)])
    await guarded.client(pki.a_gateway).ask(json.dumps(REPORT).encode())
    before = await _only(guarded)

    answer = await guarded.client(other).ask(json.dumps(REPORT | {"model": "forged"}).encode())

    assert (answer.status, answer.reason) == (403, "CommonNameMismatch")
    shown = {each.eui: each for each in (await _page(guarded)).observations}
    asked_for, own = shown[pki.eui], shown[OTHER_EUI]
    assert asked_for.refusal is not None
    assert (asked_for.refusal.reason, asked_for.refusal.claimed) == ("CommonNameMismatch", True)
    assert asked_for.refusal.trusted_ca == "radio/a"
    assert msgspec.structs.replace(asked_for, refusal=None) == before
    assert own.refusal is not None
    assert not own.refusal.claimed
    assert not own.uid


async def test_another_tenants_ca_writes_no_claim(guarded: Cups, pki: Pki) -> None:
    other = make_gateway(OTHER_EUI, pki.b, datetime.now(UTC))
    trusted = [Trusted("a", pki.a), Trusted("b", pki.b, namespace="tenant")]
    await _publish(guarded, trusted, [Gateway(pki.eui)])

    assert (await guarded.client(other).ask(json.dumps(REPORT).encode())).status == 403
    assert pki.eui not in {each.eui for each in (await _page(guarded)).observations}
