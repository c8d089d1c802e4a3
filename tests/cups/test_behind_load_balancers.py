"""PROXY protocol on the gateways' port: which senders must or must not use it, and the address that counts."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from OpenSSL import SSL

from stationkeeper_cups.accepting.before_tls import ProxyProtocol
from stationkeeper_cups.accepting.connection_limits import ConnectionLimits
from stationkeeper_cups.accepting.listener import Listener
from stationkeeper_cups.accepting.peer_address import read_networks
from stationkeeper_cups.accepting.unaccepted_connections import Refusal
from stationkeeper_cups.tls.connection import Judge, Verdict
from stationkeeper_cups.tls.context import gateway_context
from stationkeeper_cups.tls.server_credentials import ServerCredentials
from stationkeeper_cups.tls.time_limits import TimeLimits
from stationkeeper_tools.ports import free_port
from tests.cups.client import get_internal, until
from tests.cups.conftest import Cups, serving
from tests.cups.forwarding import told
from tests.cups.pki import Pki
from tests.cups.proxies import haproxy, needs_haproxy, needs_nginx_stream, nginx_stream
from tests.cups.test_proxy_protocol import HELLO, SIGNATURE, binary, with_checksum
from tests.waiting import EVENTUALLY

BALANCER, CLIENT = "127.0.0.1", "127.0.0.5"
TRUSTED = read_networks("127.0.0.1/32")
LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 8987\r\n"


@pytest.fixture
async def behind(tmp_path: Path, pki: Pki) -> AsyncIterator[Cups]:
    """Yield a server that requires PROXY protocol from `BALANCER`."""
    async with serving(tmp_path, pki, proxy_protocol_from=TRUSTED) as cups:
        yield cups


def _is_cut(port: int, source: str, said: bytes) -> bool:
    """Return whether the server closes a connection that begins so, without an answer."""
    with socket.create_connection(("127.0.0.1", port), 5, (source, 0)) as connection:
        connection.sendall(said)
        try:
            return connection.recv(1) == b""
        except ConnectionError:
            return True


@pytest.mark.parametrize(
    ("header", "peer"),
    [
        (LINE, "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n", "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", BALANCER),
        (binary("192.0.2.7"), "192.0.2.7"),
        (with_checksum("::ffff:192.0.2.7"), "192.0.2.7"),
        (binary("192.0.2.7", command=0x20), BALANCER),
    ],
)
async def test_the_address_of_the_header_is_the_clients(
    behind: Cups, pki: Pki, caplog: pytest.LogCaptureFixture, header: bytes, peer: str
) -> None:
    caplog.set_level("INFO")
    assert (await behind.client(pki.a_gateway, before_tls=header).ask()).status == 200
    assert await behind.client(pki.b_gateway, before_tls=header).alert() == "TLSV1_ALERT_UNKNOWN_CA"

    assert [who for who, _ in told(caplog, "answered")] == [peer]
    assert told(caplog, "handshake refused") == [(peer, "UnknownCA")]


@pytest.mark.parametrize(
    ("source", "header", "reason"),
    [
        (BALANCER, b"", "ProxyHeaderMissing"),
        (BALANCER, b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n", "ProxyHeaderInvalid"),
        (BALANCER, SIGNATURE + b"\x21\x11\xff\xff", "ProxyHeaderInvalid"),
        (CLIENT, LINE, "ProxyHeaderNotAllowed"),
        (CLIENT, binary("192.0.2.7"), "ProxyHeaderNotAllowed"),
    ],
)
async def test_a_connection_that_may_not_begin_so_is_refused_with_the_reason(
    behind: Cups, caplog: pytest.LogCaptureFixture, source: str, header: bytes, reason: str
) -> None:
    assert await asyncio.to_thread(_is_cut, behind.port, source, header + HELLO)

    assert told(caplog, "handshake refused") == [(source, reason)]
    metrics = (await get_internal(behind.internal_port, "/metrics")).body.decode()
    assert f'stationkeeper_handshake_refusals_total{{reason="{reason}"}} 1.0' in metrics


async def test_others_are_answered_without_a_header(behind: Cups, pki: Pki) -> None:
    assert (await behind.client(pki.a_gateway, source=CLIENT).ask()).status == 200


async def test_without_load_balancers_a_header_is_refused_from_everybody(
    cups: Cups, caplog: pytest.LogCaptureFixture
) -> None:
    assert await asyncio.to_thread(_is_cut, cups.port, BALANCER, LINE + HELLO)
    assert told(caplog, "handshake refused") == [(BALANCER, "ProxyHeaderNotAllowed")]


@asynccontextmanager
async def _listening(
    pki: Pki, limits: ConnectionLimits, refusals: list[Refusal], begun: list[str] | None = None
) -> AsyncIterator[tuple[Listener, int]]:
    credentials = ServerCredentials(pki.server.certificate_pem, pki.server.key_pem)
    context = gateway_context(credentials, certificate_optional=True)
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))

    def begin(peer: str) -> tuple[SSL.Context, Judge]:
        if begun is not None:
            begun.append(peer)
        return context, lambda _presented, _leaf: Verdict(None)

    listener = Listener(
        bound,
        begin,
        asyncio.Protocol,
        refusals.append,
        TimeLimits(asyncio.get_running_loop()),
        limits,
        ProxyProtocol(TRUSTED),
    )
    listener.start()
    yield listener, bound.getsockname()[1]
    listener.stop()
    listener.cut()


def _connect(port: int, said: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=EVENTUALLY)
    connection.sendall(said)
    return connection


async def _counted(listener: Listener, silent: int, handshakes: int) -> None:
    async def found() -> bool:
        return (listener.silent, len(listener.handshake)) == (silent, handshakes)

    await until(found, f"{silent} are silent, {handshakes} shake hands")


async def test_a_connection_without_a_byte_of_tls_has_no_tls_object_whatever_its_header(pki: Pki) -> None:
    refusals: list[Refusal] = []
    async with _listening(pki, ConnectionLimits(), refusals) as (listener, port):
        silent = [_connect(port, said) for said in (b"", LINE[:20], LINE, binary("192.0.2.7"))]
        await _counted(listener, 4, 0)
        assert listener.connections == 4
        for each in silent:
            each.close()
        await _counted(listener, 0, 0)
        assert listener.connections == 0
        # A load balancer sends only a whole header to check that the port is open.
        assert [each.reason for each in refusals] == ["HandshakeFailed"]


async def test_a_header_that_does_not_end_has_the_time_of_a_handshake(pki: Pki) -> None:
    refusals: list[Refusal] = []
    async with _listening(pki, ConnectionLimits(handshake_seconds=0.3), refusals) as (_, port):
        with _connect(port, LINE[:20]) as slow:
            assert await asyncio.to_thread(slow.recv, 1) == b""
    assert [(each.peer, each.reason) for each in refusals] == [(BALANCER, "HandshakeTimeout")]


async def test_the_share_of_an_address_is_that_of_the_client_and_not_of_the_load_balancer(pki: Pki) -> None:
    refusals: list[Refusal] = []
    async with _listening(pki, replace(ConnectionLimits(), handshakes=4), refusals) as (listener, port):
        gateway = _connect(port, binary("198.51.100.9") + b"\x16\x03\x01")
        await _counted(listener, 0, 1)
        stranger = [_connect(port, LINE + b"\x16\x03\x01") for _ in range(8)]
        await _counted(listener, 0, 4)
        assert refusals == []
        other = _connect(port, binary("203.0.113.9") + b"\x16\x03\x01")

        async def has_room() -> bool:
            return len(refusals) == 1

        await until(has_room, "one makes room")
        assert [each.peer for each in refusals] == ["192.0.2.7"]
        for each in (gateway, other, *stranger):
            each.close()


@pytest.mark.parametrize("size", [1, 5, 12, 28, 30])
async def test_a_header_that_comes_in_pieces_is_read_before_the_turn_comes(pki: Pki, size: int) -> None:
    said = binary("192.0.2.7") + b"\x16\x03\x01"
    begun: list[str] = []
    async with _listening(pki, ConnectionLimits(), [], begun) as (listener, port):
        with _connect(port, said[:size]) as slow:
            await _counted(listener, *((1, 0) if size < 29 else (0, 1)))
            slow.sendall(said[size:])
            await _counted(listener, 0, 1)
            assert begun == ["192.0.2.7"]


@pytest.mark.parametrize(
    ("proxy", "options"),
    [
        pytest.param("nginx", "", marks=needs_nginx_stream),
        pytest.param("haproxy", "send-proxy", marks=needs_haproxy),
        pytest.param("haproxy", "send-proxy-v2 check", marks=needs_haproxy),
        pytest.param("haproxy", "send-proxy-v2 check proxy-v2-options crc32c,unique-id,authority", marks=needs_haproxy),
    ],
)
@pytest.mark.parametrize(("listen", "client"), [("127.0.0.1", CLIENT), ("::1", "::1")])
@pytest.mark.slow
async def test_a_real_load_balancer_sends_the_clients_address(
    behind: Cups,
    pki: Pki,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    proxy: str,
    options: str,
    listen: str,
    client: str,
) -> None:
    caplog.set_level("INFO")
    port = free_port()
    with _balancer(tmp_path, proxy, options, port, behind.port):
        caplog.clear()
        gateway, stranger = (
            behind.client(pair, source=client, host=listen).at(port) for pair in (pki.a_gateway, pki.b_gateway)
        )
        assert (await gateway.ask()).status == 200
        assert await stranger.alert() == "TLSV1_ALERT_UNKNOWN_CA"

    assert [who for who, _ in told(caplog, "answered")] == [client]
    assert told(caplog, "handshake refused") == [(client, "UnknownCA")]


def _balancer(folder: Path, proxy: str, options: str, port: int, cups: int) -> AbstractContextManager[None]:
    if proxy == "nginx":
        listen = f"listen 127.0.0.1:{port}; listen [::1]:{port};"
        return nginx_stream(folder, f"server {{ {listen} proxy_pass 127.0.0.1:{cups}; proxy_protocol on; }}", port)
    lines = [
        "listen gateways",
        *("  mode tcp", f"  bind 127.0.0.1:{port}", f"  bind [::1]:{port}", "  unique-id-format %{+X}o%rt"),
        f"  server cups 127.0.0.1:{cups} {options}",
    ]
    return haproxy(folder, "\n".join(lines) + "\n", port)


@needs_haproxy
@pytest.mark.slow
async def test_the_health_check_of_a_load_balancer_is_not_a_refusal(
    behind: Cups, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    options = "send-proxy-v2 check inter 100ms check-send-proxy"
    with _balancer(tmp_path, "haproxy", options, free_port(), behind.port):

        async def was_checked() -> bool:
            return len(told(caplog, "connected and left")) > 1

        await until(was_checked, "the load balancer has looked twice")
    assert told(caplog, "handshake refused") == []
