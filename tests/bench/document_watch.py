"""Record each write of a published Secret, with the time at which a watch reported it."""

import asyncio
import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import msgspec

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.published.documents import Document, decode
from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi, path_of

_SELECTOR = {"labelSelector": "app.kubernetes.io/component=documents"}


class _Secret(msgspec.Struct):
    data: dict[str, str] = {}


class _Event(msgspec.Struct):
    type: str
    object: _Secret


@dataclass(frozen=True)
class Write:
    """A written document, and the time at which it was seen, in monotonic seconds."""

    document: str
    at: float
    value: str

    def content(self) -> Document | None:
        try:
            return decode(self.document, base64.b64decode(self.value)).content
        except StationkeeperError:
            return None


class DocumentWatch:
    """The watch of one release's documents. Use it as an asynchronous context manager."""

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api = api
        self._path = path_of("v1", namespace, "secrets")
        self._latest: dict[str, Write] = {}
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "DocumentWatch":
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()

    async def until(self, document: str, holds: Callable[[Document], bool], seconds: float) -> float:
        """Return the time at which a document for which `holds` is true was seen, in monotonic seconds.

        Raises:
            TimeoutError: not within `seconds`.
        """
        async with asyncio.timeout(seconds):
            looked_at: Write | None = None
            while True:
                async with self._changed:
                    await self._changed.wait_for(lambda: self._latest.get(document) is not looked_at)  # noqa: B023
                    looked_at = self._latest.get(document)
                if looked_at is not None:
                    content = await asyncio.to_thread(looked_at.content)
                    if content is not None and holds(content):
                        return looked_at.at

    async def _follow(self) -> None:
        while True:
            try:
                async for line in self._api.watch(self._path, _SELECTOR, "application/json"):
                    if line:
                        await self._take_in(line, time.monotonic())
            except ApiError:
                await asyncio.sleep(0.1)

    async def _take_in(self, line: bytes, at: float) -> None:
        event = msgspec.json.decode(line, type=_Event)
        async with self._changed:
            for document, value in event.object.data.items():
                held = self._latest.get(document)
                if held is None or held.value != value:
                    self._latest[document] = Write(document, at, value)
            self._changed.notify_all()
