import asyncio
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path

import pytest

from stationkeeper_cups.http.connection import REQUEST_BOUNDS, RequestSeconds
from stationkeeper_cups.log_budget import BURST, BURST_EACH, LINES_A_SECOND, LINES_A_SECOND_EACH, LogBudget
from tests.cups.client import exchange, get_internal, until
from tests.cups.conftest import Cups, serving
from tests.cups.documents import Gateway
from tests.cups.pki import Pki


async def test_an_overlong_header_is_in_no_log_and_no_answer(
    cups: Cups, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"POST /update-info HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer SECRET" + b"x" * 5000 + b"\r\n\r\n"

    def talk() -> bytes:
        with cups.client(pki.a_gateway).connect() as connection:
            connection.sendall(head)
            return connection.recv(4096)

    answer = await asyncio.to_thread(talk)

    assert b" 400 " in answer
    assert b"SECRET" not in answer
    logged = " ".join(str(getattr(record, "fields", "")) + record.getMessage() for record in caplog.records)
    assert "SECRET" not in logged


REQUEST = b"POST /update-info HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\n" + b'{"router":"102:304:506:708"}'


@pytest.mark.slow
async def test_a_client_that_reads_no_answer_loses_its_connection(pki: Pki, tmp_path: Path) -> None:
    large = Gateway(pki.eui, options={"lns_credentials": bytes(65000)})
    async with serving(tmp_path, pki, large, seconds=RequestSeconds(answer=0.3)) as cups:
        client = cups.client(pki.a_gateway)

        def flood() -> ssl.SSLSocket:
            raw = socket.socket()
            # The kernel must not take all answers in the client's place.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.connect(("127.0.0.1", cups.port))
            connection = client.context.wrap_socket(raw, server_hostname="localhost")
            connection.settimeout(0.5)
            with suppress(OSError):
                for _ in range(2000):
                    connection.sendall(REQUEST)
            return connection

        connection = await asyncio.to_thread(flood)

        async def gone() -> bool:
            return "stationkeeper_connections 0.0" in (await get_internal(cups.internal_port, "/metrics")).body.decode()

        await until(gone, "the connection is ended")
        connection.close()


async def test_a_connection_is_ended_after_a_few_requests(cups: Cups, pki: Pki) -> None:
    def ask_on_and_on() -> list[str]:
        said: list[str] = []
        with cups.client(pki.a_gateway).connect() as connection:
            while not said or said[-1] != "close":
                said.append(exchange(connection).headers.get("Connection", ""))
            assert connection.recv(1) == b""
        return said

    assert len(await asyncio.to_thread(ask_on_and_on)) == REQUEST_BOUNDS.requests


async def test_a_connection_is_ended_after_a_refusal(cups: Cups, pki: Pki) -> None:
    refused = await cups.client(pki.a_gateway).ask(b'{"router":"1::2"}')

    assert refused.status == 403
    assert refused.headers["Connection"] == "close"


async def test_requests_sent_ahead_are_answered_one_after_the_other(cups: Cups, pki: Pki) -> None:
    def pipeline() -> bytes:
        found = b""
        with cups.client(pki.a_gateway).connect() as connection:
            connection.sendall(REQUEST * 20)
            with suppress(OSError):
                while more := connection.recv(65536):
                    found += more
        return found

    assert (await asyncio.to_thread(pipeline)).count(b"HTTP/1.1 200 OK") == REQUEST_BOUNDS.requests


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_a_request_may_come_in_any_pieces(cups: Cups, pki: Pki, size: int) -> None:
    def dribble() -> bytes:
        with cups.client(pki.a_gateway).connect() as connection:
            for place in range(0, len(REQUEST), size):
                connection.sendall(REQUEST[place : place + size])
            return connection.recv(65536)

    assert (await asyncio.to_thread(dribble)).startswith(b"HTTP/1.1 200 OK")


async def test_a_client_that_has_ended_its_side_is_still_answered(cups: Cups, pki: Pki) -> None:
    def half_close() -> bytes:
        with cups.client(pki.a_gateway, tls=ssl.TLSVersion.TLSv1_2).connect() as connection:
            connection.sendall(REQUEST)
            socket.socket.shutdown(connection, socket.SHUT_WR)
            return connection.recv(65536)

    assert (await asyncio.to_thread(half_close)).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.slow
async def test_one_gateway_that_asks_without_end_fills_no_log(
    cups: Cups, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    began, asked = time.monotonic(), 0
    # On a slow machine the budget gets new lines meanwhile: ask more often than it has lines.
    while asked < BURST_EACH + 20 + LINES_A_SECOND_EACH * (time.monotonic() - began):
        await cups.client(pki.a_gateway).ask()
        asked += 1

    lines = [record for record in caplog.records if record.getMessage() == "answered"]
    assert BURST_EACH <= len(lines) <= BURST_EACH + 1 + LINES_A_SECOND_EACH * (time.monotonic() - began)
    assert len(lines) < asked


async def test_a_compressed_body_is_not_inflated(cups: Cups, pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    head = b"POST /update-info HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 28\r\n\r\n"

    def talk() -> bytes:
        with cups.client(pki.a_gateway).connect() as connection:
            connection.sendall(head + b'{"router":"102:304:506:708"}')
            return connection.recv(100)

    assert b" 200 " in await asyncio.to_thread(talk)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_lines_about_unknown_clients_are_bounded_and_those_left_out_are_counted() -> None:
    now = 0.0
    budget = LogBudget(lambda: now)

    taken = [budget.take() for _ in range(int(BURST) + 50)]
    assert taken.count(None) == 50
    now += 1 / LINES_A_SECOND
    assert budget.take() == 50
    assert budget.take() is None
