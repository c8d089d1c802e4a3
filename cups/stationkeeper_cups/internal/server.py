"""The internal port, for the cluster: health, readiness, metrics, loaded generations and observations.

It uses TLS with the server certificate, and a self-signed one until there is one: probes must be answered before the
first load. `/generation` requires a bearer token if one is configured. `/observations` always requires one, and is
closed without a configured token; the same holds for handovers of the operator.
"""

import hmac
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

import msgspec
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from stationkeeper_core.timestamps import rfc3339
from stationkeeper_cups.http.refusals import RecentRefusal
from stationkeeper_cups.in_force.server_certificate import ServerCertificate
from stationkeeper_cups.in_force.serving_state import ServingState
from stationkeeper_cups.metrics import CONTENT_TYPE, Metrics
from stationkeeper_cups.observations import Observations
from stationkeeper_cups.sources.handed_over import HandedOver, moment_ms
from stationkeeper_cups.tls.server_credentials import ServerCredentials, server_authentication

_YEARS = timedelta(days=3650)
_MAX_CURSOR_DIGITS = 18
_MAX_REFUSED_SHOWN = 100
"""The maximum of refused documents in an answer: the operator limits its size, and the first ones show the problem."""
_EXPOSITION_SHARE = 20.0
_log = logging.getLogger("stationkeeper.cups.internal_server")
_SHUT = "this needs a token: set STATIONKEEPER_INTERNAL_TOKEN_FILE to a file that holds one\n"


@dataclass(frozen=True)
class InternalSources:
    """The sources of the internal port.

    Attributes:
        state: the state in force.
        metrics: the metrics.
        observations: the content of `/observations`.
        server_certificate: the certificate with the end in `/generation`.
        is_serving: returns whether the gateways' port accepts connections.
        recent_refusals: returns the content of `/refusals`, which needs the token as `/observations` does.
    """

    state: ServingState
    metrics: Metrics
    observations: Observations
    server_certificate: ServerCertificate
    is_serving: Callable[[], bool]
    recent_refusals: Callable[[], Iterable[RecentRefusal]]


def internal_application(
    sources: InternalSources,
    token: Callable[[], bytes] | None,
    guard: Callable[[web.Request, bool], bool] = lambda _request, _vouched: True,
    operator_certificate: Callable[[], bytes] | None = None,
) -> web.Application:
    """Return the routes of the internal port.

    Args:
        sources: the sources.
        token: reads the bearer token of `/generation` and `/observations`; None: the first needs no token and the
            second is closed.
        guard: gets each request and whether it has the token; returns whether to answer it.
        operator_certificate: reads the certificate of the operator's key; None refuses handovers.
    """
    return _Routes(sources, token, guard, operator_certificate).application()


class _Routes:
    """The routes of the internal port; see `internal_application` for the arguments."""

    def __init__(
        self,
        sources: InternalSources,
        token: Callable[[], bytes] | None,
        guard: Callable[[web.Request, bool], bool],
        operator_certificate: Callable[[], bytes] | None,
    ) -> None:
        self._sources = sources
        self._token = token
        self._guard = guard
        instance = sources.observations.instance
        self._handed_over = HandedOver(sources.state, sources.metrics, instance, operator_certificate)
        self._token_reader = _TokenReader()
        self._exposed = _Exposition(sources.metrics, time.monotonic)

    def application(self) -> web.Application:
        """Return the application with the routes."""
        application = web.Application(client_max_size=1024, middlewares=(self._guarded,))
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._exposition)
        application.router.add_get("/generation", self._generation)
        application.router.add_get("/observations", self._observed)
        application.router.add_get("/refusals", self._recent_refusals)
        application.router.add_routes(self._handed_over.routes(self._check_token))
        return application

    @web.middleware
    async def _guarded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not self._guard(request, self._is_authenticated(request)):
            refusal = web.Response(status=429, text="too many requests\n")
            refusal.force_close()
            return refusal
        return await handler(request)

    def _is_authenticated(self, request: web.Request) -> bool:
        return self._token is not None and _holds(request, self._token_reader.read(self._token))

    def _check_token(self, request: web.Request) -> None:
        if self._token is None:
            raise web.HTTPForbidden(text=_SHUT)
        if not self._is_authenticated(request):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def _readyz(self, _request: web.Request) -> web.Response:
        missing = self._sources.state.missing
        ready = self._sources.is_serving() and not missing
        return web.json_response({"ready": ready, "missing": missing}, status=200 if ready else 503)

    async def _exposition(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._exposed.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _generation(self, request: web.Request) -> web.Response:
        if self._token is not None:
            self._check_token(request)
        state, certificate = self._sources.state, self._sources.server_certificate
        refused = {
            document: {"reason": error.reason, "detail": error.detail}
            for document, error in islice(state.refused.items(), _MAX_REFUSED_SHOWN)
        }
        answer: dict[str, object] = {"generations": state.generations, "missing": state.missing, "refused": refused}
        if state.missing:
            answer |= {"secretsMissing": state.secrets_missing, "kept": state.kept_generations}
        if self._handed_over.is_open:
            instance, is_latest = self._sources.observations.instance, state.is_latest.is_set()
            answer["handover"] = {"instance": instance, "isLatest": is_latest, "moment": moment_ms()}
        begin, end = certificate.not_before, certificate.not_after
        if begin and end:
            answer["serverCertificate"] = {"notBefore": rfc3339(begin), "notAfter": rfc3339(end)}
        return web.json_response(answer)

    async def _recent_refusals(self, request: web.Request) -> web.Response:
        self._check_token(request)
        answer = {"refusals": list(self._sources.recent_refusals())}
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def _observed(self, request: web.Request) -> web.Response:
        self._check_token(request)
        page = self._sources.observations.page(_cursor(request.query.get("since", "0")))
        return web.Response(body=msgspec.json.encode(page), content_type="application/json")


def provisional_context(now: datetime) -> ssl.SSLContext:
    """Return a TLS context for the internal port before there are server credentials: self-signed, only in memory."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stationkeeper-cups (provisional)")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _YEARS)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return server_authentication(ServerCredentials(certificate.public_bytes(Encoding.PEM), pem))


class _Exposition:
    """The metrics as text, reused for `_EXPOSITION_SHARE` times the seconds of its computation.

    With a fleet in memory the computation takes tens of milliseconds, and any pod in the cluster can request it.
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._clock = clock
        self._text = b""
        self._until = float("-inf")

    def text(self) -> bytes:
        began = self._clock()
        if began >= self._until:
            self._text = self._metrics.exposition()
            ended = self._clock()
            self._until = ended + _EXPOSITION_SHARE * (ended - began)
        return self._text


class _TokenReader:
    """Reads the token; if it cannot be read, no client has it, and the log says so once."""

    def __init__(self) -> None:
        self._problem = ""

    def read(self, token: Callable[[], bytes]) -> bytes:
        try:
            found, problem = token(), ""
        except OSError as error:
            found, problem = b"", error.strerror or type(error).__name__
        if problem and problem != self._problem:
            _log.warning("the internal token cannot be read", extra={"fields": {"detail": problem}})
        self._problem = problem
        return found


def _cursor(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_CURSOR_DIGITS:
        raise web.HTTPBadRequest(text="since is not a cursor of an earlier answer\n")
    return int(text)


def _holds(request: web.Request, token: bytes) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    expected = token.strip()
    # aiohttp gives bytes that are no UTF-8 as surrogates, which plain UTF-8 cannot encode.
    presented = given.strip().encode("utf-8", "surrogateescape")
    return bool(expected) and scheme.lower() == "bearer" and hmac.compare_digest(presented, expected)
