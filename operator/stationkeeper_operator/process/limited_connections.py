"""An HTTP server of aiohttp with a limited number of connections, for a port that any client can reach."""

import asyncio
from collections.abc import Callable

from aiohttp import web


def limited_connections(runner: web.AppRunner, most: int, lifetime: float) -> Callable[[], asyncio.Protocol]:
    """Return a factory for the protocol of each connection; above the limit, the oldest connection is closed.

    Args:
        runner: the runner of the application, set up.
        most: the maximum number of connections.
        lifetime: the seconds after which each is closed.
    """
    loop = asyncio.get_running_loop()

    def trim() -> None:
        if runner.server is not None:
            for handler in runner.server.connections[:-most]:
                _abort(handler)

    def make() -> asyncio.Protocol:
        if runner.server is None:
            raise RuntimeError("aiohttp has no server after its setup")
        made = runner.server()
        # Trim after aiohttp has counted this connection, in the next turn of the loop.
        loop.call_soon(loop.call_soon, trim)
        loop.call_later(lifetime, _abort, made)
        return made

    return make


def _abort(handler: web.RequestHandler) -> None:
    """Close a connection without waiting until the client has read all bytes."""
    if handler.transport is not None:
        handler.transport.abort()
