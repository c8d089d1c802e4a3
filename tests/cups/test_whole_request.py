"""A whole request is read as by aiohttp's parser, or left to that parser."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stationkeeper_cups.admission.client import Client
from stationkeeper_cups.forwarded.headers import forwarded_names
from stationkeeper_cups.http.connection import REQUEST_SECONDS, HTTPConnection, Shared
from stationkeeper_cups.http.messages import Answer, Request
from stationkeeper_cups.http.whole_request import whole_request
from stationkeeper_cups.tls.time_limits import TimeLimits
from stationkeeper_cups.tls.transport import TLSTransport

BODY = b'{"router":"102:304:506:708"}'
HEAD = b"POST /update-info HTTP/1.1\r\nHost: a:8987\r\n"
STATION = HEAD + b"Content-Type: application/json\r\nContent-Length:         28\r\n\r\n" + BODY
WITH_TOKEN = HEAD + b"Content-Length: 28\r\nAuthorization: Bearer x y\r\n\r\n" + BODY

LEFT_TO_THE_PARSER = (
    STATION[:-1],
    STATION + b"\r\n",
    STATION + STATION,
    STATION.replace(b"\r\n", b"\n"),
    STATION.replace(b"Host: a:8987\r\n", b"Host: a:8987\r\nHost: b\r\n"),
    STATION.replace(b"Content-Length:         28", b"Content-Length: 28\r\nContent-Length: 28"),
    STATION.replace(b"        28", b" +28"),
    STATION.replace(b"Host", b"Transfer-Encoding: chunked\r\nHost"),
    STATION.replace(b"Content-Type", b"Content-Type "),
    STATION.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    STATION.replace(b"POST", b"GET"),
    STATION.replace(b"1.1", b"1.0"),
    STATION.replace(b"/update-info", b"/update-info?a"),
    HEAD + b"Content-Length: 16385\r\n\r\n" + bytes(16385),
)


class _Seen:
    """Records the requests that reach the handler."""

    def __init__(self) -> None:
        self.requests: list[Request | str] = []

    def answer(self, request: Request, _client: Client) -> Answer | None:
        # A request that is read without a parser has no other headers, and so none of a proxy.
        assert not forwarded_names(request.headers)
        self.requests.append(replace(request, headers=()))
        return None

    def malformed(self, detail: str, _client: Client) -> Answer | None:
        self.requests.append(detail)
        return None

    def too_slow(self, _seconds: float, _client: Client) -> Answer | None:
        return None


class _Open(TLSTransport):
    """A transport without a socket; its client sends what the test says."""

    __slots__ = ("was_aborted",)

    def __init__(self) -> None:
        self.was_aborted = False

    def is_closing(self) -> bool:
        return self.was_aborted

    def abort(self) -> None:
        self.was_aborted = True


async def _parsed(*parts: bytes) -> list[Request | str]:
    """Return the result of a connection for bytes that arrive in these parts."""
    seen = _Seen()
    times = TimeLimits(asyncio.get_running_loop())
    connection = HTTPConnection(Shared(seen, times, REQUEST_SECONDS))
    connection.connection_made(_Open())
    for part in parts:
        connection.data_received(part)
    times.stop()
    return seen.requests


@pytest.mark.parametrize("request_bytes", [STATION, WITH_TOKEN])
async def test_a_station_s_request_is_read_at_a_glance_as_the_parser_reads_it(request_bytes: bytes) -> None:
    found = whole_request(request_bytes)

    assert found is not None
    assert found.body == BODY
    # If it comes in two pieces, the parser reads it.
    assert await _parsed(request_bytes[:40], request_bytes[40:]) == [found]
    assert await _parsed(request_bytes) == [found]


@pytest.mark.parametrize("request_bytes", LEFT_TO_THE_PARSER)
def test_an_unusual_request_is_left_to_the_parser(request_bytes: bytes) -> None:
    assert whole_request(request_bytes) is None


PIECES = (
    *(b"POST ", b"/update-info", b" HTTP/1.1", b"\r\n", b"\r\n\r\n", b"Host: a", b"Host:", b"Content-Length: ", b"28"),
    *(b" ", b":", b"\n", b"\r", b"\0", b"\t", b"\x80", b"0", b"-", b"+", b",", b"Content-Type: a/b", b"a", BODY),
    *(b"Authorization: ", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n"),
    *(
        b"http://a/update-info",
        b"http://[::1",
        b"*",
        b"%",
        b"#a",
        b"?" * 3000,
        b"HTTP/1.0",
        b"Host: \xff\r\n",
        b"\r\n ",
    ),
    *(b"Content-Length: 99999999999999999999\r\n", b"5;a=b\r\nhello\r\n0\r\n\r\n", b"A: b\r\n" * 40, STATION),
    *(b"Content-Encoding: gzip\r\n", b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"X: " + b"x" * 5000 + b"\r\n"),
)


@given(
    st.sampled_from([STATION, WITH_TOKEN]),
    st.lists(st.tuples(st.integers(0, 160), st.integers(0, 12), st.sampled_from(PIECES)), max_size=3),
)
def test_nothing_is_read_at_a_glance_that_the_parser_reads_otherwise(
    request_bytes: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    for place, removed, added in changes:
        request_bytes = request_bytes[:place] + added + request_bytes[place + removed :]

    found = whole_request(request_bytes)

    if found is not None:
        assert asyncio.run(_parsed(request_bytes[:1], request_bytes[1:])) == [found]
