"""The internal port: health, readiness, metrics, what is loaded and what was seen. For the cluster, never for gateways.

It speaks TLS with the server's certificate, and with one of its own making until there is that: probes must be answered
before the first load. `/generation` takes a bearer token where one is configured; `/observations` always does, and is
shut without one.
"""

import hmac
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from stationkeeper_core.timestamps import rfc3339
from stationkeeper_cups.metrics import CONTENT_TYPE, Metrics
from stationkeeper_cups.observations import Observations
from stationkeeper_cups.server_certificate import ServerCertificate
from stationkeeper_cups.serving_state import ServingState
from stationkeeper_cups.tls_context import ServerCredentials, server_authentication

_YEARS = timedelta(days=3650)
_MAX_CURSOR_DIGITS = 18
_OBSERVATIONS_SHUT = "observations need a token: set STATIONKEEPER_INTERNAL_TOKEN_FILE to a file that holds one\n"


def internal_application(  # noqa: PLR0913, PLR0917 - what it tells about
    state: ServingState,
    metrics: Metrics,
    observations: Observations,
    is_serving: Callable[[], bool],
    token: Callable[[], bytes] | None,
    server_certificate: ServerCertificate,
) -> web.Application:
    """The routes of the internal port.

    Args:
        state: what to tell about.
        metrics: what to expose.
        observations: what `/observations` tells.
        is_serving: whether the gateways' port accepts connections.
        token: reads the bearer token of `/generation` and `/observations`; None leaves the first open and the second
            shut.
        server_certificate: whose end `/generation` tells.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def readyz(_request: web.Request) -> web.Response:
        ready = is_serving() and not state.missing
        return web.json_response({"ready": ready, "missing": state.missing}, status=200 if ready else 503)

    async def exposition(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def generation(request: web.Request) -> web.Response:
        if token is not None and not _holds(request, token()):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        refused = {
            document: {"reason": error.reason, "detail": error.detail} for document, error in state.refused.items()
        }
        end = server_certificate.not_after
        answer = {"generations": state.generations, "missing": state.missing, "refused": refused}
        return web.json_response(answer | ({"serverCertificate": {"notAfter": rfc3339(end)}} if end else {}))

    async def observed(request: web.Request) -> web.Response:
        if token is None:
            raise web.HTTPForbidden(text=_OBSERVATIONS_SHUT)
        if not _holds(request, token()):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        page = observations.page(_cursor(request.query.get("since", "0")))
        return web.Response(body=msgspec.json.encode(page), content_type="application/json")

    application = web.Application(client_max_size=1024)
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", exposition)
    application.router.add_get("/generation", generation)
    application.router.add_get("/observations", observed)
    return application


def provisional_context(now: datetime) -> ssl.SSLContext:
    """A TLS context for the internal port until the server's credentials are there: self-signed, in memory only."""
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


def _cursor(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_CURSOR_DIGITS:
        raise web.HTTPBadRequest(text="since is not a number that an earlier answer gave as its cursor\n")
    return int(text)


def _holds(request: web.Request, token: bytes) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    expected = token.strip()
    return bool(expected) and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), expected)
