"""`POST /update-info` over HTTP: the boundary between aiohttp and the core.

Refusals that are the client's own are answered with 400, 403, 404, 405 or 413 and one short line. For trouble on this
side the connection is closed without an answer: at any status but 200 a Basics Station drops its credentials, while a
lost connection it just retries.

Where token authentication is on, a client without a certificate is judged by its token. A certificate that is presented
decides alone, whatever token comes with it.

A visit is remembered, and what it was sent is counted, once the answer is written: what got lost before was not sent.
Source: the CUPS protocol, how the client behaves.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from stationkeeper_core.client_certificate import ClientCertificate
from stationkeeper_core.delivery import Delivery, deliver, segments
from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import format_hex
from stationkeeper_core.observation import SeenCertificate
from stationkeeper_core.policy.authorization import Claim, authorize
from stationkeeper_core.policy.refused_client import identify_refused, seen_certificate
from stationkeeper_core.policy.token_authorization import TokenClaim, authorize_by_token
from stationkeeper_core.published import RegisteredGateway
from stationkeeper_core.reason_table import REASONS
from stationkeeper_core.snapshot import Snapshot
from stationkeeper_core.trust.judgement import Judgement
from stationkeeper_core.trust.judging import judge
from stationkeeper_core.update_info import MAX_BODY_BYTES, UpdateInfoRequest, encode_response, parse_request
from stationkeeper_cups.log_budget import LogBudget
from stationkeeper_cups.metrics import Metrics
from stationkeeper_cups.observations import Observations
from stationkeeper_cups.peer_certificate import gateway_transport, peer_certificate
from stationkeeper_cups.serving_state import ServingState

PATH = "/update-info"
KEEPALIVE_SECONDS = 15.0
FIRST_REQUEST_SECONDS = 15.0
BODY_SECONDS = 10.0
ANSWER_SECONDS = 30.0

_MAX_ERROR_BYTES = 1000
_HEADERS = {"Server": "Stationkeeper"}

_log = logging.getLogger("stationkeeper.cups.update_info")


class UpdateInfoServer(web.Server):
    """Makes the HTTP protocols of accepted connections and answers their requests.

    Args:
        state: what to decide on.
        metrics: what to count in.
        observations: what to remember gateways in.
        clock: the time, aware.

    Attributes:
        on_closed: called whenever a connection is lost.
    """

    def __init__(
        self, state: ServingState, metrics: Metrics, observations: Observations, clock: Callable[[], datetime]
    ) -> None:
        super().__init__(
            self._handle,
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
            lingering_time=BODY_SECONDS,
            # No gateway compresses, and what inflates is not bounded by what arrives.
            auto_decompress=False,
            max_line_size=2048,
            max_field_size=4096,
            max_headers=32,
        )
        self._state = state
        self._metrics = metrics
        self._observations = observations
        self._clock = clock
        self._strangers_lines = LogBudget(time.monotonic)
        self.on_closed: Callable[[], None] = lambda: None
        self._open: set[RequestHandler] = set()
        self._unheard: dict[RequestHandler, asyncio.TimerHandle] = {}
        self._idle: set[RequestHandler] = set()
        self._draining = False
        self._drained = asyncio.Event()

    def __call__(self) -> RequestHandler:
        """The protocol of a new connection."""
        return _GatewayConnection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Counts the connection, and ends it where no request comes: it may be anybody's."""
        super().connection_made(handler, transport)
        self._open.add(handler)
        self._unheard[handler] = self._loop.call_later(FIRST_REQUEST_SECONDS, _cut, handler)
        self._metrics.connections.inc()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Frees the connection's place."""
        super().connection_lost(handler, exc)
        self._heard(handler)
        self._open.discard(handler)
        self._idle.discard(handler)
        self._metrics.connections.dec()
        self.on_closed()
        if self._draining and not self._open:
            self._drained.set()

    async def drain(self, seconds: float) -> None:
        """Ends all connections: idle ones at once, the others when they are answered, or after `seconds`."""
        self._draining = True
        for handler in list(self._idle):
            _cut(handler)
        if self._open:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), seconds)
        await self.shutdown(0)

    def close_untrusted(self) -> None:
        """Closes every connection whose certificate no TrustedCA in force vouches for, with what runs on it.

        The others stay as they are: requests are decided on the snapshot at their end, not on the connection's.
        """
        snapshot = self._state.snapshot
        for handler in list(self._open):
            connection = gateway_transport(handler.transport)
            certificate = peer_certificate(connection) if connection else None
            if certificate is None or snapshot is None:
                continue
            try:
                trusted = self._judge(peer_certificate(connection), snapshot, self._clock()).vouched
            except StationkeeperError:
                trusted = False
            if not trusted:
                _cut(handler)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        handler = request.protocol
        self._idle.discard(handler)
        self._heard(handler)
        try:
            with self._metrics.request_seconds.time():
                response = await self._answer(request)
        except StationkeeperError as error:
            response = self._refuse(request, error)
        except ConnectionError:
            response = _without_answer(request)
        except Exception:
            _log.exception("closed without an answer", extra={"fields": {"peer": request.remote}})
            self._metrics.requests.labels("InternalError").inc()
            response = _without_answer(request)
        if self._draining:
            response.force_close()
        return response

    def _heard(self, handler: RequestHandler) -> None:
        timer = self._unheard.pop(handler, None)
        if timer is not None:
            timer.cancel()

    def answered(self, handler: RequestHandler) -> None:
        """Notes that an answer was written, and nothing else is asked yet."""
        if handler in self._open:
            self._idle.add(handler)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        _check_target(request)
        update_info = parse_request(await _body(request))
        connection, snapshot = gateway_transport(request.transport), self._state.snapshot
        if connection is None or snapshot is None:
            # The client has gone, or was accepted in the very moment before the first load.
            return _without_answer(request)
        now = self._clock()
        certificate = peer_certificate(connection)
        if certificate is None:
            grant = authorize_by_token(TokenClaim(_authorization(request), update_info.router), snapshot)
            gateway, seen, way_in = grant.gateway, None, {"token": grant.source}
        else:
            judgement = self._judge(peer_certificate(connection), snapshot, now)
            gateway, way_in = self._authorize(judgement, update_info, snapshot, now), {}
            seen = seen_certificate(judgement)
        delivery = deliver(update_info, gateway, self._observations.progress(gateway), now)
        body = encode_response(delivery.response)
        outcome = "Answered" if any(body) else "Unchanged"
        self._metrics.requests.labels(outcome).inc()
        fields = _described(request, update_info) | {
            "gateway": f"{gateway.namespace}/{gateway.name}",
            "sent": segments(delivery.response),
            **way_in,
        }
        _log.info(outcome.lower(), extra={"fields": fields})
        return _Answer(body, lambda: self._record(gateway, update_info, seen, delivery, now))

    def _authorize(
        self, judgement: Judgement, update_info: UpdateInfoRequest, snapshot: Snapshot, now: datetime
    ) -> RegisteredGateway:
        try:
            return authorize(Claim(judgement, update_info.router), snapshot).registered
        except StationkeeperError as error:
            refused = identify_refused(judgement, snapshot.registry)
            if refused is not None:
                self._observations.refused(refused, update_info, error.reason, now)
            raise

    def _judge(self, certificate: ClientCertificate, snapshot: Snapshot, now: datetime) -> Judgement:
        return judge(certificate, snapshot.trust, snapshot.registry.scope(certificate.eui_or_none), now)

    def _record(
        self,
        gateway: RegisteredGateway,
        update_info: UpdateInfoRequest,
        certificate: SeenCertificate | None,
        delivery: Delivery,
        now: datetime,
    ) -> None:
        self._observations.visited(gateway, update_info, certificate, delivery.progress, now)
        for segment in segments(delivery.response):
            self._metrics.deliveries.labels(segment).inc()
        if delivery.suppressed:
            self._metrics.suppressed_deliveries.inc()
        if delivery.stalls and delivery.progress:
            fields = {
                "gateway": f"{gateway.namespace}/{gateway.name}",
                "eui": gateway.eui,
                "outstanding": delivery.progress.outstanding,
            }
            _log.warning("not converging", extra={"fields": fields})

    def refuse_malformed(self, request: web.BaseRequest, status: int, detail: str) -> web.StreamResponse:
        """The answer to what aiohttp could not read as a request."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return _without_answer(request)
        response = self._refuse(request, StationkeeperError(Reason.MALFORMED_REQUEST, f"not HTTP: {detail}"))
        response.force_close()
        return response

    def _refuse(self, request: web.BaseRequest, error: StationkeeperError) -> web.StreamResponse:
        self._metrics.requests.labels(error.reason).inc()
        stranger = self._is_stranger(request)
        self._log_refusal(request, error, stranger)
        info = REASONS[error.reason]
        if info.http_status is None:
            return _without_answer(request)
        told = info.meaning if info.discreet else error.detail
        text = f"{error.reason}: {told}".encode("ascii", "replace")[:_MAX_ERROR_BYTES] + b"\n"
        headers = _HEADERS | ({"Allow": "POST"} if error.reason is Reason.METHOD_NOT_ALLOWED else {})
        response = web.Response(status=info.http_status, body=text, content_type="text/plain", headers=headers)
        if stranger:
            response.force_close()
        return response

    def _log_refusal(self, request: web.BaseRequest, error: StationkeeperError, stranger: bool) -> None:
        fields = {"peer": request.remote, "reason": error.reason, "detail": error.detail} | _certificate(request)
        if stranger:
            left_out = self._strangers_lines.take()
            if left_out is None:
                return
            fields["left_out"] = left_out
        _log.warning("refused", extra={"fields": fields})

    def _is_stranger(self, request: web.BaseRequest) -> bool:
        """Whether the client of a refused request may be anybody, since no certificate was asked of it."""
        connection = gateway_transport(request.transport)
        return self._state.token_authentication and (connection is None or peer_certificate(connection) is None)


class _Answer(web.Response):
    """An answer with status 200.

    Attributes:
        on_written: to be called once it is written.
    """

    def __init__(self, body: bytes, on_written: Callable[[], None]) -> None:
        super().__init__(body=body, content_type="application/octet-stream", headers=_HEADERS)
        self.on_written = on_written


class _GatewayConnection(RequestHandler):
    """A connection that says in our words what is wrong with a request that is not even HTTP."""

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The answer to what could not be read as a request, or was not answered for another trouble."""
        if isinstance(self._manager, UpdateInfoServer):
            # What aiohttp found quotes what was sent, and that may be a token.
            return self._manager.refuse_malformed(request, status, type(exc).__name__)
        return _without_answer(request)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Writes the answer; a client that does not read it in time loses its connection."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                written = await super().finish_response(request, resp, start_time)
        except TimeoutError:
            _without_answer(request)
            return resp, True
        lost = written[1]
        if isinstance(resp, _Answer) and not lost:
            resp.on_written()
        if isinstance(self._manager, UpdateInfoServer):
            self._manager.answered(self)
        return written


