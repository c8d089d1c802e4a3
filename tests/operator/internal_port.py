"""The internal port of a CUPS pod as the operator sees it: real TLS with the identity of a token."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from aiohttp import web

from stationkeeper_core.published.internal_identity import derive_identity
from stationkeeper_core.published.observation import MAX_PAGE, Observation, ObservationPage
from stationkeeper_core.published.operator_proof import HEADER
from stationkeeper_operator.observing.cups_pods import CupsPod
from stationkeeper_operator.rollout.generation_report import Loaded

TOKEN = "a-token-of-enough-bytes"


class InternalPort:
    """The answers of the port, and the requests to it.

    Attributes:
        loaded: the answer to `/generation`.
        seen: all observations so far; the cursor counts them.
        instance: of the process.
        answer: sent instead of every other answer, unless None.
        silent: whether it never answers.
        takes: the HTTP status of its answer to a handover.
        authorizations, paths: of each request.
        handed: path, body and signature of each handover.
    """

    def __init__(self) -> None:
        self.loaded = Loaded()
        self.seen: list[Observation] = []
        self.instance = "first"
        self.answer: web.StreamResponse | None = None
        self.silent = False
        self.takes = 204
        self.handed: list[tuple[str, bytes, str]] = []
        self.authorizations: list[str] = []
        self.paths: list[str] = []
        self.port = 0

    def pod(self, name: str = "cups-0") -> CupsPod:
        return CupsPod(name, f"uid-{name}", "127.0.0.1", self.port, ready=True)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.authorizations.append(request.headers.get("Authorization", ""))
        self.paths.append(request.path_qs)
        if self.silent:
            await asyncio.Event().wait()
        if self.answer is not None:
            return self.answer
        if request.method == "PUT":
            self.handed.append((request.path, await request.read(), request.headers.get(HEADER, "")))
            return web.Response(status=self.takes)
        if request.path == "/generation":
            return web.Response(body=msgspec.json.encode(self.loaded))
        return web.Response(body=msgspec.json.encode(self.page(int(request.query["since"]))))

    def page(self, since: int) -> ObservationPage:
        found = tuple(self.seen[since : since + MAX_PAGE])
        cursor = since + len(found)
        return ObservationPage(instance=self.instance, cursor=cursor, more=cursor < len(self.seen), observations=found)


@contextlib.asynccontextmanager
async def internal_port(
    folder: Path, token: str = TOKEN, made: InternalPort | None = None
) -> AsyncIterator[InternalPort]:
    """Yield a port with the identity of `token`; it answers as `made` says."""
    made = made or InternalPort()
    identity = await asyncio.to_thread(derive_identity, token.encode())
    pem = folder / f"identity-{id(made)}.pem"
    pem.write_bytes(identity.certificate_pem + identity.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    application = web.Application()
    application.router.add_get("/{path:.*}", made.handle)
    application.router.add_put("/{path:.*}", made.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        made.port = runner.addresses[0][1]
        yield made
    finally:
        await runner.cleanup()
