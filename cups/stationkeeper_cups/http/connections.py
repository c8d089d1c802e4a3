"""All open connections of gateways, and their end after a change of trust or at the stop of the server."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from stationkeeper_cups.http.connection import (
    REQUEST_BOUNDS,
    Handler,
    HTTPConnection,
    RequestBounds,
    RequestSeconds,
    Shared,
)
from stationkeeper_cups.tls.time_limits import TimeLimits
from stationkeeper_cups.tls.transport import TLSTransport

# The seconds of one step through the connections; requests are answered between the steps. A request with its handshake
# needs about five iterations of the event loop, and waits for one step in each.
STEP_SECONDS = 0.002


class Connections:
    """Makes the protocols of gateways' connections, and has the list of open ones.

    Args:
        handler: answers requests.
        is_trusted: returns whether the client of a connection may keep it.
        times: the time limits with the stages.
        seconds: the lengths of the stages.
        bounds: the limits on requests.
    """

    def __init__(
        self,
        handler: Handler,
        is_trusted: Callable[[TLSTransport], bool],
        times: TimeLimits,
        seconds: RequestSeconds,
        bounds: RequestBounds = REQUEST_BOUNDS,
    ) -> None:
        self._shared = Shared(handler, times, seconds, bounds)
        self._is_trusted = is_trusted
        self._review: Iterator[HTTPConnection] | None = None

    def __call__(self) -> HTTPConnection:
        """Return the protocol of a new connection."""
        return HTTPConnection(self._shared)

    def __len__(self) -> int:
        return len(self._shared.open)

    def close_untrusted(self) -> None:
        """Close every connection whose client is no longer trusted; the others stay open.

        This works in steps. A request before its step is judged by the new trust anyway.
        """
        is_under_way = self._review is not None
        self._review = iter(list(self._shared.open))
        if not is_under_way:
            self._close_in_steps()

    async def drain(self, seconds: float) -> None:
        """Close all connections: idle ones at once, the others after their answer, or after `seconds`."""
        self._shared.is_draining = True
        for each in list(self._shared.open):
            if each.is_idle:
                each.cut()
        if self._shared.open:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._shared.drained.wait()
        for each in list(self._shared.open):
            each.cut()

    def _close_in_steps(self) -> None:
        until = time.monotonic() + STEP_SECONDS
        for connection in self._review or ():
            transport = connection.transport
            if transport is not None and not self._is_trusted(transport):
                connection.cut()
            if time.monotonic() > until:
                self._shared.loop.call_soon(self._close_in_steps)
                return
        self._review = None
