"""One watch through the proxy, line by line."""

import json
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
from aiohttp import web

from tests.perturbation.plan import OF_LINES, Kind, Perturbation
from tests.perturbation.traffic import Calm, status_object

_REMEMBERED = 5
_EVENTS = {"ADDED", "MODIFIED", "DELETED"}
_GONE = b'{"type":"ERROR","object":' + status_object(410, "Expired") + b"}\n"


class WatchStream:
    """The watch stream of one request.

    Args:
        request: the operator's.
        upstream: the API server's answer to it.
        calm: set when everything passes.
        draw: draws the perturbation of the next line.
        counts: the number of perturbations by kind.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        upstream: aiohttp.ClientResponse,
        calm: Calm,
        draw: Callable[[tuple[Kind, ...]], Perturbation | None],
        counts: Counter[Kind],
    ) -> None:
        self._request = request
        self._upstream = upstream
        self._calm = calm
        self._draw = draw
        self._counts = counts
        self._lately: deque[bytes] = deque(maxlen=_REMEMBERED)
        self._answer = web.StreamResponse(status=upstream.status, headers={"Content-Type": "application/json"})

    async def run(self) -> web.StreamResponse:
        """Pass lines on until either side ends the watch, or the plan does."""
        # The operator was killed, or the API server ends: the other side sees a connection that breaks off.
        with suppress(ConnectionError, aiohttp.ClientError):
            await self._answer.prepare(self._request)
            if await self._pass_on():
                await self._answer.write_eof()
                return self._answer
        self._abort()
        return self._answer

    async def _pass_on(self) -> bool:
        """Return whether the watch ends, as after a long time."""
        rest = b""
        async for chunk in self._upstream.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                done = self._draw(OF_LINES)
                if done is None:
                    await self._send(line + b"\n")
                elif not await self._perturbed(done, line + b"\n"):
                    return done.kind in {Kind.CUT_BETWEEN, Kind.GONE_IN_STREAM, Kind.UNOBSERVED}
        await self._answer.write(rest)
        return True

    async def _perturbed(self, done: Perturbation, line: bytes) -> bool:
        """Return whether the watch continues."""
        kind, is_event = done.kind, _type(line) in _EVENTS
        if not is_event and kind in {Kind.EVENT_REPEATED, Kind.EVENTS_REPLAYED}:
            await self._send(line)
            return True
        self._counts[kind] += 1
        if kind is Kind.CUT_BETWEEN:
            return False
        if kind is Kind.CUT_MID_LINE:
            await self._answer.write(line[: int(done.share * (len(line) - 1))])
            return False
        if kind in {Kind.GONE_IN_STREAM, Kind.UNOBSERVED}:
            if kind is Kind.UNOBSERVED:
                await self._calm.wait(done.seconds)
            await self._answer.write(_GONE)
            return False
        if kind is Kind.EVENTS_HELD:
            await self._calm.wait(done.seconds)
        await self._send(line)
        if kind is Kind.EVENT_REPEATED:
            await self._answer.write(line)
        elif kind is Kind.EVENTS_REPLAYED:
            for earlier in tuple(self._lately):
                await self._answer.write(earlier)
        return True

    async def _send(self, line: bytes) -> None:
        await self._answer.write(line)
        if _type(line) in _EVENTS:
            self._lately.append(line)

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()


def _type(line: bytes) -> str:
    found: Any = json.loads(line)
    return str(found["type"])
