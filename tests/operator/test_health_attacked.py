"""Any pod of the cluster can reach the operator's health port: its use there is small, and blocks no other client."""

import asyncio
import contextlib
import logging
import socket
import time
import urllib.request
from collections.abc import AsyncIterator

import pytest

from stationkeeper_core.setting_values import Address
from stationkeeper_operator.metrics import Metrics
from stationkeeper_operator.process.health import MAX_CONNECTIONS, serve_health
from stationkeeper_tools.ports import free_port
from tests.waiting import EVENTUALLY

IDLE = 600


class SlowMetrics(Metrics):
    """Metrics with so many resources that an exposition takes a while.

    Attributes:
        made: how often it was made.
    """

    made = 0

    def exposition(self) -> bytes:
        self.made += 1
        time.sleep(0.02)
        return super().exposition()


@pytest.fixture
def metrics() -> SlowMetrics:
    return SlowMetrics()


@pytest.fixture
async def port(metrics: SlowMetrics) -> AsyncIterator[int]:
    found = free_port()
    async with serve_health(Address("127.0.0.1", found), lambda: True, lambda: True, metrics):
        yield found


async def get(port: int, path: str) -> int:
    def ask() -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=EVENTUALLY) as response:
            response.read()
            return int(response.status)

    return await asyncio.to_thread(ask)


async def test_idle_connections_are_limited_and_block_no_other(port: int) -> None:
    idle: list[socket.socket] = []
    try:
        for number in range(IDLE):
            idle.append(await asyncio.to_thread(socket.create_connection, ("127.0.0.1", port), EVENTUALLY))
            if number % 100 == 0:
                assert await get(port, "/healthz") == 200
        assert await get(port, "/readyz") == 200
        async with asyncio.timeout(20):
            while sum(map(_is_open, idle)) > MAX_CONNECTIONS:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.05)
    finally:
        for each in idle:
            each.close()


def _is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


async def test_metrics_take_a_small_share_of_the_time_however_often_they_are_asked_for(
    port: int, metrics: SlowMetrics
) -> None:
    began = time.monotonic()
    for _ in range(40):
        assert await get(port, "/metrics") == 200
    assert metrics.made <= 2 + (time.monotonic() - began) / 0.4


async def test_bytes_that_are_not_http_are_logged_within_a_budget(port: int, caplog: pytest.LogCaptureFixture) -> None:
    def send(number: int) -> None:
        with socket.create_connection(("127.0.0.1", port), EVENTUALLY) as connection, contextlib.suppress(OSError):
            connection.sendall(b"GET / HTTP/1.1\r\n\xff%d\r\n\r\n" % number)
            connection.settimeout(EVENTUALLY)
            connection.recv(1000)

    for start in range(0, 200, 20):
        await asyncio.gather(*(asyncio.to_thread(send, number) for number in range(start, start + 20)))
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) < 60
    assert await get(port, "/healthz") == 200
