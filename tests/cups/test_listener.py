import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from stationkeeper_cups.listener import Limits, Listener, Refusal
from stationkeeper_cups.tls_context import ServerCredentials, server_authentication
from tests.cups.client import until
from tests.cups.pki import Pki


class _Echo(asyncio.Protocol):
    def __init__(self, closed: Callable[[], None]) -> None:
        self._closed = closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed()


@asynccontextmanager
async def _listening(pki: Pki, limits: Limits, refusals: list[Refusal]) -> AsyncIterator[int]:
    context = server_authentication(ServerCredentials(pki.server.certificate_pem, pki.server.key_pem))
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    listener = Listener(bound, lambda: context, lambda: _Echo(listener.closed), refusals.append, limits)
    listener.start()
    yield bound.getsockname()[1]
    await listener.stop()


def _connect(port: int, pki: Pki) -> ssl.SSLSocket:
    context = ssl.create_default_context(cadata=pki.server_ca.certificate_pem.decode())
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=5), server_hostname="localhost")


def _echoed(connection: ssl.SSLSocket) -> bytes:
    connection.sendall(b"hello")
    return connection.recv(100)


async def test_a_handshake_that_stands_still_is_given_up(pki: Pki) -> None:
    refusals: list[Refusal] = []
    async with _listening(pki, Limits(handshake_seconds=0.3), refusals) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as silent:
            assert await asyncio.to_thread(silent.recv, 1) == b""

        async def named() -> bool:
            return [refusal.reason for refusal in refusals] == ["HandshakeTimeout"]

        await until(named, "the refusal is told")
        assert refusals[0].peer == "127.0.0.1"


async def test_no_more_than_the_allowed_connections_are_served_at_a_time(pki: Pki) -> None:
    async with _listening(pki, Limits(connections=1), []) as port:
        first = await asyncio.to_thread(_connect, port, pki)
        assert await asyncio.to_thread(_echoed, first) == b"hello"
        second = asyncio.create_task(asyncio.to_thread(_connect, port, pki))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(second), 0.2)
        first.close()

        with await second as served:
            assert await asyncio.to_thread(_echoed, served) == b"hello"


async def test_refused_handshakes_free_their_places(pki: Pki) -> None:
    refusals: list[Refusal] = []
    async with _listening(pki, Limits(connections=2, linger_seconds=0.1), refusals) as port:
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as wrong:
                wrong.sendall(b"GET / HTTP/1.1\r\n\r\n")
                await asyncio.to_thread(wrong.recv, 100)

        with await asyncio.to_thread(_connect, port, pki) as served:
            assert await asyncio.to_thread(_echoed, served) == b"hello"
        assert {refusal.reason for refusal in refusals} == {"HandshakeFailed"}


async def test_a_shortage_of_descriptors_leaks_no_place(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(_socket: socket.socket) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    async with _listening(pki, Limits(connections=2), []) as port:
        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "dup", exhausted)
            for _ in range(5):
                with socket.create_connection(("127.0.0.1", port), timeout=5) as given_up:
                    assert await asyncio.to_thread(given_up.recv, 1) == b""

        with await asyncio.to_thread(_connect, port, pki) as served:
            assert await asyncio.to_thread(_echoed, served) == b"hello"


async def test_silent_strangers_do_not_keep_a_gateway_out(pki: Pki) -> None:
    refusals: list[Refusal] = []
    async with _listening(pki, Limits(connections=8, handshakes=4), refusals) as port:
        silent = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(20)]
        with await asyncio.to_thread(_connect, port, pki) as served:
            assert await asyncio.to_thread(_echoed, served) == b"hello"
        for each in silent:
            each.close()
    assert {refusal.detail for refusal in refusals} >= {"given up for newer connections"}
