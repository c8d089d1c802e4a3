"""Token authentication over real TLS: who is accepted without a certificate; a presented certificate decides alone."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from stationkeeper_core.protocol.credentials import MAX_TOKEN_BYTES
from stationkeeper_cups.http.connection import RequestSeconds
from tests.cups.client import ENDED, Answer, exchange, get_internal
from tests.cups.conftest import Cups, serving
from tests.cups.documents import BYSTANDERS_TOKEN, LNS_URI, NEW_TOKEN, OLD_TOKEN, TOKEN_GATEWAYS, Trusted, with_tokens
from tests.cups.pki import Pki
from tests.station_answer import read_answer

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
MINE, BYSTANDERS, SUSPENDED, WITHOUT, UNKNOWN = (f'{{"router":"102:304:506:70{digit}"}}'.encode() for digit in "89ABC")


def bearing(token: str) -> tuple[str, ...]:
    return (f"Authorization: {token}",)


def told(answer: Answer) -> tuple[int, bytes, dict[str, str]]:
    return answer.status, answer.body, {name: value for name, value in answer.headers.items() if name != "Date"}


@pytest.mark.parametrize("tls", VERSIONS)
async def test_where_it_is_off_a_client_without_a_certificate_is_refused_in_the_handshake(
    cups: Cups, pki: Pki, tls: ssl.TLSVersion
) -> None:
    cups.publish([Trusted("a", pki.a)], [with_tokens(pki.eui, OLD_TOKEN)])
    await cups.loaded()

    alert = await cups.client(None, tls=tls).alert(bearing(OLD_TOKEN))

    assert alert in {"TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_HANDSHAKE_FAILURE"}


@pytest.mark.parametrize("tls", VERSIONS)
@pytest.mark.parametrize("token", [OLD_TOKEN, NEW_TOKEN])
async def test_each_token_of_a_gateway_is_accepted_without_a_certificate(
    token_cups: Cups, tls: ssl.TLSVersion, token: str
) -> None:
    answer = await token_cups.client(None, tls=tls).ask(headers=bearing(token))

    assert answer.status == 200
    assert read_answer(answer.body).tc_uri == LNS_URI


async def test_the_name_of_the_header_may_be_written_in_any_case(token_cups: Cups) -> None:
    answer = await token_cups.client(None).ask(headers=(f"AUTHORIZATION:  {OLD_TOKEN} ",))

    assert answer.status == 200


@pytest.mark.parametrize("tls", VERSIONS)
async def test_the_fault_of_a_token_cannot_be_seen_from_outside(token_cups: Cups, tls: ssl.TLSVersion) -> None:
    client = token_cups.client(None, tls=tls)
    refused = [
        await client.ask(MINE, headers=bearing("Bearer wrong-0123456789abcdef")),
        await client.ask(MINE, headers=bearing(BYSTANDERS_TOKEN)),
        await client.ask(MINE, headers=bearing("")),
        await client.ask(UNKNOWN, headers=bearing(OLD_TOKEN)),
        await client.ask(WITHOUT, headers=bearing(OLD_TOKEN)),
        await client.ask(SUSPENDED, headers=bearing(OLD_TOKEN)),
    ]

    assert {(each.status, each.reason) for each in refused} == {(403, "TokenRefused")}
    assert all(told(each) == told(refused[0]) for each in refused)


async def test_a_missing_token_looks_the_same_for_all_gateways(token_cups: Cups) -> None:
    client = token_cups.client(None)
    known, unknown = await client.ask(MINE), await client.ask(UNKNOWN)

    assert (known.status, known.reason) == (403, "TokenMissing")
    assert told(known) == told(unknown)


async def test_two_authorization_headers_are_refused(token_cups: Cups) -> None:
    answer = await token_cups.client(None).ask(headers=(*bearing(OLD_TOKEN), *bearing(OLD_TOKEN)))

    assert answer.status in {400, 403}


@pytest.mark.parametrize("tls", VERSIONS)
async def test_a_certificate_that_does_not_verify_is_refused_by_an_alert_whatever_the_token(
    token_cups: Cups, pki: Pki, tls: ssl.TLSVersion
) -> None:
    stranger, expired = token_cups.client(pki.b_gateway, tls=tls), token_cups.client(pki.a_expired_gateway, tls=tls)

    assert await stranger.alert(bearing(OLD_TOKEN)) == "TLSV1_ALERT_UNKNOWN_CA"
    assert await expired.alert(bearing(OLD_TOKEN)) == "SSLV3_ALERT_CERTIFICATE_EXPIRED"


async def test_no_certificate_is_accepted_while_no_ca_is_trusted_but_tokens_are(token_cups: Cups, pki: Pki) -> None:
    token_cups.publish([], [with_tokens(pki.eui, OLD_TOKEN)])
    await token_cups.loaded()

    assert await token_cups.client(pki.a_gateway).alert(bearing(OLD_TOKEN)) == "TLSV1_ALERT_UNKNOWN_CA"
    assert (await token_cups.client(None).ask(headers=bearing(OLD_TOKEN))).status == 200


async def test_a_certificate_decides_alone_whatever_token_comes_with_it(token_cups: Cups, pki: Pki) -> None:
    client = token_cups.client(pki.a_gateway)
    of_another = await client.ask(BYSTANDERS, headers=bearing(BYSTANDERS_TOKEN))
    its_own = await client.ask(MINE, headers=bearing("Bearer wrong-0123456789abcdef"))

    assert (of_another.status, of_another.reason) == (403, "CommonNameMismatch")
    assert its_own.status == 200


async def test_a_removed_token_is_refused_on_an_open_connection(token_cups: Cups, pki: Pki) -> None:
    connection = await asyncio.to_thread(token_cups.client(None).connect)
    with connection:
        before = await asyncio.to_thread(exchange, connection, headers=bearing(OLD_TOKEN))
        token_cups.publish([Trusted("a", pki.a)], [with_tokens(pki.eui, NEW_TOKEN)])
        await token_cups.loaded()
        rotated = await asyncio.to_thread(exchange, connection, headers=bearing(NEW_TOKEN))
        after = await asyncio.to_thread(exchange, connection, headers=bearing(OLD_TOKEN))

    assert (before.status, rotated.status) == (200, 200)
    assert (after.status, after.reason) == (403, "TokenRefused")


async def test_a_change_of_trust_closes_no_connection_without_a_certificate(token_cups: Cups, pki: Pki) -> None:
    connection = await asyncio.to_thread(token_cups.client(None).connect)
    with connection:
        await asyncio.to_thread(exchange, connection, headers=bearing(OLD_TOKEN))
        token_cups.publish([Trusted("b", pki.b)], [with_tokens(pki.eui, OLD_TOKEN)])
        await token_cups.loaded()
        answer = await asyncio.to_thread(exchange, connection, headers=bearing(OLD_TOKEN))

    assert answer.status == 200


async def test_the_connection_of_a_refused_unknown_client_is_closed(token_cups: Cups) -> None:
    refused = await token_cups.client(None).ask(headers=bearing("Bearer wrong-0123456789abcdef"))

    assert refused.headers["Connection"] == "close"


@pytest.mark.parametrize("begun", [b"", b"POST /update-info HTTP/1.1\r\nHost: a\r\n"])
async def test_the_connection_of_a_silent_unknown_client_is_closed(pki: Pki, tmp_path: Path, begun: bytes) -> None:
    async with serving(
        tmp_path, pki, *TOKEN_GATEWAYS, token_authentication=True, seconds=RequestSeconds(head=0.1)
    ) as token_cups:

        def wait_for_the_end() -> bytes:
            with token_cups.client(None).connect() as connection:
                try:
                    connection.sendall(begun)
                    return connection.recv(1)
                except ENDED:
                    return b""

        assert await asyncio.to_thread(wait_for_the_end) == b""


async def test_a_connection_that_asked_is_not_ended_as_a_silent_one(pki: Pki, tmp_path: Path) -> None:
    statuses: list[int] = []
    # A client on a busy machine may be too slow for its first request, and is given longer then.
    for head in (0.2, 2.0, 20.0):
        folder = tmp_path / str(head)
        folder.mkdir()
        async with serving(
            folder, pki, *TOKEN_GATEWAYS, token_authentication=True, seconds=RequestSeconds(head=head)
        ) as token_cups:
            connection = await asyncio.to_thread(token_cups.client(None).connect)
            with connection, suppress(*ENDED):
                statuses = [(await asyncio.to_thread(exchange, connection, headers=bearing(OLD_TOKEN))).status]
                await asyncio.sleep(2 * head)
                statuses += [(await asyncio.to_thread(exchange, connection, headers=bearing(OLD_TOKEN))).status]
        if statuses:
            break

    assert statuses == [200, 200]


async def test_the_longest_token_that_the_operator_takes_fits(token_cups: Cups, pki: Pki) -> None:
    longest = "Bearer " + "a" * (MAX_TOKEN_BYTES - len("Bearer "))
    token_cups.publish([Trusted("a", pki.a)], [with_tokens(pki.eui, longest)])
    await token_cups.loaded()

    assert (await token_cups.client(None).ask(headers=bearing(longest))).status == 200


async def test_the_log_says_what_it_was_and_neither_log_nor_metrics_hold_the_token(
    token_cups: Cups, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    client = token_cups.client(None)
    await client.ask(MINE, headers=bearing("Bearer wrong-0123456789abcdef"))
    await client.ask(SUSPENDED, headers=bearing(OLD_TOKEN))
    await client.ask(MINE, headers=bearing(NEW_TOKEN))

    details = [vars(each)["fields"]["detail"] for each in caplog.records if each.getMessage() == "refused"]
    assert ["not a token of" in details[0], "is suspended" in details[1]] == [True, True]
    answered = [vars(each)["fields"] for each in caplog.records if each.getMessage() == "answered"]
    assert [each["token"] for each in answered] == ["secret-1/token"]
    metrics = (await get_internal(token_cups.internal_port, "/metrics")).body.decode()
    assert 'stationkeeper_requests_total{outcome="TokenRefused"} 2.0' in metrics
    assert "0123456789abcdef" not in metrics + "".join(str(vars(each)) for each in caplog.records)
