import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Sized
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest

from stationkeeper_cups.accepting.connection_limits import ConnectionLimits
from stationkeeper_cups.accepting.listener import CLOSED_TO_MAKE_ROOM, Listener
from stationkeeper_cups.accepting.unaccepted_connections import Refusal
from stationkeeper_cups.tls.connection import Verdict
from stationkeeper_cups.tls.context import gateway_context
from stationkeeper_cups.tls.server_credentials import ServerCredentials
from stationkeeper_cups.tls.time_limits import TimeLimits
from stationkeeper_tools.sample_pki import KeyPair
from tests.cups.client import Client, until
from tests.cups.pki import Pki
from tests.waiting import EVENTUALLY

# No step takes this long without a cause, even on a busy machine.
LIMITS = ConnectionLimits(handshake_seconds=600, waiting_seconds=600)


class _Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


@asynccontextmanager
async def _listening(
    pki: Pki, limits: ConnectionLimits, refusals: list[Refusal]
) -> AsyncIterator[tuple[int, Listener]]:
    credentials = ServerCredentials(pki.server.certificate_pem, pki.server.key_pem)
    context = gateway_context(credentials, certificate_optional=True)
    times = TimeLimits(asyncio.get_running_loop())
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    listener = Listener(
        bound, lambda _peer: (context, lambda _presented, _leaf: Verdict(None)), _Echo, refusals.append, times, limits
    )
    listener.start()
    yield bound.getsockname()[1], listener
    listener.stop()
    listener.cut()


def _connect(port: int, pki: Pki, pair: KeyPair | None = None) -> ssl.SSLSocket:
    return Client(port, pki.server_ca, pair).connect()


def _echoed(connection: ssl.SSLSocket) -> bytes:
    connection.sendall(b"hello")
    return connection.recv(100)


def _is_ended(connection: ssl.SSLSocket) -> bool:
    try:
        return _echoed(connection) == b""
    except OSError:
        return True


async def _has(some: Sized) -> bool:
    return len(some) > 0


def _silent(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=EVENTUALLY)


async def test_a_stalled_handshake_is_closed(pki: Pki) -> None:
    refusals: list[Refusal] = []
    async with _listening(pki, replace(LIMITS, handshake_seconds=0.3), refusals) as (port, _):
        for said in (b"", b"\x16\x03\x01\x02\x00"):
            with _silent(port) as silent:
                silent.sendall(said)
                assert await asyncio.to_thread(silent.recv, 1) == b""
        assert [refusal.reason for refusal in refusals] == ["HandshakeTimeout"] * 2
        assert refusals[0].peer == "127.0.0.1"


async def test_a_client_that_says_a_byte_now_and_then_gets_no_more_time(pki: Pki) -> None:
    refusals: list[Refusal] = []
    async with _listening(pki, replace(LIMITS, handshake_seconds=0.5), refusals) as (port, _):
        with _silent(port) as slow:
            sent = 0
            with pytest.raises(OSError, match=r"reset|[Bb]roken"):
                for each in b"\x16\x03\x01\x02\x00" + bytes(100):
                    await asyncio.sleep(0.1)
                    slow.sendall(bytes([each]))
                    sent += 1
            # Bytes that came as often as these would fill ten seconds.
            assert sent < 80


async def test_a_port_check_is_not_a_refusal(pki: Pki) -> None:
    refusals: list[Refusal] = []
    async with _listening(pki, LIMITS, refusals) as (port, listener):
        _silent(port).close()

        async def noticed() -> bool:
            return listener.connections == 0

        await asyncio.sleep(0.05)
        await until(noticed, "the connection is gone")
        assert refusals == []


async def test_above_the_limit_the_oldest_connection_is_closed(pki: Pki) -> None:
    async with _listening(pki, replace(LIMITS, connections=2), []) as (port, listener):
        served = []
        for _ in range(5):
            served.append(await asyncio.to_thread(_connect, port, pki))
            assert await asyncio.to_thread(_echoed, served[-1]) == b"hello"
            assert listener.connections <= 2
        assert await asyncio.to_thread(_is_ended, served[2])
        assert await asyncio.to_thread(_echoed, served[3]) == b"hello"
        for each in served:
            each.close()


