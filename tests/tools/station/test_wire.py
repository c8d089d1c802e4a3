"""The bytes of a Station to a server, and its reactions to a server that misbehaves, over real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stationkeeper_tools.sample_pki import KeyPair, make_server
from stationkeeper_tools.station.faults import StationFault
from stationkeeper_tools.station.runner import ask_once
from stationkeeper_tools.station.state_machine import Result, Station
from tests.cups.pki import Pki
from tests.tools.station.blobs import TOKEN
from tests.tools.station.gateways import credentials, station

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n" + bytes(14)


@asynccontextmanager
async def listening(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def until_done(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(until_done, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def answering(answer: bytes, seen: list[bytes] | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        if seen is not None:
            seen.append(head + body)
        writer.write(answer)
        await writer.drain()
        await reader.read()

    return serve


def server_context(pair: KeyPair, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair.write(folder, "server"))
    return context


def plain(pki: Pki, port: int) -> Station:
    return station(pki.eui, f"http://localhost:{port}", credentials(None, pki.server_ca))


@pytest.mark.parametrize(
    ("answer", "result", "faults"),
    [
        (OK, Result.ANSWERED, []),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: 9\r\n\r\n", Result.REJECTED, []),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ne\r\n" + bytes(14) + b"\r\n0\r\n\r\n",
            Result.FAILED,
            [StationFault.CONTENT_LENGTH_MISSING],
        ),
        (OK + b"more", Result.FAILED, [StationFault.CONTENT_EXCESS]),
        (
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9000\r\n\r\n" + b"a" * 9000,
            Result.CRASHED,
            [StationFault.ERROR_BODY_TOO_LARGE],
        ),
    ],
)
async def test_an_answer_over_a_socket_is_read_as_a_station_reads_it(
    pki: Pki, answer: bytes, result: Result, faults: list[StationFault]
) -> None:
    async with listening(answering(answer)) as port:
        outcome = await ask_once(plain(pki, port))

    assert (outcome.result, [each.fault for each in outcome.faults]) == (result, faults)


async def test_a_server_that_closes_without_an_answer_is_a_failure_and_no_refusal(pki: Pki) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK[:-3])

    async with listening(serve) as port:
        outcome = await ask_once(plain(pki, port))

    assert outcome.result is Result.FAILED
    assert outcome.faults[0].fault is StationFault.CONNECTION_CLOSED


async def test_a_silent_server_times_out(pki: Pki) -> None:
    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(serve) as port:
        outcome = await ask_once(plain(pki, port), timeout_seconds=0.1)

    assert [each.fault for each in outcome.faults] == [StationFault.TIMED_OUT]


@pytest.mark.parametrize("authority", ["127.0.0.1:99999", "127.0.0.1:-1", "a..b:1", "localhost:nonsense"])
async def test_an_address_that_cannot_be_connected_to_is_a_failure(pki: Pki, authority: str) -> None:
    outcome = await ask_once(station(pki.eui, f"http://{authority}", credentials(None, pki.server_ca)))

    assert [each.fault for each in outcome.faults] == [StationFault.CONNECT_FAILED]


async def test_over_tls_it_speaks_1_2_and_names_the_server_even_by_its_address(pki: Pki, tmp_path: Path) -> None:
    names = list[str | None]()
    seen = list[bytes]()
    # An address as a DNS name is what a Station matches, and nothing else is.
    now = pki.server_ca.x509.not_valid_before_utc
    context = server_context(make_server(["127.0.0.1"], [], pki.server_ca, now), tmp_path)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    versions = list[str]()
    serve = answering(OK, seen)

    async def serve_and_note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        versions.append(writer.get_extra_info("ssl_object").version())
        await serve(reader, writer)

    async with listening(serve_and_note, context) as port:
        gateway = station(pki.eui, f"https://127.0.0.1:{port}", credentials(pki.a_gateway, pki.server_ca))
        outcome = await ask_once(gateway)

    assert outcome.result is Result.ANSWERED
    assert (versions, names) == (["TLSv1.2"], ["127.0.0.1"])
    assert seen[0].startswith(f"POST /update-info HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode())


async def test_a_server_with_tls_1_3_only_is_not_for_stations(pki: Pki, tmp_path: Path) -> None:
    context = server_context(pki.server, tmp_path)
    context.minimum_version = ssl.TLSVersion.TLSv1_3

    async with listening(answering(OK), context) as port:
        gateway = station(pki.eui, f"https://localhost:{port}", credentials(pki.a_gateway, pki.server_ca))
        outcome = await ask_once(gateway)

    assert [each.fault for each in outcome.faults] == [StationFault.TLS_FAILED]


async def test_a_token_set_authenticates_with_its_line_and_no_certificate(pki: Pki, tmp_path: Path) -> None:
    seen = list[bytes]()
    async with listening(answering(OK, seen), server_context(pki.server, tmp_path)) as port:
        boot = credentials(None, pki.server_ca)
        gateway = station(pki.eui, f"https://localhost:{port}", type(boot)(boot.trust, b"", TOKEN))
        outcome = await ask_once(gateway)

    assert outcome.result is Result.ANSWERED
    assert TOKEN in seen[0]
