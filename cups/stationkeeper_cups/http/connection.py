"""The connection of one gateway: HTTP/1.1 requests in sequence, and their answers.

A request is answered in the call that brings its last byte, so that a connection needs no task and no future. A Basics
Station sends one request on each connection and closes it. A request that comes in one piece is read directly;
aiohttp's parser reads all other requests, and is created only for them.
"""

import asyncio
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpRequestParser, RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestPayloadError

from stationkeeper_core.protocol.update_info import MAX_BODY_BYTES
from stationkeeper_cups.admission.client import Client
from stationkeeper_cups.http.messages import Answer, DateHeader, Request
from stationkeeper_cups.http.whole_request import whole_request
from stationkeeper_cups.tls.time_limits import Stage, TimeLimits
from stationkeeper_cups.tls.transport import TLSTransport

# The plain bytes that a client may send ahead while an answer is unread.
MAX_AHEAD_BYTES = 32 * 1024

_MAX_LINE_BYTES = 2048
# The parser never gets so many bytes, so its own flow control never begins.
_PARSER_BYTES = 1024 * 1024

# A constant, because each access to `HTTPStatus.OK` costs a call.
_OK = HTTPStatus.OK

_log = logging.getLogger("stationkeeper.cups.http")


@dataclass(frozen=True)
class RequestBounds:
    """The limits on requests of one connection.

    Attributes:
        requests: the maximum of requests; then the client must connect again, so that no connection stays for ever.
        headers: the maximum of headers of a request.
        header_bytes: the maximum size of one header.
    """

    requests: int = 8
    headers: int = 32
    header_bytes: int = 4096


REQUEST_BOUNDS = RequestBounds()


@dataclass(frozen=True)
class RequestSeconds:
    """The maximum seconds of each part of a request.

    Attributes:
        head: from the handshake to the end of the first request's head.
        body: from there to the end of its body.
        answer: the time for the client to read the answer.
        idle: from an answer to the next request.
    """

    head: float = 15.0
    body: float = 10.0
    answer: float = 30.0
    idle: float = 15.0


REQUEST_SECONDS = RequestSeconds()


class Handler(Protocol):
    """Answers requests."""

    def answer(self, request: Request, client: Client) -> Answer | None:
        """Return the answer; None to close the connection without one."""

    def malformed(self, detail: str, client: Client) -> Answer | None:
        """Return the answer to bytes that are not an HTTP request."""

    def too_slow(self, seconds: float, client: Client) -> Answer | None:
        """Return the answer to a request whose body has not come in time."""


