"""A small API server over real HTTP: objects by path, resourceVersions, conflicts, and failures on request."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.kubernetes_credentials import Credentials
from stationkeeper_tools.standalone.merge_patch import merged


class SmallApiServer:
    """The objects of the server, and the requests to it.

    Attributes:
        objects: by path.
        failing: the HTTP status of a path that fails.
        failing_writes: the HTTP status of a path that fails for requests that change something.
        requests: method and path of each.
        tokens: the authorization of each.
        overheard: called with the path of each request that changes something.
        page_size: the number of items in a page of a LIST; None for all.
        pages: the number of pages that a LIST gives before it fails; None for all.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.failing: dict[str, int] = {}
        self.failing_writes: dict[str, int] = {}
        self.requests: list[tuple[str, str]] = []
        self.tokens: list[str | None] = []
        self.overheard: Callable[[str], None] = lambda _path: None
        self.revision = 100
        self.page_size: int | None = None
        self.pages: int | None = None
        self._open, self._most, self._slow = 0, 0, False

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [each for each in self.requests if each[0] != "GET"]

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.revision += 1
        metadata = {"name": path.rpartition("/")[2], **body.get("metadata", {}), "resourceVersion": str(self.revision)}
        self.objects[path] = {**body, "metadata": metadata}
        return self.objects[path]

    async def most_at_once(self, work: Awaitable[object]) -> int:
        """Return the largest number of requests under way at a time while `work` ran."""
        self._open, self._most, self._slow = 0, 0, True
        await work
        self._slow = False
        return self._most

    async def handle(self, request: web.Request) -> web.Response:
        if self._slow:
            self._open += 1
            self._most = max(self._most, self._open)
            await asyncio.sleep(0.001)
            self._open -= 1
        return await self._answer(request)

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.path
        self.requests.append((request.method, path))
        self.tokens.append(request.headers.get("Authorization"))
        if path in self.failing:
            return _refusal(self.failing[path], "OnDemand")
        if request.method != "GET" and path in self.failing_writes:
            return _refusal(self.failing_writes[path], "OnDemand")
        body = json.loads(await request.text() or "{}")
        if request.method == "GET":
            return self._read(path, int(request.query.get("continue", "0")))
        self.overheard(path)
        return self._create(path, body) if request.method == "POST" else self._change(request.method, path, body)

    def _read(self, path: str, begin: int) -> web.Response:
        if path in self.objects:
            return web.json_response(self.objects[path])
        return self._list(path, begin) if self._is_collection(path) else _refusal(404, "NotFound")

    def _create(self, collection: str, body: dict[str, Any]) -> web.Response:
        path = f"{collection}/{body['metadata']['name']}"
        if path in self.objects:
            return _refusal(409, "AlreadyExists")
        return web.json_response(self.put(path, body), status=201)

    def _change(self, method: str, path: str, body: dict[str, Any]) -> web.Response:
        path = path.removesuffix("/status")
        found = self.objects.get(path)
        if found is None:
            return _refusal(404, "NotFound")
        for field, held in found["metadata"].items():
            if field in {"resourceVersion", "uid"} and body.get("metadata", {}).get(field, held) != held:
                return _refusal(409, "Conflict")
        if method == "PATCH":
            body = merged(found, body)
        return web.json_response(self.put(path, body))

    def _is_collection(self, path: str) -> bool:
        return path.rpartition("/")[2] in {"secrets", "configmaps", "pods", "trustedcas", "gateways", "gatewaydefaults"}

    def _list(self, path: str, begin: int) -> web.Response:
        items = [each for name, each in self.objects.items() if name.startswith(f"{path}/")]
        size = self.page_size or max(len(items), 1)
        if self.pages is not None and begin >= self.pages * size:
            return _refusal(410, "Expired")
        rest = str(begin + size) if begin + size < len(items) else ""
        metadata = {"resourceVersion": str(self.revision), "continue": rest}
        return web.json_response({"metadata": metadata, "items": items[begin : begin + size]})


@contextlib.asynccontextmanager
async def small_api_server(folder: Path) -> AsyncIterator[tuple[SmallApiServer, KubernetesApi]]:
    """Yield the server, and the operator's API client connected to it."""
    server = SmallApiServer()
    async with client_of(server.handle, folder) as api:
        yield server, api


@contextlib.asynccontextmanager
async def client_of(
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]], folder: Path
) -> AsyncIterator[KubernetesApi]:
    """Yield the operator's API client, connected to a server whose answers come from `handle`."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        kubeconfig = write_kubeconfig(folder, f"http://{host}:{port}")
        async with KubernetesApi(Credentials(kubeconfig)) as api:
            yield api
    finally:
        await runner.cleanup()


def write_kubeconfig(folder: Path, url: str) -> Path:
    """Return a kubeconfig with the token in `folder/token`."""
    (folder / "token").write_text("first")
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"tokenFile": str(folder / "token")}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(content))
    return path


def _refusal(status: int, reason: str) -> web.Response:
    body = {"kind": "Status", "reason": reason, "message": "a message that may quote a Secret"}
    return web.json_response(body, status=status)
