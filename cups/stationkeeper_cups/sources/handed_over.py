"""Handovers of the operator on the internal port: documents, and the latest generations.

A kubelet refreshes a mounted Secret only after up to two minutes, and later if the API server was away. A document that
is handed over here is in force at once. It is accepted only with the operator's signature, and then checked like a
document of the volume. A client with the token but without the operator's key can only occupy the slot of its address.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from aiohttp import web

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.published.documents import MAX_SECRET_BYTES
from stationkeeper_core.published.operator_proof import HEADER, OperatorCertificate
from stationkeeper_cups.in_force.serving_state import ServingState
from stationkeeper_cups.log_budget import LogBudget
from stationkeeper_cups.metrics import Metrics

MAX_LATEST_BYTES = 64 * 1024
READ_SECONDS = 5.0

_AT_ONCE = 8
_SHUT = "handovers are off: set STATIONKEEPER_OPERATOR_CERTIFICATE_FILE to the file of the operator's certificate\n"
_log = logging.getLogger("stationkeeper.cups.handed_over")

CheckToken = Callable[[web.Request], None]


def moment_ms() -> int:
    """Return the moment, for `Latest`."""
    return int(time.monotonic() * 1000)


class HandedOver:
    """Accepts handovers of the operator.

    Args:
        state: the state that receives the documents.
        metrics: the metrics for refusals.
        instance: the name of this process.
        certificate: reads the operator's certificate; None refuses handovers.
    """

    def __init__(
        self, state: ServingState, metrics: Metrics, instance: str, certificate: Callable[[], bytes] | None
    ) -> None:
        self._state = state
        self._metrics = metrics
        self._instance = instance
        self._certificate = certificate
        self._lines = LogBudget(time.monotonic)
        self._busy: set[str] = set()

    @property
    def is_open(self) -> bool:
        """Whether handovers are accepted."""
        return self._certificate is not None

    def routes(self, check_token: CheckToken) -> Iterable[web.RouteDef]:
        """Return the routes.

        Args:
            check_token: raises if a request does not have the token.
        """

        async def document(request: web.Request) -> web.Response:
            check_token(request)
            return await self._take_document(request)

        async def latest(request: web.Request) -> web.Response:
            check_token(request)
            return await self._take_latest(request)

        return (web.put("/documents/{document}", document), web.put("/latest", latest))

    async def _take_document(self, request: web.Request) -> web.Response:
        name = request.match_info["document"]
        if name not in self._state.documents:
            raise web.HTTPNotFound
        async with self._body(request, MAX_SECRET_BYTES) as value:
            try:
                signature = request.headers.get(HEADER, "")
                await asyncio.to_thread(self._operator().check_document, name, value, signature)
                await self._state.take_over(name, value)
            except StationkeeperError as error:
                return self._refusal(request, name, error)
        return web.Response(status=204)

    async def _take_latest(self, request: web.Request) -> web.Response:
        async with self._body(request, MAX_LATEST_BYTES) as body:
            try:
                signature = request.headers.get(HEADER, "")
                generations = self._operator().check_latest(body, signature, self._instance, moment_ms())
            except StationkeeperError as error:
                return self._refusal(request, "latest", error)
        if self._state.compare(generations):
            return web.Response(status=409, text="a document here is older than the latest\n")
        return web.Response(status=204)

    def _operator(self) -> OperatorCertificate:
        """Return the certificate, read again if its file changed.

        Raises:
            StationkeeperError: `NotFromOperator`.
        """
        if self._certificate is None:
            raise web.HTTPForbidden(text=_SHUT)
        try:
            return OperatorCertificate(self._certificate())
        except OSError as error:
            detail = f"the operator's certificate cannot be read: {error.strerror}"
            raise StationkeeperError(Reason.NOT_FROM_OPERATOR, detail) from None

    @asynccontextmanager
    async def _body(self, request: web.Request, most: int) -> AsyncIterator[bytes]:
        """Read the body; only one at a time of an address, because each may have a megabyte."""
        if self._certificate is None:
            raise web.HTTPForbidden(text=_SHUT)
        address = request.remote or ""
        if address in self._busy or len(self._busy) >= _AT_ONCE:
            raise web.HTTPTooManyRequests(text="another handover from this address is under way; try again\n")
        self._busy.add(address)
        try:
            yield await _read(request, most)
        finally:
            self._busy.discard(address)

    def _refusal(self, request: web.Request, what: str, error: StationkeeperError) -> web.Response:
        if error.reason != Reason.NOT_FROM_OPERATOR:
            return web.json_response({"reason": error.reason, "detail": error.detail}, status=409)
        self._metrics.load_refusals.labels(what, error.reason).inc()
        left_out = self._lines.take()
        if left_out is not None:
            fields = {"peer": request.remote, "reason": error.reason, "detail": error.detail, "left_out": left_out}
            _log.warning("a handover was refused: it is not the operator's", extra={"fields": fields})
        return web.json_response({"reason": error.reason, "detail": error.detail}, status=403)


async def _read(request: web.Request, most: int) -> bytes:
    too_large = web.HTTPRequestEntityTooLarge(max_size=most, actual_size=request.content_length or most + 1)
    if (request.content_length or 0) > most:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > most:
                    raise too_large
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return bytes(body)
