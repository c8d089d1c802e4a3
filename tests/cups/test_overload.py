"""More clients than the server can serve, on real sockets: which ones begin, wait, or are closed, and why."""

import asyncio
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest
from OpenSSL import SSL

from stationkeeper_cups.accepting.connection_limits import ConnectionLimits
from stationkeeper_cups.accepting.listener import BEGUN_AT_ONCE, CLOSED_TO_MAKE_ROOM, Listener
from stationkeeper_cups.accepting.new_connections import ACCEPTED_AT_ONCE
from stationkeeper_cups.accepting.reputation import FREE_FAILURES
from stationkeeper_cups.accepting.unaccepted_connections import Dropped, Refusal
from stationkeeper_cups.tls.connection import Judge, Verdict
from stationkeeper_cups.tls.context import gateway_context
from stationkeeper_cups.tls.server_credentials import ServerCredentials
from stationkeeper_cups.tls.time_limits import TimeLimits
from tests.cups.client import until
from tests.cups.pki import Pki
from tests.waiting import EVENTUALLY

# Even on a busy machine, nothing takes so long without a cause.
LIMITS = ConnectionLimits(handshake_seconds=600, waiting_seconds=600)


@pytest.fixture(autouse=True)
def _time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stationkeeper_cups.accepting.waiting_room.OVERLOAD_SECONDS", 600.0)
    monkeypatch.setattr("stationkeeper_cups.accepting.listener.GRACE_SECONDS", 600.0)


class _Silent(asyncio.Protocol):
    """A protocol that sends nothing, so that a connection stays open as long as its client wants."""


@dataclass
class _Port:
    """A listener, and the results of its clients.

    Attributes:
        begun: the addresses of begun handshakes, in order.
        most: the largest number of handshakes at a time.
    """

    number: int
    begun: list[str] = field(default_factory=list)
    dropped: Counter[Dropped] = field(default_factory=Counter)
    refused: list[Refusal] = field(default_factory=list)
    most: int = 0
    listener: Listener | None = None

    async def idle(self) -> None:
        """Wait until no client waits."""

        async def nobody() -> bool:
            return self.listener is not None and self.listener.waiting + self.listener.silent == 0

        await _turns()
        await until(nobody, "no client waits")

    async def has_begun(self, number: int) -> None:
        """Wait until that many handshakes have begun, and no more."""

        async def begun() -> bool:
            return len(self.begun) >= number

        await until(begun, f"{number} handshakes have begun")
        assert len(self.begun) == number

    async def holds_silent(self, number: int) -> None:
        """Wait until that many clients are connected and silent."""

        async def held() -> bool:
            return self.listener is not None and self.listener.silent == number

        await until(held, f"{number} clients are silent")

    async def gone(self, number: int) -> None:
        """Wait until that many connections were closed."""

        async def enough() -> bool:
            return self.dropped.total() >= number

        await until(enough, f"{number} are dropped")


async def _turns() -> None:
    """Let the event loop take in what clients have sent; each connection needs some turns of it."""
    await asyncio.sleep(0.05)
    for _ in range(100):
        await asyncio.sleep(0)


@asynccontextmanager
async def _port(pki: Pki, limits: ConnectionLimits = LIMITS) -> AsyncIterator[_Port]:
    credentials = ServerCredentials(pki.server.certificate_pem, pki.server.key_pem)
    context = gateway_context(credentials, certificate_optional=True)
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    port = _Port(bound.getsockname()[1])
    times = TimeLimits(asyncio.get_running_loop())

    def begin(peer: str) -> tuple[SSL.Context, Judge]:
        port.begun.append(peer)
        if port.listener is not None:
            port.most = max(port.most, len(port.listener.handshake))
        return context, lambda _presented, _leaf: Verdict(None)

    def drop(why: Dropped) -> None:
        port.dropped[why] += 1

    port.listener = Listener(bound, begin, _Silent, port.refused.append, times, limits)
    port.listener.on_drop = drop
    port.listener.start()
    await asyncio.sleep(0)
    yield port
    port.listener.stop()
    port.listener.cut()


