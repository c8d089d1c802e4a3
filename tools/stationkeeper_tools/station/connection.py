"""Send one request over one connection as a Station does: connect, read the answer, drop the connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from OpenSSL import SSL

from stationkeeper_tools.station.faults import StationError, StationFault
from stationkeeper_tools.station.http_answer import BUFFER_BYTES, HttpAnswer, HttpAnswerReader
from stationkeeper_tools.station.server_certificate import check_server_certificate
from stationkeeper_tools.station.state_machine import Attempt
from stationkeeper_tools.station.tls_client import error_text, tls_client

CONNECTION_TIMEOUT_SECONDS = 60.0

_READ_BYTES = 16 * 1024


class _Channel(Protocol):
    async def send(self, data: bytes) -> None: ...

    async def receive(self) -> bytes:
        """Return the next bytes; empty at the end."""


async def exchange(attempt: Attempt, timeout_seconds: float = CONNECTION_TIMEOUT_SECONDS) -> HttpAnswer:
    """Send `attempt` and return the answer.

    Args:
        attempt: the request; it is sent unchanged.
        timeout_seconds: the time for everything up to the first 8 KiB of the answer, and for each further 8 KiB.

    Raises:
        StationError: there is no answer that a Station could read.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_seconds) as deadline, _open(attempt) as channel:
            await channel.send(attempt.data)
            reader = HttpAnswerReader(attempt.address)
            received = 0
            while data := await channel.receive():
                answer = reader.feed(data)
                if answer:
                    return answer
                received += len(data)
                if received >= BUFFER_BYTES:
                    received -= BUFFER_BYTES
                    deadline.reschedule(loop.time() + timeout_seconds)
            raise reader.end()
    except TimeoutError:
        raise StationError(StationFault.TIMED_OUT, f"nothing arrived for {timeout_seconds:g} s") from None
    except OSError as error:
        raise StationError(StationFault.CONNECTION_CLOSED, f"the connection broke: {error}") from None


@asynccontextmanager
async def _open(attempt: Attempt) -> AsyncIterator[_Channel]:
    address = attempt.address
    tls = tls_client(address.host, attempt.credentials) if address.tls else None
    try:
        reader, writer = await asyncio.open_connection(address.host, address.port)
    except (OSError, UnicodeError, OverflowError) as error:
        raise StationError(StationFault.CONNECT_FAILED, f"{address.authority}: {error}") from None
    try:
        if tls is None:
            yield _PlainChannel(reader, writer)
            return
        channel = _TlsChannel(tls, reader, writer)
        await channel.shake_hands(address.host)
        yield channel
    finally:
        writer.transport.abort()


class _PlainChannel:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> bytes:
        return await self._reader.read(_READ_BYTES)


class _TlsChannel:
    def __init__(self, tls: SSL.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tls = tls
        self._plain = _PlainChannel(reader, writer)

    async def shake_hands(self, host: str) -> None:
        while True:
            try:
                self._tls.do_handshake()
                break
            except SSL.WantReadError:
                if not await self._more():
                    raise StationError(
                        StationFault.TLS_FAILED, "the server closed the connection in the handshake"
                    ) from None
            except SSL.Error as error:
                await self._flush()
                raise StationError(StationFault.TLS_FAILED, error_text(error)) from None
        await self._flush()
        chain = self._tls.get_peer_cert_chain(as_cryptography=True)
        if not chain:
            raise StationError(StationFault.TLS_FAILED, "the server showed no certificate")
        check_server_certificate(chain, host)

    async def send(self, data: bytes) -> None:
        try:
            self._tls.sendall(data)
        except SSL.Error as error:
            raise StationError(StationFault.TLS_FAILED, error_text(error)) from None
        await self._flush()

    async def receive(self) -> bytes:
        while True:
            try:
                return self._tls.recv(_READ_BYTES)
            except SSL.ZeroReturnError:
                return b""
            except SSL.WantReadError:
                if not await self._more():
                    return b""
            except SSL.Error as error:
                raise StationError(StationFault.TLS_FAILED, error_text(error)) from None

    async def _more(self) -> bool:
        """Exchange bytes with the server; return whether the connection is still open."""
        await self._flush()
        data = await self._plain.receive()
        if data:
            self._tls.bio_write(data)
        return bool(data)

    async def _flush(self) -> None:
        while True:
            try:
                data = self._tls.bio_read(_READ_BYTES)
            except SSL.WantReadError:
                return
            await self._plain.send(data)
