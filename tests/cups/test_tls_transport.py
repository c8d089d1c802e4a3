"""A TLS transport on a real pair of sockets, with real TLS, and a port that records its calls."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from OpenSSL import SSL

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_cups.tls.connection import Judge, State
from stationkeeper_cups.tls.context import gateway_context
from stationkeeper_cups.tls.server_credentials import ServerCredentials
from stationkeeper_cups.tls.time_limits import TimeLimits
from stationkeeper_cups.tls.transport import (
    HIGH_WATER_BYTES,
    MAX_CLOSING_BYTES,
    MAX_UNSENT_BYTES,
    TLSTransport,
)
from tests.cups.client import until
from tests.cups.pki import Pki
from tests.cups.tls_peer import Judge as Remembers
from tests.cups.tls_peer import Peer

RECORD_THAT_IS_NONE = b"\x17\x03\x03\x00\x20" + bytes(32)


class Inner(asyncio.Protocol):
    """An inner protocol that records its calls."""

    def __init__(self) -> None:
        self.received = b""
        self.told: list[str] = []
        self.keeps_open_at_end = False
        self.trouble: Exception | None = None

    def data_received(self, data: bytes) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.received += data

    def eof_received(self) -> bool:
        self.told.append("end")
        return self.keeps_open_at_end

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")


class Port:
    """A port that records the calls of its transports."""

    def __init__(self, times: TimeLimits, context: SSL.Context) -> None:
        self.handshake = times.stage("handshake", 600)
        self.closing = times.stage("closing", 600)
        self.inner: Inner | None = Inner()
        self.told: list[str] = []
        self.reason: Reason | None = None
        self.begins = True
        self._context = context
        self._judge: Judge = Remembers()

    def begin(self, transport: TLSTransport) -> tuple[SSL.Context, Judge] | None:
        return (self._context, self._judge) if self.begins else None

    def handshake_done(self, transport: TLSTransport) -> asyncio.Protocol | None:
        return self.inner

    def refused(self, transport: TLSTransport, failure: StationkeeperError) -> None:
        self.told.append("refused")
        self.reason = failure.reason

    def failed(self, transport: TLSTransport) -> None:
        self.told.append("failed")

    def unused(self, transport: TLSTransport) -> None:
        self.told.append("unused")

    def closed(self, transport: TLSTransport) -> None:
        self.told.append("gone")


class Ends:
    """Both ends of a connection."""

    def __init__(self, pki: Pki) -> None:
        ours, self.theirs = socket.socketpair()
        for each in (ours, self.theirs):
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        loop = asyncio.get_running_loop()
        self.times = TimeLimits(loop)
        chain = pki.server.certificate_pem + pki.server_ca.certificate_pem
        self.port = Port(self.times, gateway_context(ServerCredentials(chain, pki.server.key_pem)))
        self.peer = Peer(pki, pki.a_gateway, ssl.TLSVersion.TLSv1_2)
        self.transport = TLSTransport(loop, ours, "192.0.2.1", self.port)

    @property
    def inner(self) -> Inner:
        assert self.port.inner is not None
        return self.port.inner

    @property
    def is_gone(self) -> bool:
        return "gone" in self.port.told

    def talk(self) -> bytes | None:
        """Let the client read and answer once; return what it read, None if there was nothing."""
        try:
            data = self.theirs.recv(65536)
        except BlockingIOError:
            return None
        with suppress(OSError):
            self.say(self.peer.step(data))
        return data

    def say(self, data: bytes) -> None:
        if data:
            assert self.theirs.send(data) == len(data)

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        async def asked() -> bool:
            return holds()

        await until(asked, what)

    async def until_talked(self, holds: Callable[[], bool], what: str) -> None:
        """Wait; meanwhile the client reads and answers."""

        def talked() -> bool:
            self.talk()
            return holds()

        await self.until(talked, what)

    async def shake_hands(self) -> None:
        self.say(self.peer.step())
        await self.until_talked(lambda: self.transport.still_listens, "the handshake is done")
        while self.talk() is not None:
            pass


@pytest.fixture
async def ends(pki: Pki) -> AsyncIterator[Ends]:
    found = Ends(pki)
    yield found
    found.transport.abort()
    found.times.stop()
    found.theirs.close()


@pytest.fixture
async def open_ends(ends: Ends) -> Ends:
    await ends.shake_hands()
    return ends


async def test_a_protocol_is_paused_while_the_client_reads_nothing_and_all_arrives_later(open_ends: Ends) -> None:
    ends, sent = open_ends, []
    said = bytes(range(256)) * 1200
    ends.transport.write(said)
    ends.transport.when_sent(lambda: sent.append("all"))
    assert (ends.inner.told, sent) == (["pause"], [])
    assert ends.transport.get_write_buffer_size() > HIGH_WATER_BYTES

    await ends.until_talked(lambda: len(ends.peer.plain) == len(said), "all of it arrives")

    assert ends.peer.plain == said
    assert (ends.inner.told, sent) == (["pause", "resume"], ["all"])
    ends.transport.when_sent(lambda: sent.append("at once"))
    assert sent == ["all", "at once"]


async def test_a_client_that_reads_nothing_holds_a_bounded_number_of_bytes(open_ends: Ends) -> None:
    sent: list[str] = []
    open_ends.transport.write(bytes(HIGH_WATER_BYTES * 2))
    open_ends.transport.when_sent(lambda: sent.append("all"))
    open_ends.transport.write(bytes(MAX_UNSENT_BYTES))

    assert open_ends.is_gone
    assert open_ends.transport.get_write_buffer_size() == 0
    open_ends.transport.when_sent(lambda: sent.append("never"))
    open_ends.transport.write(b"nobody reads this")
    assert sent == []


async def test_a_close_sends_what_was_written_and_then_says_goodbye(open_ends: Ends) -> None:
    ends = open_ends
    ends.transport.write(bytes(200_000))
    ends.transport.close()
    ends.transport.close()
    assert ends.transport.stage is ends.port.closing
    assert not ends.is_gone

    await ends.until_talked(lambda: ends.peer.alert == "close_notify", "the client reads goodbye")
    assert len(ends.peer.plain) == 200_000
    ends.theirs.close()
    await ends.until(lambda: ends.is_gone, "the client's end is seen")
    assert ends.port.told.count("gone") == 1


async def test_a_client_that_goes_on_talking_after_the_close_is_cut_off(open_ends: Ends) -> None:
    ends = open_ends
    ends.transport.close()
    said = 0
    while not ends.is_gone:
        assert said <= MAX_CLOSING_BYTES + 64 * 1024
        with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            said += ends.theirs.send(bytes(4096))
        await asyncio.sleep(0)
    assert said > MAX_CLOSING_BYTES


async def test_bytes_stay_with_the_client_while_the_protocol_does_not_read(open_ends: Ends) -> None:
    ends = open_ends
    ends.transport.pause_reading()
    ends.transport.pause_reading()
    ends.say(ends.peer.write(b"later"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert ends.inner.received == b""

    ends.transport.resume_reading()
    ends.transport.resume_reading()
    await ends.until(lambda: ends.inner.received == b"later", "it is read")


@pytest.mark.parametrize("keeps_open", [False, True])
async def test_the_protocol_decides_what_follows_the_client_s_end(open_ends: Ends, keeps_open: bool) -> None:
    ends = open_ends
    ends.inner.keeps_open_at_end = keeps_open
    ends.say(ends.peer.goodbye())
    await ends.until(lambda: "end" in ends.inner.told, "its end is seen")

    assert ends.transport.is_closing() is not keeps_open
    assert not ends.transport.still_listens
    ends.transport.write(b"an answer")
    ends.transport.close()
    await ends.until(lambda: ends.is_gone, "the connection is closed")


@pytest.mark.parametrize("client", ["ends", "resets"])
async def test_a_client_that_goes_without_a_byte_is_unused(pki: Pki, client: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        theirs = socket.create_connection(listening.getsockname())
        ours = listening.accept()[0]
    ours.setblocking(False)
    if client == "resets":
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    ends = Ends(pki)
    ends.transport.abort()
    ends.port.told.clear()
    ends.transport = TLSTransport(asyncio.get_running_loop(), ours, "192.0.2.1", ends.port)
    theirs.close()

    await ends.until(lambda: ends.is_gone, "the connection is closed")
    assert ends.port.told == ["unused", "gone"]
    ends.times.stop()
    ends.theirs.close()


async def test_a_client_that_cannot_be_written_to_is_lost(open_ends: Ends) -> None:
    open_ends.theirs.close()
    open_ends.transport.write(b"to nobody")
    assert open_ends.inner.told == ["lost"]
    assert open_ends.is_gone


async def test_a_client_that_goes_while_bytes_wait_for_it_is_lost(open_ends: Ends) -> None:
    open_ends.transport.write(bytes(200_000))
    open_ends.transport.pause_reading()
    open_ends.theirs.close()
    await open_ends.until(lambda: open_ends.is_gone, "the connection is closed")
    assert open_ends.inner.told == ["pause", "lost"]


async def test_a_client_that_ends_in_its_handshake_is_refused(ends: Ends) -> None:
    ends.say(ends.peer.step()[:20])
    await ends.until(lambda: ends.transport.tls is not None, "its first bytes are read")
    ends.theirs.close()
    await ends.until(lambda: ends.is_gone, "the connection is closed")
    assert (ends.port.told, ends.port.reason) == (["refused", "gone"], Reason.HANDSHAKE_FAILED)


async def test_bytes_that_are_no_tls_are_refused_and_the_server_ends_its_side(ends: Ends) -> None:
    ends.say(b"GET / HTTP/1.1\r\n\r\n")
    await ends.until(lambda: "refused" in ends.port.told, "it is refused")
    assert ends.port.reason is Reason.HANDSHAKE_FAILED
    assert ends.theirs.recv(100) == b""


@pytest.mark.parametrize(("stage", "told"), [("handshake", ["refused", "gone"]), ("closing", ["gone"])])
async def test_a_connection_ends_when_its_time_is_up(ends: Ends, stage: str, told: list[str]) -> None:
    ends.transport.time_is_up(getattr(ends.port, stage))
    ends.transport.time_out("again")
    assert ends.port.told == told
    assert ends.port.reason in {None, Reason.HANDSHAKE_TIMEOUT}


@pytest.mark.parametrize("who", ["the context", "the protocol"])
async def test_a_port_that_has_nothing_for_a_client_closes_the_connection(ends: Ends, who: str) -> None:
    if who == "the context":
        ends.port.begins = False
    else:
        ends.port.inner = None
    ends.say(ends.peer.step())
    await ends.until_talked(lambda: ends.is_gone, "the connection is closed")
    assert ends.port.told == ["gone"]


async def test_an_error_of_the_server_closes_that_connection_and_is_told(open_ends: Ends) -> None:
    open_ends.inner.trouble = RuntimeError("a bug")
    open_ends.say(open_ends.peer.write(b"x"))
    await open_ends.until(lambda: open_ends.is_gone, "the connection is closed")
    assert open_ends.port.told == ["failed", "gone"]


async def test_a_record_that_is_none_closes_the_connection(open_ends: Ends) -> None:
    open_ends.say(RECORD_THAT_IS_NONE)
    await open_ends.until(lambda: open_ends.is_gone, "the connection is closed")
    assert open_ends.inner.received == b""
    assert open_ends.transport.tls is not None
    assert open_ends.transport.tls.state is State.FAILED


async def test_it_carries_streams_only_and_shows_the_peer_only(ends: Ends) -> None:
    with pytest.raises(TypeError):
        ends.transport.set_protocol(asyncio.DatagramProtocol())
    assert ends.transport.get_extra_info("peername") == ("192.0.2.1", 0)
    assert ends.transport.get_extra_info("socket") is None
