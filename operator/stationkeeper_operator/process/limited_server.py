"""An HTTP server of aiohttp within limits, for a port that any client can reach."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiohttp import web

from stationkeeper_core.setting_values import Address


@dataclass(frozen=True)
class ServerLimits:
    """The limits on clients.

    Attributes:
        connections: the maximum of connections; above it, the oldest one is closed.
        lifetime_seconds: the maximum time of one connection.
        idle_seconds: the maximum time without a request.
        shutdown_seconds: the time for open requests at the end.
        handshake_seconds: the maximum time of a TLS handshake.
    """

    connections: int
    lifetime_seconds: float
    idle_seconds: float
    shutdown_seconds: float
    handshake_seconds: float = 10.0


@contextlib.asynccontextmanager
async def serve_limited(
    application: web.Application,
    address: Address,
    limits: ServerLimits,
    logger: logging.Logger,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[None]:
    """Serve an application while the context is open.

    Args:
        application: the application.
        address: the address to bind.
        limits: the limits on clients.
        logger: of aiohttp, which logs a traceback for each request that is not HTTP: give it a filter.
        context: the TLS context; None for plain HTTP.

    Raises:
        OSError: the address cannot be bound.
    """
    runner = web.AppRunner(
        application,
        access_log=None,
        shutdown_timeout=limits.shutdown_seconds,
        keepalive_timeout=limits.idle_seconds,
        lingering_time=0,
        logger=logger,
    )
    await runner.setup()
    try:
        server = await asyncio.get_running_loop().create_server(
            _limited_connections(runner, limits),
            address.host,
            address.port,
            reuse_address=True,
            ssl=context,
            ssl_handshake_timeout=limits.handshake_seconds if context else None,
        )
        try:
            yield
        finally:
            server.close()
    finally:
        await asyncio.shield(runner.cleanup())


def _limited_connections(runner: web.AppRunner, limits: ServerLimits) -> Callable[[], asyncio.Protocol]:
    """Return a factory for the protocol of each connection; above the limit, the oldest connection is closed."""
    loop = asyncio.get_running_loop()

    def trim() -> None:
        if runner.server is not None:
            for handler in runner.server.connections[: -limits.connections]:
                _abort(handler)

    def make() -> asyncio.Protocol:
        if runner.server is None:
            raise RuntimeError("aiohttp has no server after its setup")
        made = runner.server()
        # Trim after aiohttp has counted this connection, in the next turn of the loop.
        loop.call_soon(loop.call_soon, trim)
        loop.call_later(limits.lifetime_seconds, _abort, made)
        return made

    return make


def _abort(handler: web.RequestHandler) -> None:
    """Close a connection without waiting until the client has read all bytes."""
    if handler.transport is not None:
        handler.transport.abort()
