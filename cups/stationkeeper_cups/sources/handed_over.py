"""What the operator hands over on the internal port: documents, and which generations are the latest.

A kubelet refreshes a mounted Secret only after up to two minutes, and later still when the API server was away. What
comes here is in force at once. It is believed only with the operator's signature, and then checked as what comes from
the volume. Who has the token and not the operator's key can do nothing here but waste one slot of an address.
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
_SHUT = "nothing is taken here: set STATIONKEEPER_OPERATOR_CERTIFICATE_FILE to the operator's certificate\n"
_log = logging.getLogger("stationkeeper.cups.handed_over")

CheckToken = Callable[[web.Request], None]


def moment_ms() -> int:
    """Return the moment, for `Latest`."""
    return int(time.monotonic() * 1000)


class HandedOver:
    """Takes what the operator hands over.

    Args:
        state: where it is put in force.
        metrics: where refusals are counted.
        instance: names this process.
        certificate: reads the operator's certificate; None: nothing is taken.
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
        """Whether anything is taken here."""
        return self._certificate is not None

    def routes(self, check_token: CheckToken) -> Iterable[web.RouteDef]:
        """Return the routes.

        Args:
            check_token: raises where a request does not have the token.
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
            return web.Response(status=409, text="a document is older than the latest\n")
        return web.Response(status=204)

    def _operator(self) -> OperatorCertificate:
        """Read the certificate, which may have changed.

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
        """The body; of an address one at a time is read, since each may take a megabyte."""
        if self._certificate is None:
            raise web.HTTPForbidden(text=_SHUT)
        address = request.remote or ""
        if address in self._busy or len(self._busy) >= _AT_ONCE:
            raise web.HTTPTooManyRequests(text="something else is being taken\n")
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
            _log.warning("not taken, it is not the operator's", extra={"fields": fields})
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
