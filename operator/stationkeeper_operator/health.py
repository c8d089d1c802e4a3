"""`/healthz` and `/readyz`, for the kubelet, and `/metrics`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from stationkeeper_operator.metrics import CONTENT_TYPE, Metrics
from stationkeeper_operator.settings import Address


@contextlib.asynccontextmanager
async def serve_health(
    address: Address, is_healthy: Callable[[], bool], is_ready: Callable[[], bool], metrics: Metrics
) -> AsyncIterator[None]:
    """Serves them while the context is open.

    Args:
        address: where.
        is_healthy: whether the process is worth keeping; that this is asked at all shows that the event loop turns.
        is_ready: whether it knows the cluster. A follower is as ready as a leader.
        metrics: what to expose.

    Raises:
        OSError: the address cannot be bound.
    """
    application = web.Application()
    application.router.add_get("/healthz", _answer(is_healthy, "healthy", "the watch is stuck"))
    application.router.add_get("/readyz", _answer(is_ready, "ready", "nothing was listed yet"))
    application.router.add_get("/metrics", _exposition(metrics))
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, address.host, address.port).start()
        yield
    finally:
        await asyncio.shield(runner.cleanup())


def _exposition(metrics: Metrics) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    return answer


def _answer(holds: Callable[[], bool], yes: str, no: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=f"{yes}\n") if holds() else web.Response(status=503, text=f"{no}\n")

    return answer
