import asyncio
import ssl

import pytest

from stationkeeper_cups.log_budget import BURST, LINES_A_SECOND, LogBudget
from tests.cups.client import get_internal, until
from tests.cups.conftest import Cups
from tests.cups.documents import Gateway, Trusted
from tests.cups.pki import Pki


async def test_what_a_client_sends_in_an_overlong_header_is_in_no_log_and_no_answer(
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


async def test_a_client_that_reads_no_answer_loses_its_connection(
    cups: Cups, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stationkeeper_cups.update_info_server.ANSWER_SECONDS", 0.3)
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui, options={"lns_credentials": bytes(65000)})])
    await cups.loaded()
    request = b"POST /update-info HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\n" + b'{"router":"102:304:506:708"}'

    def flood() -> ssl.SSLSocket:
        connection = cups.client(pki.a_gateway).connect()
        connection.settimeout(0.5)
        try:
            for _ in range(2000):
                connection.sendall(request)
        except OSError:
            pass
        return connection

    connection = await asyncio.to_thread(flood)

    async def gone() -> bool:
        return "stationkeeper_connections 0.0" in (await get_internal(cups.internal_port, "/metrics")).body.decode()

    await until(gone, "the connection is ended")
    connection.close()


async def test_a_compressed_body_is_not_inflated(cups: Cups, pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    head = b"POST /update-info HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 28\r\n\r\n"

    def talk() -> bytes:
        with cups.client(pki.a_gateway).connect() as connection:
            connection.sendall(head + b'{"router":"102:304:506:708"}')
            return connection.recv(100)

    assert b" 200 " in await asyncio.to_thread(talk)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_lines_about_strangers_are_bounded_and_those_left_out_are_counted() -> None:
    now = 0.0
    budget = LogBudget(lambda: now)

    taken = [budget.take() for _ in range(int(BURST) + 50)]
    assert taken.count(None) == 50
    now += 1 / LINES_A_SECOND
    assert budget.take() == 50
    assert budget.take() is None
