import asyncio
import socket
from pathlib import Path

import pytest

from tests.cups.client import exchange, get_internal, until
from tests.cups.conftest import Cups
from tests.cups.documents import Gateway, Trusted
from tests.cups.pki import Pki
from tests.waiting import EVENTUALLY


async def test_it_is_alive_but_not_ready_before_the_first_complete_load(idle_cups: Cups, pki: Pki) -> None:
    async def alive() -> bool:
        return (await get_internal(idle_cups.internal_port, "/healthz")).status == 200

    await until(alive, "the server is alive")
    nothing = await get_internal(idle_cups.internal_port, "/readyz")
    assert nothing.status == 503
    assert "trust" in nothing.json()["missing"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", idle_cups.port), timeout=5)

    idle_cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
    await idle_cups.loaded()
    without_certificate = await get_internal(idle_cups.internal_port, "/readyz")
    assert (without_certificate.status, without_certificate.json()["missing"]) == (503, ["server-certificate"])

    idle_cups.lay_server_tls(pki.server)

    async def ready() -> bool:
        return (await get_internal(idle_cups.internal_port, "/readyz")).status == 200

    await until(ready, "the server is ready")
    assert (await idle_cups.client(pki.a_gateway).ask()).status == 200


async def test_the_generation_needs_the_token_where_there_is_one(tmp_path: Path, pki: Pki) -> None:
    cups = Cups(tmp_path, pki, token="correct")
    cups.start()

    async def alive() -> bool:
        return (await get_internal(cups.internal_port, "/healthz")).status == 200

    try:
        await until(alive, "the server is alive")
        answers = [await get_internal(cups.internal_port, "/generation", token) for token in (None, "wrong", "correct")]
        assert [answer.status for answer in answers] == [401, 401, 200]
    finally:
        await cups.stop()


async def test_a_request_that_is_being_sent_when_the_server_stops_is_answered(cups: Cups, pki: Pki) -> None:
    connection = await asyncio.to_thread(cups.client(pki.a_gateway).connect)
    with connection:
        connection.sendall(b"POST /update-info HTTP/1.1\r\nHost: localhost\r\nContent-Length: 28\r\n\r\n")
        await _being_read(cups)
        stopping = asyncio.create_task(cups.stop())
        await _closed(cups)
        connection.sendall(b'{"router":"102:304:506:708"}')
        answer = await asyncio.to_thread(connection.recv, 1000)
    await stopping

    assert b" 200 " in answer


async def test_an_idle_connection_does_not_keep_the_server_from_stopping(
    cups: Cups, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await asyncio.to_thread(cups.client(pki.a_gateway).connect)
    with connection:
        await asyncio.to_thread(exchange, connection)

        monkeypatch.setattr("stationkeeper_cups.main.DRAIN_SECONDS", 600.0)
        await asyncio.wait_for(cups.stop(), EVENTUALLY)


async def _being_read(cups: Cups) -> None:
    async def connected() -> bool:
        return "stationkeeper_connections 1.0" in (await get_internal(cups.internal_port, "/metrics")).body.decode()

    await until(connected, "the connection is open")


async def _closed(cups: Cups) -> None:
    async def closed() -> bool:
        try:
            socket.create_connection(("127.0.0.1", cups.port), timeout=5).close()
        except ConnectionRefusedError:
            return True
        return False

    await until(closed, "the port is closed")


async def test_an_empty_token_file_opens_nothing(tmp_path: Path, pki: Pki) -> None:
    cups = Cups(tmp_path, pki, token=" ")
    cups.start()

    async def alive() -> bool:
        return (await get_internal(cups.internal_port, "/healthz")).status == 200

    try:
        await until(alive, "the server is alive")
        assert (await get_internal(cups.internal_port, "/generation", " ")).status == 401
    finally:
        await cups.stop()
