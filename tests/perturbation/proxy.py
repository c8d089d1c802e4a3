"""A proxy between the operator and the API server, with TLS on both sides, that disturbs requests by a plan.

It acts only as API servers, their replicas and load balancers do: its answers were true at some time, it answers 410
after an event that it withholds, and repeated events come in order.
"""

import asyncio
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from stationkeeper_tools.ports import free_port
from stationkeeper_tools.sample_pki import KeyPair, make_server
from tests.perturbation.plan import OF_CREATIONS, OF_LISTS, OF_READS, OF_WATCHES, OF_WRITES, Kind, Perturbation, Plan
from tests.perturbation.traffic import Calm, Written, refusal
from tests.perturbation.watch_stream import WatchStream
from tests.waiting import EVENTUALLY

_PLURAL = re.compile(r"/(?:namespaces/[^/]+/)?(?P<plural>[a-z]+)(?:/[^/]+(?P<status>/status)?)?$")
_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length", "te", "upgrade"}
_NOTHING_DONE = {Kind.CONFLICT: (409, "Conflict"), Kind.TOO_MANY: (429, "TooManyRequests"), Kind.FAILED: (500, "")}
_WATCH_REFUSED = {Kind.WATCH_GONE: (410, "Expired"), Kind.WATCH_FAILED: (500, "InternalError")}