class Shared:
    """The shared state of all connections of one server.

    Args:
        handler: answers requests.
        times: the time limits with the stages.
        seconds: the lengths of the stages.
        bounds: the limits on requests.

    Attributes:
        is_draining: whether each connection ends with its next answer.
        drained: set when the last one has ended.
        open: the open connections.
    """

    def __init__(
        self, handler: Handler, times: TimeLimits, seconds: RequestSeconds, bounds: RequestBounds = REQUEST_BOUNDS
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.bounds = bounds
        self.handler = handler
        self.head = times.stage("head", seconds.head)
        self.body = times.stage("body", seconds.body)
        self.answer = times.stage("answer", seconds.answer)
        self.idle = times.stage("idle", seconds.idle)
        self.date = DateHeader()
        self._flow_control = BaseProtocol(self.loop)
        self.is_draining = False
        self.drained = asyncio.Event()
        self.open: dict[HTTPConnection, None] = {}

    def parser(self) -> HttpRequestParser:
        """Return a parser for one connection."""
        return HttpRequestParser(
            self._flow_control,
            self.loop,
            _PARSER_BYTES,
            max_line_size=_MAX_LINE_BYTES,
            max_headers=self.bounds.headers,
            max_field_size=self.bounds.header_bytes,
            payload_exception=RequestPayloadError,
            # No gateway compresses, and a small compressed body could become very large.
            auto_decompress=False,
            max_msg_queue_size=1,
        )

    def lost(self, connection: "HTTPConnection") -> None:
        """Forget `connection`."""
        self.open.pop(connection, None)
        if self.is_draining and not self.open:
            self.drained.set()


class HTTPConnection(asyncio.Protocol):
    """The inner protocol of a TLS transport.

    Attributes:
        transport: the transport; None before and after the connection.
        stage: the present stage.
    """

    __slots__ = (
        "_ahead",
        "_answered",
        "_has_ended",
        "_is_busy",
        "_is_paused",
        "_message",
        "_parser",
        "_shared",
        "_whole",
        "stage",
        "transport",
    )

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._parser: HttpRequestParser | None = None
        self._whole: Request | None = None
        self._message: tuple[RawRequestMessage, StreamReader] | None = None
        self._ahead = b""
        self._answered = 0
        self._has_ended = False
        self._is_busy = False
        self._is_paused = False
        self.transport: TLSTransport | None = None
        self.stage: Stage | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no request has begun and no answer is being sent."""
        return self.stage is self._shared.idle or self.stage is self._shared.head

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        if not isinstance(transport, TLSTransport):
            raise TypeError("a gateway's connection is TLS")
        self.transport = transport
        self._shared.open[self] = None
        self._shared.head.add(self, self._shared.loop.time())

    def connection_lost(self, exc: BaseException | None) -> None:
        """Drop all state."""
        if self.stage is not None:
            self.stage.remove(self)
        self.transport = None
        self._message = self._whole = None
        self._shared.lost(self)

    def pause_writing(self) -> None:
        """Pause answers until the client has read."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Continue with the bytes that the client has sent ahead."""
        self._is_paused = False
        if self._ahead and not self._is_complete():
            self._feed_ahead()
        self._go_on()

    def eof_received(self) -> bool:
        """Answer a complete request anyway: the client may have closed only its own side."""
        self._has_ended = True
        return self._is_busy or self._is_paused

    def data_received(self, data: bytes) -> None:
        """Answer the requests that `data` completes."""
        if self._is_busy or self._is_paused:
            self._ahead += data
            if len(self._ahead) > MAX_AHEAD_BYTES and self.transport is not None:
                self.transport.pause_reading()
            return
        self._feed(data)
        if self._whole is not None or self._message is not None:
            self._go_on()

    def time_is_up(self, stage: Stage) -> None:
        """Close a connection whose stage took too long."""
        if self.transport is None:
            return
        if stage is self._shared.body:
            self._finish(self._shared.handler.too_slow(stage.seconds, self.transport), closes=True)
        elif stage is self._shared.idle:
            self.transport.close()
        else:
            self.transport.abort()

    def cut(self) -> None:
        """Close the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    def _go_on(self) -> None:
        """Answer all complete requests while the client reads."""
        while self._is_complete() and not self._is_paused:
            self._answer()
            if self._parser is None and not self._ahead:
                # A Station's one request.
                return
            if self.transport is None or self.transport.is_closing():
                return
            if self._parser is not None:
                self._parser.message_consumed()
            self._feed_ahead()

    def _feed_ahead(self) -> None:
        """Take in the bytes that the client has sent ahead."""
        if self.transport is None or self.transport.is_closing():
            return
        ahead, self._ahead = self._ahead, b""
        self.transport.resume_reading()
        self._feed(ahead)

    def _is_complete(self) -> bool:
        if self._message is None and self._whole is None:
            return False
        if self.transport is None or self.transport.is_closing():
            return False
        if self._message is None:
            return True
        payload = self._message[1]
        return payload.is_eof() or payload.exception() is not None or payload.total_bytes > MAX_BODY_BYTES

    def _feed(self, data: bytes) -> None:
        if self._parser is None:
            if not data:
                return
            self._whole = whole_request(data)
            if self._whole is not None:
                return
            self._parser = self._shared.parser()
        try:
            messages, _upgraded, _tail = self._parser.feed_data(data)
        except HttpProcessingError as error:
            if self.transport is not None:
                # The text of the parser's error quotes the client's bytes, and these may be a token.
                self._finish(self._shared.handler.malformed(type(error).__name__, self.transport), closes=True)
            return
        if messages:
            self._message = messages[0]
            if not self._is_complete() and self.transport is not None:
                self._shared.body.add(self, self._shared.loop.time())

    def _answer(self) -> None:
        whole, parsed, self._whole, self._message = self._whole, self._message, None, None
        if self.transport is None:
            return
        self._answered += 1
        closes = self._answered >= self._shared.bounds.requests or self._shared.is_draining
        self._is_busy = True
        try:
            if whole is not None:
                answer, without_body = self._shared.handler.answer(whole, self.transport), False
            elif parsed is not None:
                message, payload = parsed
                answer, without_body = self._answer_to(message, payload, self.transport), message.method == "HEAD"
                closes = closes or message.should_close or message.upgrade or not payload.is_eof()
            else:
                return
        finally:
            self._is_busy = False
        self._finish(answer, closes=closes, without_body=without_body)

    def _answer_to(self, message: RawRequestMessage, payload: StreamReader, transport: TLSTransport) -> Answer | None:
        if payload.exception() is not None:
            return self._shared.handler.malformed("its body", transport)
        return self._shared.handler.answer(_request(message, payload), transport)

    def _finish(self, answer: Answer | None, *, closes: bool, without_body: bool = False) -> None:
        transport = self.transport
        if transport is None:
            return
        if answer is None:
            transport.abort()
            return
        self._is_busy = True
        listens = transport.check()
        self._is_busy = False
        closes = closes or answer.closes or self._has_ended
        transport.write(answer.encode(self._shared.date.now(), closes=closes, without_body=without_body))
        if listens and transport.still_listens:
            transport.is_answered = answer.status is _OK
            if answer.sent is not None:
                transport.when_sent(answer.sent)
        elif answer.lost is not None:
            answer.lost()
        if closes:
            if self.stage is not None:
                self.stage.remove(self)
            transport.close()
        elif transport.get_write_buffer_size():
            self._shared.answer.add(self, self._shared.loop.time())
            transport.when_sent(self._wait)
        else:
            self._wait()

    def _wait(self) -> None:
        """Wait for the next request."""
        if self.transport is not None and not self.transport.is_closing():
            self._shared.idle.add(self, self._shared.loop.time())


def _request(message: RawRequestMessage, payload: StreamReader) -> Request:
    body = payload.read_nowait() if payload.total_bytes else b""
    raw = message.raw_headers
    return Request(
        message.method,
        message.url.path,
        message.headers.get("Host", ""),
        tuple(value for name, value in raw if name.lower() == b"authorization"),
        body,
        raw,
    )