class _Gateway:
    """A client that goes one step at a time, from its own address."""

    def __init__(self, port: int, address: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> None:
        self.raw = socket.socket()
        self.raw.bind((address, 0))
        self.raw.connect(("127.0.0.1", port))
        self.raw.setblocking(False)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")

    def hello(self) -> "_Gateway":
        """Begin the handshake."""
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        self.raw.sendall(self._out.read())
        return self

    async def finish(self) -> bool:
        """Finish the handshake; return whether it succeeded."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._send()
                try:
                    more = await asyncio.wait_for(loop.sock_recv(self.raw, 65536), EVENTUALLY)
                except OSError:
                    return False
                if not more:
                    return False
                self._in.write(more)
            else:
                self._send()
                return True

    async def is_ended(self) -> bool:
        """Return whether the server soon closes the connection."""
        with suppress(ConnectionError):
            while await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.raw, 65536), EVENTUALLY):
                pass
        return True

    def still_waits(self) -> bool:
        """Return whether the server has neither answered nor closed the connection."""
        try:
            self.raw.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def reset(self) -> None:
        """Give up as a client does whose process ends."""
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.raw.close()

    def _send(self) -> None:
        data = self._out.read()
        if data:
            self.raw.sendall(data)


def _addresses(number: int, network: int = 1) -> list[str]:
    return [f"127.{network}.0.{1 + each}" for each in range(number)]


async def test_the_first_client_begins_first_and_only_some_begin_at_a_time(pki: Pki) -> None:
    addresses = _addresses(BEGUN_AT_ONCE * 5)
    async with _port(pki) as port:
        turns: list[int] = []
        clients = [_Gateway(port.number, each).hello() for each in addresses]
        while len(port.begun) < len(clients):
            before = len(port.begun)
            await asyncio.sleep(0)
            turns.append(len(port.begun) - before)
        assert port.begun == addresses
        assert max(turns) == BEGUN_AT_ONCE
        for each in clients:
            assert await each.finish()
            each.raw.close()


async def test_the_newest_begin_first_once_others_have_waited(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stationkeeper_cups.accepting.waiting_room.OVERLOAD_SECONDS", -1.0)
    addresses = _addresses(ACCEPTED_AT_ONCE)
    async with _port(pki) as port:
        clients = [_Gateway(port.number, each).hello() for each in addresses]
        await port.idle()
        # The first find nobody before them.
        assert port.begun == addresses[:BEGUN_AT_ONCE] + addresses[BEGUN_AT_ONCE:][::-1]
        for each in clients:
            each.raw.close()


@pytest.mark.parametrize("how", ["reset", "end"])
async def test_no_handshake_begins_for_clients_that_have_given_up(pki: Pki, how: str) -> None:
    addresses = _addresses(60)
    async with _port(pki) as port:
        clients = [_Gateway(port.number, each).hello() for each in addresses]
        for each in clients[::2]:
            each.reset() if how == "reset" else each.raw.close()
        await port.idle()
        assert port.begun == addresses[1::2]
        assert port.refused == []
        assert port.dropped == {Dropped.PEER_GONE: 30}
        for each in clients[1::2]:
            assert await each.finish()
            each.raw.close()


async def test_a_client_that_left_while_waiting_is_found_at_its_turn(pki: Pki) -> None:
    async with _port(pki, replace(LIMITS, handshakes=1)) as port:
        first = _Gateway(port.number).hello()
        await port.idle()
        others = [_Gateway(port.number).hello() for _ in range(10)]
        await _turns()
        assert all(each.still_waits() for each in others)
        for each in others[1:]:
            each.reset()
        assert await first.finish()
        assert await others[0].finish()
        await port.gone(9)
        assert port.dropped == {Dropped.PEER_GONE: 9}
        assert len(port.begun) == 2


async def test_the_connection_of_a_client_that_waits_too_long_is_closed(pki: Pki) -> None:
    async with _port(pki, replace(LIMITS, handshakes=1, waiting_seconds=0.3)) as port:
        first = _Gateway(port.number).hello()
        await port.idle()
        second = _Gateway(port.number).hello()
        assert await second.is_ended()
        assert port.dropped == {Dropped.WAITED_TOO_LONG: 1}
        assert await first.finish()
        assert port.refused == []


async def test_if_too_many_wait_the_oldest_is_closed(pki: Pki) -> None:
    async with _port(pki, replace(LIMITS, handshakes=1, waiting=5)) as port:
        first = _Gateway(port.number).hello()
        await port.idle()
        others = [_Gateway(port.number).hello() for _ in range(12)]
        await port.gone(7)
        assert port.dropped == {Dropped.QUEUE_FULL: 7}
        assert [each.still_waits() for each in others] == [False] * 7 + [True] * 5
        assert await first.finish()
        for each in others[7:]:
            assert await each.finish()


async def test_one_address_that_fills_the_queue_drops_no_other_connection(pki: Pki) -> None:
    async with _port(pki, replace(LIMITS, handshakes=1, waiting=20)) as port:
        first = _Gateway(port.number, "127.9.0.1").hello()
        await port.idle()
        honest = [_Gateway(port.number, each).hello() for each in _addresses(10)]
        flood = [_Gateway(port.number, "127.9.0.1").hello() for _ in range(100)]
        await port.gone(90)
        assert all(each.still_waits() for each in honest)
        assert await first.finish()
        for each in honest:
            assert await each.finish()
        for each in flood:
            each.raw.close()


async def test_half_done_handshakes_of_one_address_make_room_for_those_of_others(pki: Pki) -> None:
    async with _port(pki, replace(LIMITS, handshakes=8)) as port:
        half = [_Gateway(port.number, "127.9.0.1").hello() for _ in range(40)]
        await port.has_begun(8)
        for address in _addresses(20):
            gateway = _Gateway(port.number, address).hello()
            assert await gateway.finish()
            gateway.raw.close()
        assert {refusal.detail for refusal in port.refused} <= {CLOSED_TO_MAKE_ROOM}
        assert {refusal.peer for refusal in port.refused} == {"127.9.0.1"}
        assert port.most <= 8
        for each in half:
            each.raw.close()


async def test_slow_handshakes_continue_while_other_addresses_wait(pki: Pki) -> None:
    async with _port(pki, replace(LIMITS, handshakes=8)) as port:
        slow = [_Gateway(port.number, each).hello() for each in _addresses(8)]
        await port.idle()
        waiting = [_Gateway(port.number, each).hello() for each in _addresses(30, network=2)]
        await asyncio.sleep(0.3)
        assert port.begun == _addresses(8)
        assert all([await each.finish() for each in slow])
        assert all([await each.finish() for each in waiting])
        assert port.refused == []
        assert port.most <= 8


async def test_old_handshakes_are_closed_if_all_addresses_have_equally_many(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stationkeeper_cups.accepting.listener.GRACE_SECONDS", 0.2)
    async with _port(pki, replace(LIMITS, handshakes=8)) as port:
        half = [_Gateway(port.number, each).hello() for each in _addresses(8)]
        await port.idle()
        gateway = _Gateway(port.number, "127.2.0.1").hello()
        assert await gateway.finish()
        assert [refusal.peer for refusal in port.refused] == ["127.1.0.1"]
        for each in half:
            each.raw.close()


async def test_an_address_with_failed_connections_waits_for_the_others(pki: Pki) -> None:
    async with _port(pki) as port:
        for _ in range(int(FREE_FAILURES) + 2):
            with _Gateway(port.number, "127.9.0.1").raw as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
                await asyncio.get_running_loop().sock_recv(stranger, 100)
        await port.idle()

        async def all_ended() -> bool:
            return port.listener is not None and port.listener.connections == 0

        await until(all_ended, "the strangers are gone")
        port.begun.clear()
        flood = [_Gateway(port.number, "127.9.0.1").hello() for _ in range(ACCEPTED_AT_ONCE - 14)]
        honest = [_Gateway(port.number, each).hello() for each in _addresses(14)]
        await port.idle()
        # The first clients of the flood begin at once: no other client waits yet. Then the flood has one turn in eight.
        assert set(_addresses(14)) <= set(port.begun[: BEGUN_AT_ONCE + 14 + 2])
        assert len(port.begun) == ACCEPTED_AT_ONCE
        for each in (*flood, *honest):
            each.raw.close()


async def test_a_client_that_is_silent_until_its_turn_has_no_advantage(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stationkeeper_cups.accepting.listener.BEGUN_AT_ONCE", 1)
    async with _port(pki) as port:
        silent = [_Gateway(port.number, each) for each in _addresses(20)]
        await port.holds_silent(20)
        assert port.begun == []
        for each in silent:
            each.hello()
        before = len(port.begun)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(port.begun) - before <= 2
        for each in silent:
            assert await each.finish()
            each.raw.close()


async def test_those_that_wait_are_ended_with_the_listener(pki: Pki) -> None:
    async with _port(pki, replace(LIMITS, handshakes=1)) as port:
        clients = [_Gateway(port.number).hello() for _ in range(5)]
        silent = _Gateway(port.number)
        await _turns()
        assert port.listener is not None
        port.listener.stop()
        for each in (*clients, silent):
            assert await each.is_ended()
        assert port.listener.connections == 0
