"""Any pod of the cluster can reach the internal port: the limits on a client without the token."""

import asyncio
import contextlib
import itertools
import logging
import select
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stationkeeper_cups.internal.port import AddressRates, InternalBounds, start_internal
from stationkeeper_cups.internal.server import provisional_context
from stationkeeper_tools.ports import free_port
from tests.cups.client import get_internal, until
from tests.cups.conftest import Cups
from tests.cups.documents import Gateway, Trusted
from tests.cups.own_process import process
from tests.cups.pki import Pki
from tests.examples import examples
from tests.waiting import EVENTUALLY

TOKEN = "correct-token-of-some-bytes"
HIGH = bytes(range(0x80, 0x100))
HEADERS = (
    b"Bearer \xff",
    b"Bearer " + HIGH,
    b"\xffearer " + TOKEN.encode(),
    b"Bearer " + TOKEN.encode() + b"\xff",
    b"Bearer \xed\xa0\x80",
    b"Bearer",
    b"",
    b"Basic " + TOKEN.encode(),
)
STRANGE_PATHS = (
    b"/observations?since=\xff",
    b"/\xff\xfe",
    b"//",
    b"/../../etc/passwd",
    b"/%00",
    b"*",
    b"/generation/%2e%2e",
    b"http://[",
    b"/" * 5000,
)


def _context() -> ssl.SSLContext:
    return ssl._create_unverified_context()  # noqa: S323 - who the port is does not matter here


def _raw(port: int, request: bytes, source: str = "127.0.0.1", seconds: float = EVENTUALLY) -> bytes:
    """Return what the port answers to these bytes, until it closes or nothing more comes in so many seconds."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=seconds, source_address=(source, 0)) as plain,
        _context().wrap_socket(plain) as connection,
    ):
        connection.sendall(request)
        found = b""
        with contextlib.suppress(TimeoutError, OSError):
            while chunk := connection.recv(65536):
                found += chunk
        return found


def _get(path: bytes, authorization: bytes) -> bytes:
    lines = (b"GET " + path + b" HTTP/1.1", b"Host: x", b"Connection: close", b"Authorization: " + authorization)
    return b"\r\n".join(lines) + b"\r\n\r\n"


@pytest.fixture
async def guarded(tmp_path: Path, pki: Pki) -> AsyncIterator[Cups]:
    cups = Cups(tmp_path, pki, token=TOKEN)
    cups.start()
    cups.lay_server_tls(pki.server)
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])

    async def ready() -> bool:
        return (await get_internal(cups.internal_port, "/readyz")).status == 200

    await until(ready, "the server is ready")
    yield cups
    await cups.stop()


@pytest.mark.parametrize(
    "path", [b"/generation", b"/observations", b"/observations?since=%ff", b"/observations?since=-1"]
)
async def test_any_wrong_authorization_gets_401_without_a_log_line(
    guarded: Cups, caplog: pytest.LogCaptureFixture, path: bytes
) -> None:
    caplog.clear()
    for authorization in HEADERS:
        answer = await asyncio.to_thread(_raw, guarded.internal_port, _get(path, authorization))
        assert answer.startswith(b"HTTP/1.1 401 "), (authorization, answer)
    assert caplog.records == []


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.binary(max_size=200).filter(lambda each: not set(each) & set(b"\r\n\0")))
async def test_no_header_opens_or_breaks_anything(guarded: Cups, value: bytes) -> None:
    answer = await asyncio.to_thread(_raw, guarded.internal_port, _get(b"/observations", value))
    assert answer.split(b" ")[1] in {b"401", b"400"}


@pytest.mark.parametrize(
    "path",
    STRANGE_PATHS,
)
async def test_no_path_breaks_anything(guarded: Cups, path: bytes) -> None:
    answer = await asyncio.to_thread(_raw, guarded.internal_port, _get(path, b"Bearer x"))
    assert answer.split(b" ")[1] in {b"400", b"401", b"404"}


@pytest.mark.parametrize("since", ["%ff", "%00", "-1", "1e9", "9" * 19, "%D9%A3", "", "0;0", "%0a1"])
async def test_no_cursor_breaks_anything_with_the_token_either(guarded: Cups, since: str) -> None:
    answer = await get_internal(guarded.internal_port, f"/observations?since={since}", TOKEN)
    assert answer.status == 400


@pytest.mark.slow
async def test_bytes_that_are_not_http_are_logged_within_a_budget(
    guarded: Cups, caplog: pytest.LogCaptureFixture
) -> None:
    def flood(number: int) -> None:
        with contextlib.suppress(OSError):
            _raw(guarded.internal_port, b"GET / HTTP/1.1\r\n\xff broken\r\n\r\n", f"127.0.1.{number}")

    caplog.clear()
    began = time.monotonic()
    for _ in range(4):
        await asyncio.gather(*(asyncio.to_thread(flood, number) for number in range(1, 200)))
    lines = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(lines) <= 2 * (200 + 20 * (time.monotonic() - began))


async def test_a_missing_token_file_allows_nothing_and_is_logged_once(
    guarded: Cups, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "token").unlink()
    caplog.clear()
    answers = [await get_internal(guarded.internal_port, "/generation", TOKEN) for _ in range(5)]
    assert {answer.status for answer in answers} == {401}
    assert [each.getMessage() for each in caplog.records] == ["the internal token cannot be read"]


def _resident(pid: int) -> int:
    """Return the resident memory, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    raise AssertionError("no such process")


