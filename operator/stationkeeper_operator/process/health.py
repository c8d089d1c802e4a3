"""`/healthz` and `/readyz` for the kubelet, and `/metrics`: plain HTTP that any pod of the cluster can reach.

So it has limits: the number of connections (the oldest is closed), the time of a connection without a request, the
share of the CPU for metrics, and the number of log lines.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from stationkeeper_core.setting_values import Address
from stationkeeper_operator.api.rate_limit import RateLimit
from stationkeeper_operator.metrics import CONTENT_TYPE, Metrics
from stationkeeper_operator.process.limited_server import ServerLimits, serve_limited

MAX_CONNECTIONS = 64
IDLE_SECONDS = 15.0
LIFETIME_SECONDS = 120.0

_EXPOSITION_SHARE = 20.0
_LINES_A_SECOND, _LINES = 1.0, 20


@contextlib.asynccontextmanager
async def serve_health(
    address: Address, is_healthy: Callable[[], bool], is_ready: Callable[[], bool], metrics: Metrics
) -> AsyncIterator[None]:
    """Serve the three paths while the context is open.

    Args:
        address: the address to bind.
        is_healthy: returns whether the process must not be restarted; an answer also proves that the event loop runs.
        is_ready: returns whether the process knows the cluster. A follower is as ready as a leader.
        metrics: the metrics to expose.

    Raises:
        OSError: the address cannot be bound.
    """
    application = web.Application(client_max_size=1024)
    application.router.add_get("/healthz", _answer(is_healthy, "healthy", "the watch is stuck"))
    application.router.add_get("/readyz", _answer(is_ready, "ready", "nothing was listed yet"))
    application.router.add_get("/metrics", _exposition(metrics))
    logger = logging.getLogger("stationkeeper.operator.health")
    lines = RateLimit(_LINES_A_SECOND, _LINES)
    # aiohttp logs a traceback for each request that is not HTTP.
    logger.filters[:] = [lambda _record: lines.take()]
    limits = ServerLimits(MAX_CONNECTIONS, LIFETIME_SECONDS, IDLE_SECONDS, shutdown_seconds=0.5)
    async with serve_limited(application, address, limits, logger):
        yield


def _exposition(metrics: Metrics) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return the handler of `/metrics`; it reuses a text for `_EXPOSITION_SHARE` times the seconds of its computation.

    With many resources the computation takes long, and any pod in the cluster can request it. It runs in a thread, one
    at a time.
    """
    text, until, one = b"", float("-inf"), asyncio.Lock()

    async def answer(_: web.Request) -> web.StreamResponse:
        nonlocal text, until
        async with one:
            began = time.monotonic()
            if began >= until:
                text = await asyncio.to_thread(metrics.exposition)
                ended = time.monotonic()
                until = ended + _EXPOSITION_SHARE * (ended - began)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    return answer


def _answer(holds: Callable[[], bool], yes: str, no: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=f"{yes}\n") if holds() else web.Response(status=503, text=f"{no}\n")

    return answer
