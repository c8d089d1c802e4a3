"""An HTTP server of aiohttp that anybody may reach, in few connections."""

import asyncio
from collections.abc import Callable

from aiohttp import web


def few_connections(runner: web.AppRunner, most: int, lifetime: float) -> Callable[[], asyncio.Protocol]:
    """Return what makes the protocol of each connection; of too many the oldest are closed.

    Args:
        runner: of the application, set up.
        most: how many there may be.
        lifetime: after how many seconds each is closed.
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
        # Once this connection counts, which it does in the next turn of the loop.
        loop.call_soon(loop.call_soon, trim)
        loop.call_later(lifetime, _abort, made)
        return made

    return make


def _abort(handler: web.RequestHandler) -> None:
    """End a connection without waiting until what was written is read."""
    if handler.transport is not None:
        handler.transport.abort()