def _cut(handler: RequestHandler) -> None:
    """Ends a connection at once, without waiting for the client to agree."""
    transport = handler.transport
    handler.force_close()
    if isinstance(transport, asyncio.Transport):
        transport.abort()


def _check_target(request: web.BaseRequest) -> None:
    if request.path != PATH:
        raise StationkeeperError(Reason.PATH_NOT_FOUND, f"there is nothing at {request.path[:128]!a}")
    if request.method != "POST":
        raise StationkeeperError(Reason.METHOD_NOT_ALLOWED, f"{request.method[:20]!a} is not POST")


async def _body(request: web.BaseRequest) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while len(body) <= MAX_BODY_BYTES and (chunk := await request.content.readany()):
                body += chunk
    except TimeoutError:
        raise StationkeeperError(Reason.REQUEST_TIMEOUT, f"the body did not come within {BODY_SECONDS:g} s") from None
    except web.RequestPayloadError as error:
        raise StationkeeperError(Reason.MALFORMED_REQUEST, f"the body cannot be read: {error}") from None
    return bytes(body)


def _authorization(request: web.BaseRequest) -> tuple[bytes, ...]:
    return tuple(value for name, value in request.raw_headers if name.lower() == b"authorization")


def _without_answer(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _described(request: web.BaseRequest, update_info: UpdateInfoRequest) -> dict[str, object]:
    return {
        "peer": request.remote,
        "eui": format_hex(update_info.router),
        "station": update_info.station,
        "model": update_info.model,
        "package": update_info.package,
    }


def _certificate(request: web.BaseRequest) -> dict[str, object]:
    connection = gateway_transport(request.transport)
    certificate = peer_certificate(connection) if connection else None
    if certificate is None:
        return {}
    return {
        "common_name": ", ".join(certificate.common_names),
        "issuer": certificate.leaf.issuer,
        "sha256": certificate.leaf.sha256,
    }