@contextlib.asynccontextmanager
async def _own_process(tmp_path: Path, pki: Pki) -> AsyncIterator[tuple[Cups, int]]:
    cups = Cups(tmp_path, pki, token=TOKEN)
    cups.lay_server_tls(pki.server)
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
    with process(cups, tmp_path / "log", f"--internal-token-file={tmp_path / 'token'}") as pid:

        async def ready() -> bool:
            with contextlib.suppress(OSError):
                return (await get_internal(cups.internal_port, "/readyz")).status == 200
            return False

        await until(ready, "it serves")
        yield cups, pid


@pytest.mark.slow
@pytest.mark.parametrize("finish_handshakes", [False, True])
async def test_two_thousand_idle_connections_take_little_memory_and_block_no_one(
    tmp_path: Path, pki: Pki, finish_handshakes: bool
) -> None:
    async with _own_process(tmp_path, pki) as (cups, pid):
        before = _resident(pid)
        idle: list[socket.socket] = []

        def connect(number: int) -> None:
            source = f"127.0.2.{1 + number % 20}"
            with contextlib.suppress(OSError):
                plain = socket.create_connection(("127.0.0.1", cups.internal_port), 2, (source, 0))
                idle.append(_context().wrap_socket(plain) if finish_handshakes else plain)

        for start in range(0, 2000, 100):
            await asyncio.gather(*(asyncio.to_thread(connect, number) for number in range(start, start + 100)))
        try:
            grown = _resident(pid) - before
            assert grown < 48, f"{grown} MiB"
            with _again_and_again(connect):
                for source in ("127.0.0.1", "127.0.0.9", "127.0.2.1"):
                    for path, authorization in (
                        (b"/healthz", b""),
                        (b"/metrics", b""),
                        (b"/generation", b"Bearer " + TOKEN.encode()),
                    ):
                        is_answered = partial(_is_answered, cups.internal_port, _get(path, authorization), source)
                        await until(is_answered, f"{path.decode()} is answered to {source}")
        finally:
            for each in idle:
                each.close()


@contextlib.contextmanager
def _again_and_again(connect: Callable[[int], None]) -> Iterator[None]:
    """Use each free place at once, all the time: then a client does not get in only because an idle one has left."""
    over = threading.Event()

    def take_places() -> None:
        for number in itertools.count():
            if over.wait(0.02):
                return
            connect(number)

    taking = threading.Thread(target=take_places)
    taking.start()
    try:
        yield
    finally:
        over.set()
        taking.join()


async def _is_answered(port: int, request: bytes, source: str) -> bool:
    with contextlib.suppress(OSError):  # a handshake that a busy machine does not finish in time
        return (await asyncio.to_thread(_raw, port, request, source, 5)).startswith(b"HTTP/1.1 200 ")
    return False


@pytest.mark.slow
async def test_a_client_that_does_not_read_or_sends_slowly_loses_its_place(tmp_path: Path) -> None:
    bounds = InternalBounds(handshake_seconds=0.5, idle_seconds=0.5, lifetime_seconds=1)

    async def much(_: web.Request) -> web.Response:
        return web.Response(body=bytes(32 * 1024 * 1024))

    port = free_port()
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))

        def application(_: object) -> web.Application:
            made = web.Application()
            made.router.add_get("/", much)
            return made

        running = await start_internal(application, bound, provisional_context(datetime.now(UTC)), bounds)

        def hold(request: bytes) -> float:
            """Return how long the connection stays open for a client that sends this and does not read."""
            plain = socket.create_connection(("127.0.0.1", port), timeout=5)
            with plain, _context().wrap_socket(plain) as connection:
                began = time.monotonic()
                connection.sendall(request)
                while not _is_reset(connection) and time.monotonic() - began < EVENTUALLY:
                    time.sleep(0.05)
                return time.monotonic() - began

        try:
            requests = (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"")
            kept = await asyncio.gather(*(asyncio.to_thread(hold, request) for request in requests))
            assert max(kept) < EVENTUALLY, kept
        finally:
            await running.stop()


def _is_reset(connection: ssl.SSLSocket) -> bool:
    """Return whether the peer has closed or reset the connection; read nothing."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))


async def test_requests_on_one_connection_are_bounded_for_each_address(guarded: Cups) -> None:
    bounds = InternalBounds()
    many = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * (10 * bounds.burst)
    began = time.monotonic()
    answers = await asyncio.to_thread(_raw, guarded.internal_port, many, "127.0.0.7")
    assert answers.count(b"HTTP/1.1 200 ") <= bounds.burst + bounds.a_second * (time.monotonic() - began + 1)
    assert b"HTTP/1.1 429 " in answers
    other = await asyncio.to_thread(_raw, guarded.internal_port, _get(b"/metrics", b""), "127.0.0.8")
    assert other.startswith(b"HTTP/1.1 200 ")


def test_rates_are_for_each_address_and_remember_a_bounded_number() -> None:
    now = 0.0
    rates = AddressRates(1.0, 2, lambda: now)
    assert [rates.take("a") for _ in range(3)] == [True, True, False]
    assert rates.take("b")
    now = 1.0
    assert [rates.take("a") for _ in range(2)] == [True, False]
    for number in range(5000):
        rates.take(str(number))
    assert [rates.take("a") for _ in range(3)] == [True, True, False], "it was forgotten for newer ones"
