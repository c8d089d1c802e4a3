"""A change of trust while many connections are open. `test_hot_reload` tests which ones are really closed."""

import asyncio
import resource
import socket
import time
from collections.abc import Iterator

import pytest

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_cups.admission.client import Client
from stationkeeper_cups.http.connection import REQUEST_SECONDS
from stationkeeper_cups.http.connections import STEP_SECONDS, Connections
from stationkeeper_cups.http.messages import Answer, Request
from stationkeeper_cups.tls.time_limits import TimeLimits
from stationkeeper_cups.tls.transport import TLSTransport

OPEN = 2000
# A judgement that is not remembered any more takes longer than this.
JUDGEMENT_SECONDS = 0.0001


class Port:
    """The port of transports after their handshake."""

    def __init__(self, times: TimeLimits) -> None:
        self.handshake = times.stage("handshake", 30)
        self.closing = times.stage("closing", 2)
        self.left: set[TLSTransport] = set()

    def first_bytes(self, transport: TLSTransport, received: bytes) -> None:
        raise NotImplementedError

    def begin(self, transport: TLSTransport) -> None:
        raise NotImplementedError

    def handshake_done(self, transport: TLSTransport) -> None:
        raise NotImplementedError

    def refused(self, transport: TLSTransport, failure: StationkeeperError) -> None:
        raise NotImplementedError

    def failed(self, transport: TLSTransport) -> None:
        raise NotImplementedError

    def unused(self, transport: TLSTransport) -> None:
        raise NotImplementedError

    def closed(self, transport: TLSTransport) -> None:
        self.left.add(transport)


class Nobody:
    """A handler that is never called."""

    def answer(self, request: Request, client: Client) -> Answer | None:
        raise NotImplementedError

    def malformed(self, detail: str, client: Client) -> Answer | None:
        raise NotImplementedError

    def too_slow(self, seconds: float, client: Client) -> Answer | None:
        raise NotImplementedError


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    found = [socket.socketpair() for _ in range(OPEN)]
    yield found
    for pair in found:
        for each in pair:
            each.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_only_affected_connections_are_closed_with_pauses_for_requests(
    pairs: list[tuple[socket.socket, socket.socket]],
) -> None:
    loop = asyncio.get_running_loop()
    times = TimeLimits(loop)
    port = Port(times)
    judged: list[TLSTransport] = []
    distrusted: set[TLSTransport] = set()

    def is_trusted(client: TLSTransport) -> bool:
        judged.append(client)
        until = time.perf_counter() + JUDGEMENT_SECONDS
        while time.perf_counter() < until:
            pass
        return client not in distrusted

    connections = Connections(Nobody(), is_trusted, times, REQUEST_SECONDS)
    transports = []
    for ours, theirs in pairs:
        ours.setblocking(False)
        theirs.setblocking(False)
        transport = TLSTransport(loop, ours, "192.0.2.1", port)
        protocol = connections()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        transports.append(transport)
    distrusted.update(transports[::3])

    connections.close_untrusted()
    turns = 0
    while len(judged) < OPEN:
        # In this turn of the loop, sockets that became ready meanwhile are served, for example a request.
        before = len(judged)
        await asyncio.sleep(0)
        turns += len(judged) > before
        assert turns <= OPEN

    assert turns >= OPEN * JUDGEMENT_SECONDS / STEP_SECONDS / 2
    assert port.left == distrusted
    assert [not theirs.recv(1) for _, theirs in pairs[::3]] == [True] * len(distrusted)
    assert not any(each.is_closing() for each in transports if each not in distrusted)
    times.stop()
    for each in transports:
        each.abort()
    await asyncio.sleep(0)
