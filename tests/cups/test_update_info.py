import asyncio
import json
import logging
import socket
import ssl
import struct

import pytest

from stationkeeper_core.protocol.credentials import crc
from stationkeeper_core.protocol.update_info import NO_CHANGE
from tests.cups.client import exchange, get_internal, until
from tests.cups.conftest import Cups
from tests.cups.documents import LNS_CREDENTIALS, LNS_URI, Gateway, Trusted
from tests.cups.pki import Pki
from tests.station_answer import read_answer


@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_seeds_request_is_answered_with_the_lns(cups: Cups, pki: Pki, tls: ssl.TLSVersion) -> None:
    answer = await cups.client(pki.a_gateway, tls=tls).ask()

    assert answer.status == 200
    assert answer.headers["Content-Length"] == str(len(answer.body))
    response = read_answer(answer.body)
    assert (response.tc_uri, response.tc_credentials) == (LNS_URI, LNS_CREDENTIALS)


async def test_a_gateway_that_has_all_is_told_to_change_nothing(cups: Cups, pki: Pki) -> None:
    report = {"router": "102:304:506:708", "tcUri": LNS_URI, "tcCredCrc": crc(LNS_CREDENTIALS)}

    answer = await cups.client(pki.a_gateway).ask(json.dumps(report).encode())

    assert (answer.status, answer.body) == (200, NO_CHANGE)


async def test_several_requests_on_one_connection_are_answered(cups: Cups, pki: Pki) -> None:
    def two() -> list[int]:
        with cups.client(pki.a_gateway).connect() as connection:
            return [exchange(connection).status, exchange(connection).status]

    assert await asyncio.to_thread(two) == [200, 200]


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "MalformedRequest"),
        (b"{", 400, "MalformedRequest"),
        (b"[" * 16000, 400, "MalformedRequest"),
        (b"[]", 400, "MalformedRequest"),
        (b'{"router":"1::","tcCredCrc":-1}', 400, "MalformedRequest"),
        (b"{}", 400, "RouterMissing"),
        (b'{"router":7}', 400, "RouterUnparsable"),
        (b'{"router":"0102030405060708"}', 400, "RouterUnparsable"),
        (b'{"router":"102:304:506:709"}', 403, "CommonNameMismatch"),
        (b'{"router":"102:304:506:708"}' + b" " * 16384, 413, "RequestTooLarge"),
        (b" " * 200_000, 413, "RequestTooLarge"),
    ],
)
async def test_a_request_that_is_wrong_is_refused_legibly(
    cups: Cups, pki: Pki, body: bytes, status: int, reason: str
) -> None:
    answer = await cups.client(pki.a_gateway).ask(body)

    assert (answer.status, answer.reason) == (status, reason)
    assert len(answer.body) < 8000


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/update-info", 405, "MethodNotAllowed"),
        ("PUT", "/update-info", 405, "MethodNotAllowed"),
        ("POST", "/", 404, "PathNotFound"),
        ("POST", "/update-info/", 404, "PathNotFound"),
        ("POST", "/metrics", 404, "PathNotFound"),
    ],
)
async def test_a_wrong_method_or_path_is_refused_legibly(
    cups: Cups, pki: Pki, method: str, path: str, status: int, reason: str
) -> None:
    answer = await cups.client(pki.a_gateway).ask(method=method, path=path)

    assert (answer.status, answer.reason) == (status, reason)


async def test_refusals_stand_in_the_log_and_the_metrics_with_their_reason(
    cups: Cups, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    await cups.client(pki.a_gateway).ask(b'{"router":"102:304:506:709"}')

    refused = [record for record in caplog.records if record.getMessage() == "refused"]
    assert refused[-1].fields["reason"] == "CommonNameMismatch"  # type: ignore[attr-defined]
    metrics = (await get_internal(cups.internal_port, "/metrics")).body.decode()
    assert 'stationkeeper_requests_total{outcome="CommonNameMismatch"} 1.0' in metrics


async def test_unregistered_and_suspended_gateways_are_refused(cups: Cups, pki: Pki) -> None:
    client = cups.client(pki.a_gateway)

    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui, options={"suspended": True})])
    await cups.loaded()
    suspended = await client.ask()
    cups.publish([Trusted("a", pki.a)], [])
    await cups.loaded()
    unregistered = await client.ask()

    assert (suspended.status, suspended.reason) == (403, "GatewaySuspended")
    assert (unregistered.status, unregistered.reason) == (404, "GatewayNotRegistered")


async def test_a_server_error_closes_the_connection_without_an_answer(
    cups: Cups, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("stationkeeper_core.policy.authorization_memory.authorize", broken)

    assert await cups.client(pki.a_gateway).alert() in {
        "RemoteDisconnected",
        "ConnectionResetError",
        "SSLEOFError",
        "UNEXPECTED_EOF_WHILE_READING",
    }


async def test_a_gateway_of_another_namespace_is_not_opened_by_this_ones_ca(cups: Cups, pki: Pki) -> None:
    cups.publish([Trusted("a", pki.a, namespace="elsewhere")], [Gateway(pki.eui)])
    await cups.loaded()

    answer = await cups.client(pki.a_gateway).ask()

    assert (answer.status, answer.reason) == (403, "TrustedCAOfAnotherNamespace")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00garbage\r\n\r\n",
        b"POST /update-info HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /update-info HTTP/1.1\r\n" + b"X: " + b"a" * 9000 + b"\r\n\r\n",
        b"POST /update-info HTTP/1.1\r\n" + b"".join(b"X%d: a\r\n" % number for number in range(100)) + b"\r\n",
    ],
)
async def test_a_request_that_is_not_http_is_refused_with_400_and_one_short_line(
    cups: Cups, pki: Pki, caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    def talk() -> bytes:
        with cups.client(pki.a_gateway).connect() as connection:
            connection.sendall(request_bytes)
            return b"".join(iter(lambda: connection.recv(4096), b""))

    answer = await asyncio.to_thread(talk)

    assert b" 400 " in answer.splitlines()[0]
    assert b"MalformedRequest: " in answer
    assert b"aiohttp" not in answer
    assert len(answer) < 2000
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "application/json", "text/plain; charset=utf-16"]
)
async def test_the_content_type_of_a_request_does_not_matter(cups: Cups, pki: Pki, kind: str) -> None:
    answer = await cups.client(pki.a_gateway).ask(headers=(f"Content-Type: {kind}",))

    assert answer.status == 200


async def test_an_answer_is_neither_chunked_nor_compressed_whatever_the_client_takes(cups: Cups, pki: Pki) -> None:
    answer = await cups.client(pki.a_gateway).ask(headers=("Accept-Encoding: gzip, deflate, br", "TE: chunked"))

    assert not answer.headers.keys() & {"Content-Encoding", "Transfer-Encoding"}
    assert answer.headers["Content-Length"] == str(len(answer.body))


async def test_an_abrupt_close_after_the_answer_is_not_an_error(
    cups: Cups, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    def ask_and_reset() -> int:
        connection = cups.client(pki.a_gateway).connect()
        status = exchange(connection).status
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        return status

    assert await asyncio.to_thread(ask_and_reset) == 200

    async def gone() -> bool:
        return "stationkeeper_connections 0.0" in (await get_internal(cups.internal_port, "/metrics")).body.decode()

    await until(gone, "the connection is ended")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
