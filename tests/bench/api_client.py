"""Compare the cost of API requests with aiohttp, as the operator makes them, and with the package kubernetes."""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import kubernetes
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.kubernetes_credentials import Credentials
from stationkeeper_tools.ports import free_port

PAGE = 500
WRITES = 300
_CONDITION = {"type": "Ready", "status": "True", "reason": "Ready", "message": "x" * 60}
_OBJECT = {
    "apiVersion": "stationkeeper.io/v1alpha1",
    "kind": "Gateway",
    "metadata": {"name": "gateway-000001", "namespace": "team-a", "uid": "0" * 36, "resourceVersion": "12345"},
    "spec": {"eui": "0123456789ABCDEF", "lns": {"uri": "wss://lns.example.com:8887"}},
    "status": {"conditions": [_CONDITION] * 3},
}


class PackageApi(KubernetesApi):
    """The same API, with the package's own way to serialize, authorize and send; answers are not decoded."""

    def __init__(self, credentials: Credentials, server: str) -> None:
        super().__init__(credentials)
        configuration = Configuration(host=server, api_key={"BearerToken": "Bearer x"})
        configuration.connection_pool_maxsize = 0
        self._client = ApiClient(configuration)

    async def __aenter__(self) -> "PackageApi":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]  # the package has no types for it

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = 10.0,
        most: int = 1 << 24,
    ) -> bytes:
        """Send a request and return the answer."""
        prepared = await self._client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Content-Type": "application/json", "Accept-Encoding": "identity", **(headers or {})},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = await self._client.call_api(*prepared, _request_timeout=aiohttp.ClientTimeout(total=seconds))
        async with answer.response as response:
            return await self._read(response, most)


class _PlainCredentials(Credentials):
    """The plain credentials of a server on loopback without TLS."""

    def __init__(self, server: str) -> None:
        super().__init__(None)
        self._server = server

    @property
    def server(self) -> str:
        """Return its URL."""
        return self._server

    async def session(self, *_middlewares: aiohttp.ClientMiddlewareType) -> aiohttp.ClientSession:
        """Return a session that authorizes its requests as that of a cluster does."""

        async def authorize(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            request.headers["Authorization"] = "Bearer x"
            return await handler(request)

        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), middlewares=(authorize,))


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options of this bench."""
    parser.add_argument("--objects", type=int, default=20_000, help="in the LIST")
    parser.add_argument("--rounds", type=int, default=5)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    port = free_port()
    server = multiprocessing.Process(target=_serve, args=(port, max(1, options.objects // PAGE)), daemon=True)
    server.start()
    try:
        asyncio.run(_measure(f"http://127.0.0.1:{port}", options.rounds, options.objects))
    finally:
        server.terminate()
    _print_import("aiohttp")
    _print_import("kubernetes.aio.client, kubernetes.aio.config")
    folder = Path(kubernetes.__file__).parent
    sources = sum(file.stat().st_size for file in folder.rglob("*.py"))
    print(f"{'sources of the package':40} {sources / 1e6:8.1f} MB")


async def _measure(server: str, rounds: int, objects: int) -> None:
    taken: dict[str, list[float]] = {}
    async with (
        KubernetesApi(_PlainCredentials(server)) as plain,
        PackageApi(_PlainCredentials(server), server) as package,
    ):
        await _until_served(plain)
        for number in range(rounds + 1):
            for name, api in (("aiohttp", plain), ("kubernetes.aio", package)):
                for what, work in ((f"a LIST of {objects}, ms", _list), (f"a write, x {WRITES}, ms", _write)):
                    begun = time.process_time()
                    await work(api)
                    if number:
                        taken.setdefault(f"{what}, {name}", []).append(1000 * (time.process_time() - begun))
    for what, values in sorted(taken.items()):
        print(f"{what:40} {statistics.median(values):8.1f} (least {min(values):.1f})")


async def _until_served(api: KubernetesApi) -> None:
    for _ in range(100):
        try:
            await api.get("/one")
        except Exception:
            await asyncio.sleep(0.1)
        else:
            return
    raise RuntimeError("the server does not answer")


async def _list(api: KubernetesApi) -> None:
    async for _page in api.pages("/list"):
        pass


async def _write(api: KubernetesApi) -> None:
    body = {"metadata": {"resourceVersion": "1"}, "status": {"conditions": [_CONDITION] * 3}}
    for _ in range(WRITES):
        await api.merge_patch("/one", body)


def _serve(port: int, pages: int) -> None:
    def page(number: int) -> bytes:
        following = str(number + 1) if number + 1 < pages else ""
        return json.dumps(
            {"metadata": {"resourceVersion": "9", "continue": following}, "items": [_OBJECT] * PAGE}
        ).encode()

    bodies = [page(number) for number in range(pages)]

    async def listed(request: web.Request) -> web.Response:
        return web.Response(body=bodies[int(request.query.get("continue") or 0)], content_type="application/json")

    async def one(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response(_OBJECT)

    application = web.Application()
    application.router.add_get("/list", listed)
    application.router.add_route("*", "/one", one)
    web.run_app(application, host="127.0.0.1", port=port, print=_silent)


def _silent(*_: Any) -> None:
    """Say nothing."""


def _print_import(names: str) -> None:
    code = (
        f"import time; begun = time.process_time(); import {names}; print(time.process_time() - begun, "
        "open('/proc/self/statm').read().split()[1])"
    )
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(3)]
    seconds, pages = (min(map(float, column)) for column in zip(*runs, strict=True))
    size = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    print(f"{'import ' + names.partition(',')[0]:40} {1000 * seconds:8.1f} ms, {size:.1f} MiB resident")