async def test_idle_connections_without_a_certificate_block_no_gateway(pki: Pki) -> None:
    async with _listening(pki, replace(LIMITS, connections=8, handshakes=4), []) as (port, _):
        taken = [await asyncio.to_thread(_connect, port, pki) for _ in range(20)]
        silent = [_silent(port) for _ in range(20)]
        connecting = asyncio.to_thread(_connect, port, pki, pki.a_gateway)
        with await asyncio.wait_for(connecting, EVENTUALLY) as served:
            assert await asyncio.to_thread(_echoed, served) == b"hello"
        for each in (*taken, *silent):
            each.close()


async def test_refused_handshakes_free_their_places(pki: Pki) -> None:
    refusals: list[Refusal] = []
    limits = replace(LIMITS, connections=2, closing_seconds=0.1)
    async with _listening(pki, limits, refusals) as (port, _):
        for _ in range(10):
            with _silent(port) as wrong:
                wrong.sendall(b"GET / HTTP/1.1\r\n\r\n")
                await asyncio.to_thread(wrong.recv, 100)

        with await asyncio.to_thread(_connect, port, pki) as served:
            assert await asyncio.to_thread(_echoed, served) == b"hello"
        assert {refusal.reason for refusal in refusals} == {"HandshakeFailed"}


async def test_a_shortage_of_descriptors_passes(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(_socket: socket.socket) -> tuple[socket.socket, object]:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("stationkeeper_cups.accepting.new_connections._PAUSE_SECONDS", 0.2)
    async with _listening(pki, LIMITS, []) as (port, _):
        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "accept", exhausted)
            waiting = asyncio.create_task(asyncio.to_thread(_connect, port, pki))
            await asyncio.sleep(0.5)
            assert not waiting.done()

        with await waiting as served:
            assert await asyncio.to_thread(_echoed, served) == b"hello"


async def test_silent_unknown_clients_block_no_gateway(pki: Pki) -> None:
    refusals: list[Refusal] = []
    async with _listening(pki, replace(LIMITS, waiting=4), refusals) as (port, _):
        silent = [_silent(port) for _ in range(20)]
        with await asyncio.to_thread(_connect, port, pki) as served:
            assert await asyncio.to_thread(_echoed, served) == b"hello"
        for each in silent:
            each.close()
    assert {refusal.detail for refusal in refusals} == {CLOSED_TO_MAKE_ROOM}
    assert len(refusals) == 17


async def test_a_client_that_has_sent_something_outlives_silent_ones(pki: Pki) -> None:
    async with _listening(pki, replace(LIMITS, waiting=4, handshakes=4), []) as (port, listener):
        with _silent(port) as begun:
            begun.sendall(b"\x16\x03\x01\x02\x00")
            await until(partial(_has, listener.handshake), "its handshake has begun")
            silent = [_silent(port) for _ in range(20)]
            await asyncio.sleep(0.2)
            begun.settimeout(0.1)
            with pytest.raises(TimeoutError):
                begun.recv(1)
            for each in silent:
                each.close()


async def test_the_newest_connections_of_one_certificate_stay(pki: Pki) -> None:
    async with _listening(pki, replace(LIMITS, connections_per_certificate=2), []) as (port, listener):
        first, second, third = [await asyncio.to_thread(_connect, port, pki, pki.a_gateway) for _ in range(3)]
        other = await asyncio.to_thread(_connect, port, pki, pki.b_gateway)
        for served in (second, third, other):
            assert await asyncio.to_thread(_echoed, served) == b"hello"
        assert await asyncio.to_thread(_is_ended, first)
        for each in (first, second, third, other):
            each.close()

        async def empty() -> bool:
            return listener.connections == 0

        await until(empty, "all places are free")
