"""Parts that the modules of the proxy share."""

import asyncio
import contextlib
import json
from typing import NamedTuple

from aiohttp import web


class Written(NamedTuple):
    """A write of the operator that reached the API server.

    Attributes:
        method, path: of the request.
        status: of the answer.
    """

    method: str
    path: str
    status: int


class Calm:
    """Whether the perturbations of a run have ended."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()

    def set(self) -> None:
        """End the perturbations."""
        self._ended.set()

    async def wait(self, seconds: float) -> None:
        """Wait for that long, but not longer than the perturbations last."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)


def status_object(code: int, reason: str) -> bytes:
    """Return the JSON of a failure, in the form of the API server."""
    found = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "code": code}
    return json.dumps(found).encode()


def refusal(code: int, reason: str) -> web.Response:
    """Return an answer that tells the client that nothing was done."""
    headers = {"Retry-After": "1"} if code == 429 else {}
    return web.Response(status=code, body=status_object(code, reason), content_type="application/json", headers=headers)