class Proxy:
    """A proxy in its own thread and event loop.

    Args:
        server: the API server, `https://host:port`.
        server_ca: a PEM file that verifies it.
        authority: issues the proxy's own certificate.
        folder: for files.
        kill: kills the operator at once.

    Attributes:
        breaks_promises: whether it also gives older answers to LISTs without a version, which no API server does.
        authority_pem: verifies the proxy's own certificate.
        url: its address.
        counts: the number of perturbations of each kind.
        written: the operator's writes that reached the API server, in order.
    """

    def __init__(
        self, server: str, server_ca: Path, authority: KeyPair, folder: Path, kill: Callable[[], None]
    ) -> None:
        self.breaks_promises = False
        self.authority_pem = authority.certificate_pem
        self._server = server
        self._kill = kill
        self._upstream = ssl.create_default_context(cafile=str(server_ca))
        self._port = free_port()
        self.url = f"https://127.0.0.1:{self._port}"
        pair = make_server(["localhost"], ["127.0.0.1"], authority, datetime.now(UTC))
        self._own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._own.load_cert_chain(*pair.write(folder, "proxy"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.ServerRunner | None = None
        self._calm = Calm()
        self._plan: Plan | None = None
        self._seen: Counter[str] = Counter()
        self._writes = 0
        self._older: dict[str, list[bytes]] = {}
        self.counts: Counter[Kind] = Counter()
        self.written: list[Written] = []

    def start(self) -> None:
        """Listen; let everything pass unchanged."""
        self._thread.start()
        self._do(self._start())

    def stop(self) -> None:
        """Stop the proxy."""
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def writes(self) -> int:
        """The number of the operator's attempted writes since the begin of the plan."""
        return self._writes

    def begin(self, plan: Plan) -> None:
        """Act by a plan from now on."""
        self._loop.call_soon_threadsafe(self._begin, plan)

    def end(self) -> None:
        """Let everything pass from now on, also what was held back."""
        self._loop.call_soon_threadsafe(self._end)

    def remember(self, path: str, content: bytes) -> None:
        """Store the present LIST of a path, to answer it later, as a replica does that is behind."""
        self._loop.call_soon_threadsafe(lambda: self._older.setdefault(path, []).append(content))

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(EVENTUALLY)

    async def _start(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self._upstream, limit=0)
        self._session = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None)
        )
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._own).start()

    async def _stop(self) -> None:
        self._end()
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _begin(self, plan: Plan) -> None:
        self._plan, self._writes = plan, 0
        self._calm = Calm()
        self._seen.clear()
        self._older.clear()

    def _end(self) -> None:
        self._plan = None
        self._calm.set()

    def _draw(self, traffic: str, kinds: tuple[Kind, ...]) -> Perturbation | None:
        if self._plan is None:
            return None
        self._seen[traffic] += 1
        return self._plan.draw(traffic, self._seen[traffic], kinds)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        found = _PLURAL.search(request.path)
        plural = f"{found['plural']}{found['status'] or ''}" if found else "other"
        if request.query.get("watch") in {"true", "1"}:
            return await self._watch(request, plural)
        body = await request.read()
        if request.method == "GET":
            return await self._read(request, body, plural)
        return await self._write(request, body, plural)

    async def _read(self, request: web.BaseRequest, body: bytes, plural: str) -> web.StreamResponse:
        is_list = request.path.endswith(f"/{plural}")
        # kopf's LISTs only give a version: the random numbers for the operator's own LISTs must not depend on them.
        of_none = " of none" if "fieldSelector" in request.query else ""
        traffic = f"{'LIST' if is_list else 'GET'} {plural}{of_none}"
        done = self._draw(traffic, OF_LISTS if is_list else OF_READS)
        if done is None:
            return await self._forward(request, body)
        if done.kind is Kind.AGED:
            older = self._older.get(request.path, []) if self._may_be_older(request) else []
            if not older:
                return await self._forward(request, body)
            self.counts[done.kind] += 1
            return web.Response(
                body=older[int(done.share * len(older))], content_type="application/json", headers={"Audit-Id": "older"}
            )
        return await self._perturbed(done, request, body)

    def _may_be_older(self, request: web.BaseRequest) -> bool:
        """Return whether the API allows an older answer to a LIST; a LIST without a version must be current."""
        if {"continue", "fieldSelector"} & request.query.keys():
            return False
        return self.breaks_promises or request.query.get("resourceVersion") == "0"

    async def _write(self, request: web.BaseRequest, body: bytes, plural: str) -> web.StreamResponse:
        if self._plan is None:
            return await self._forward(request, body)
        self._writes += 1
        kill = self._plan.kills.get(self._writes)
        if kill is Kind.KILLED_BEFORE:
            self.counts[kill] += 1
            self._kill()
            return _closed(request)
        kinds = OF_CREATIONS if request.method == "POST" else OF_WRITES
        done = self._draw(f"{request.method} {plural}", kinds)
        answer = await (self._forward(request, body) if done is None else self._perturbed(done, request, body))
        if kill is Kind.KILLED_AFTER:
            self.counts[kill] += 1
            self._kill()
            return _closed(request)
        return answer

    async def _perturbed(self, done: Perturbation, request: web.BaseRequest, body: bytes) -> web.StreamResponse:
        kind = done.kind
        self.counts[kind] += 1
        if kind is Kind.LOST:
            return _closed(request)
        if kind in _NOTHING_DONE:
            return refusal(*_NOTHING_DONE[kind])
        if kind is Kind.DELAYED:
            await self._calm.wait(done.seconds)
        if kind is Kind.DOUBLED:
            await self._forward(request, body)
        answer = await self._forward(request, body)
        if kind is Kind.HELD:
            await self._calm.wait(done.seconds)
        if kind is Kind.UNANSWERED:
            return _closed(request)
        if kind is Kind.TIMED_OUT:
            return refusal(504, "Timeout")
        if kind is Kind.CUT and isinstance(answer.body, bytes):
            return await _cut(request, answer, done.share)
        return answer

    async def _forward(self, request: web.BaseRequest, body: bytes) -> web.Response:
        assert self._session is not None
        url = URL(self._server + request.raw_path, encoded=True)
        async with self._session.request(
            request.method, url, headers=_passed_on(request.headers), data=body or None
        ) as response:
            content = await response.read()
        if request.method != "GET":
            self.written.append(Written(request.method, request.path, response.status))
        return web.Response(body=content, status=response.status, headers=_passed_on(response.headers))

    async def _watch(self, request: web.BaseRequest, plural: str) -> web.StreamResponse:
        assert self._session is not None
        traffic = f"WATCH {plural}"
        done = self._draw(traffic, OF_WATCHES)
        if done is not None:
            self.counts[done.kind] += 1
            if done.kind in _WATCH_REFUSED:
                return refusal(*_WATCH_REFUSED[done.kind])
            await self._calm.wait(done.seconds)
        url = URL(self._server + request.raw_path, encoded=True)
        async with self._session.get(url, headers=_passed_on(request.headers)) as upstream:
            stream = WatchStream(
                request, upstream, self._calm, lambda kinds: self._draw(f"{traffic} line", kinds), self.counts
            )
            return await stream.run()


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP}


def _closed(request: web.BaseRequest) -> web.Response:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _cut(request: web.BaseRequest, answer: web.Response, share: float) -> web.StreamResponse:
    """Send a part of an answer, and close the connection."""
    assert isinstance(answer.body, bytes)
    part = web.StreamResponse(status=answer.status, headers=_passed_on(answer.headers))
    part.content_length = len(answer.body)
    await part.prepare(request)
    await part.write(answer.body[: int(share * len(answer.body))])
    _closed(request)
    return part
