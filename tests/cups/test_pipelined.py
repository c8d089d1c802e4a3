"""Requests that a client sends before it has read the previous answer."""

import asyncio
from collections.abc import Callable, Iterator
from http import HTTPStatus

import pytest

from stationkeeper_cups.admission.client import Client
from stationkeeper_cups.http.connection import REQUEST_SECONDS, HTTPConnection, Shared
from stationkeeper_cups.http.messages import Answer, Request
from stationkeeper_cups.tls.time_limits import TimeLimits
from stationkeeper_cups.tls.transport import TLSTransport

BODY = b'{"router":"102:304:506:708"}'
REQUEST = b"POST /update-info HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\n" + BODY


class _Large:
    """Gives each request an answer that no kernel buffer can hold."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def answer(self, request: Request, _client: Client) -> Answer | None:
        self.bodies.append(request.body)
        return Answer(HTTPStatus.OK, bytes(100_000))

    def malformed(self, _detail: str, _client: Client) -> Answer | None:
        return None

    def too_slow(self, _seconds: float, _client: Client) -> Answer | None:
        return None


class _Unread(TLSTransport):
    """A transport without a socket; its client reads when the test says so."""

    __slots__ = ("_told", "inner", "unread")

    def __init__(self) -> None:
        self._told: list[Callable[[], None]] = []
        self.unread = 0
        self.inner: HTTPConnection | None = None

    @property
    def still_listens(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return False

    def check(self) -> bool:
        return True

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.unread

    def when_sent(self, told: Callable[[], None]) -> None:
        self._told.append(told)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.unread += len(data)
        assert self.inner is not None
        self.inner.pause_writing()

    def is_read(self) -> None:
        """Act as the transport when the client has read everything."""
        assert self.inner is not None
        self.unread = 0
        self.inner.resume_writing()
        told, self._told = self._told, []
        for each in told:
            each()


def _parts(data: bytes, place: int) -> Iterator[bytes]:
    yield from (each for each in (data[:place], data[place:]) if each)


@pytest.mark.parametrize("place", [0, 1, len(REQUEST) - 5, len(REQUEST), len(REQUEST) + 10, 2 * len(REQUEST) - 5])
async def test_requests_sent_before_an_answer_is_read_are_answered_after_it(place: int) -> None:
    handler, transport = _Large(), _Unread()
    times = TimeLimits(asyncio.get_running_loop())
    connection = transport.inner = HTTPConnection(Shared(handler, times, REQUEST_SECONDS))
    connection.connection_made(transport)

    connection.data_received(REQUEST)
    for part in _parts(2 * REQUEST, place):
        connection.data_received(part)
    assert handler.bodies == [BODY], "the answer to the first one is unread"
    transport.is_read()
    assert handler.bodies == 2 * [BODY]
    transport.is_read()
    times.stop()

    assert handler.bodies == 3 * [BODY]


@pytest.mark.parametrize("cut", [5, len(BODY), len(BODY) + 10])
async def test_a_request_that_is_half_there_when_the_answer_is_read_is_answered_when_it_is_whole(cut: int) -> None:
    handler, transport = _Large(), _Unread()
    times = TimeLimits(asyncio.get_running_loop())
    connection = transport.inner = HTTPConnection(Shared(handler, times, REQUEST_SECONDS))
    connection.connection_made(transport)

    connection.data_received(REQUEST + REQUEST[:-cut])
    assert handler.bodies == [BODY]
    connection.data_received(REQUEST[-cut:])
    transport.is_read()
    times.stop()

    assert handler.bodies == 2 * [BODY]
