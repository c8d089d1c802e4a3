"""A process' connection to the API server of a run: requests may be late or lost, and answers too.

It replaces only the part of the operator's own client that sends requests over sockets.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from stationkeeper_operator.api.kubernetes_api import REQUEST_SECONDS, ApiError, KubernetesApi
from tests.simulation.api_server import ApiServer, Change, Object, Place, RefusedError, Writer
from tests.simulation.loop import SimulatedLoop

PAGE = 7
"""The number of objects in a page; it is small, so that a LIST has several pages."""
_WATCH_SECONDS = 240.0
_BOOKMARK_SECONDS = 60.0


@dataclass
class Link:
    """The connection from one process to the API server.

    Attributes:
        chance: draws what happens to each request.
        lost: the share of requests that never arrive.
        unanswered: the share of requests that are done but whose answer is lost.
        slow: the share that takes seconds.
        is_cut: whether nothing passes.
        watch_lag: the maximum seconds by which an event of a watch is late; each watch has its own delay.
        watch_breaks: the share of changes after which a watch ends.
        watch_repeats: the share of changes after which an earlier one is shown again.
        watch_loses: the share of changes that a watch does not show.
        watch_gap: the kind whose watch is older than the history; empty for none.
        list_expires: the share of pages that are requested too late.
        on_request: called with each request before it leaves; returns the seconds that it takes, None for any.
    """

    chance: random.Random
    lost: float = 0.0
    unanswered: float = 0.0
    slow: float = 0.0
    is_cut: bool = False
    watch_lag: float = 0.0
    watch_breaks: float = 0.0
    watch_repeats: float = 0.0
    watch_loses: float = 0.0
    watch_gap: str = ""
    list_expires: float = 0.0
    on_request: Callable[[str, Place], float | None] = lambda _method, _place: None
    drawn: dict[str, int] = field(default_factory=dict)

    def heal(self) -> None:
        """End all faults at once."""
        self.is_cut = False
        self.lost = self.unanswered = self.slow = self.list_expires = 0.0
        self.watch_lag = self.watch_breaks = self.watch_repeats = self.watch_loses = 0.0
        self.watch_gap = ""
        self.on_request = lambda _method, _place: None

    def seconds(self) -> float:
        """Draw the time for one direction."""
        if self.draws("slow", self.slow):
            return self.chance.uniform(1.0, 12.0)
        return self.chance.uniform(0.001, 0.02)

    def draws(self, fault: str, share: float) -> bool:
        """Draw whether a fault happens, and count it."""
        happens = share > 0.0 and self.chance.random() < share
        if happens:
            self.drawn[fault] = self.drawn.get(fault, 0) + 1
        return happens


class _Sent(NamedTuple):
    """A request under way."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    headers: Mapping[str, str]
    writer: Writer | None
    answered: "asyncio.Future[bytes]"


class SimulatedApi(KubernetesApi):
    """The API server, as one process sees it.

    Args:
        loop: of the run.
        server: the API server.
        link: the connection to it.
        sends: called with each request; returns the writer, None for a read.
    """

    def __init__(
        self,
        loop: SimulatedLoop,
        server: ApiServer,
        link: Link,
        sends: Callable[[str, Place], Writer | None] = lambda _method, _place: None,
    ) -> None:
        self._loop = loop
        self._server = server
        self._link = link
        self._sends = sends
        self._snapshots: dict[str, tuple[str, list[Object]]] = {}

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = REQUEST_SECONDS,
        most: int = 0,
    ) -> bytes:
        place = Place.of(path.partition("?")[0])
        answered: asyncio.Future[bytes] = self._loop.create_future()
        sent = _Sent(
            method,
            path,
            dict(query or {}),
            msgspec.json.encode(body),
            dict(headers or {}),
            self._sends(method, place),
            answered,
        )
        held = self._link.on_request(method, place)
        # A sent request arrives even if its sender is killed meanwhile.
        self._loop.call_outside(self._link.seconds() if held is None else held, self._arrive, sent)
        timer = self._loop.call_later(seconds, self._fail, answered, "TimeoutError")
        try:
            return await answered
        finally:
            timer.cancel()

    def _arrive(self, sent: _Sent) -> None:
        link = self._link
        if link.is_cut or link.draws("request lost", link.lost):
            self._fail(sent.answered, "ClientConnectorError")
            return
        self._server.writer = sent.writer
        error, answer = None, b""
        try:
            found = self._handle(sent.method, sent.path, sent.query, msgspec.json.decode(sent.body), sent.headers)
            answer = msgspec.json.encode(found)
        except RefusedError as refused:
            error = ApiError(refused.status, refused.reason)
        finally:
            self._server.writer = None
        self._loop.call_outside(link.seconds(), self._answer, sent.answered, answer, error)

    def _answer(self, answered: "asyncio.Future[bytes]", answer: bytes, error: ApiError | None) -> None:
        link = self._link
        if link.is_cut or link.draws("answer lost", link.unanswered):
            self._fail(answered, "ServerDisconnectedError")
        elif not answered.done():
            if error is None:
                answered.set_result(answer)
            else:
                answered.set_exception(error)

    @staticmethod
    def _fail(answered: "asyncio.Future[bytes]", reason: str) -> None:
        if not answered.done():
            answered.set_exception(ApiError(0, reason))

    def _handle(
        self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Mapping[str, str]
    ) -> Object:
        path, _, inline = path.partition("?")
        query = dict(parse_qsl(inline)) | dict(query)
        place, server = Place.of(path), self._server
        metadata_only = "PartialObjectMetadata" in headers.get("Accept", "")
        if method == "GET" and not place.name:
            return self._list(path, place, query, metadata_only=metadata_only)
        if method == "GET":
            found = server.get(place)
        elif method == "POST":
            found = server.create(place, body)
        elif method == "PUT":
            found = server.replace(place, body)
        elif method == "PATCH" and "apply" in headers.get("Content-Type", ""):
            found = server.apply(place, body)
        elif method == "PATCH":
            found = server.merge_patch(place, body)
        else:
            raise RefusedError(405, "MethodNotAllowed")
        return _metadata(found) if metadata_only else found

    def _list(self, path: str, place: Place, query: Mapping[str, str], *, metadata_only: bool) -> Object:
        """Return a page; all pages of a LIST show the state at its first page."""
        token = query.get("continue", "")
        if token:
            name, _, begin = token.partition("@")
            if name not in self._snapshots or self._link.draws("list expired", self._link.list_expires):
                raise RefusedError(410, "Expired")
            version, objects = self._snapshots.pop(name)
        else:
            begin, name = "0", f"{path}#{self._server.version}#{len(self._snapshots)}"
            version, objects = str(self._server.version), self._server.list(place, _selector(query))
        end = int(begin) + min(PAGE, int(query.get("limit", PAGE)))
        more = end < len(objects)
        if more:
            self._snapshots[name] = (version, objects)
        items = objects[int(begin) : end]
        return {
            "metadata": {"resourceVersion": version} | ({"continue": f"{name}@{end}"} if more else {}),
            "items": [_metadata(each) for each in items] if metadata_only else items,
        }

    async def watch(self, path: str, query: Mapping[str, str], accept: str) -> AsyncGenerator[bytes, None]:
        place, selects = Place.of(path), _selector(query)
        metadata_only = "PartialObjectMetadata" in accept
        await asyncio.sleep(self._link.seconds())
        if self._link.is_cut:
            raise ApiError(0, "ClientConnectorError")
        version = query.get("resourceVersion", "")
        first: list[Object] = []
        if version:
            self._changes(place, int(version))
        else:
            first = self._server.list(place, selects)
            version = str(self._server.version)
        yield b""
        for each in first:
            yield _line("ADDED", _metadata(each) if metadata_only else each)
        async for change in self.follow(place, int(version)):
            if change is None:
                yield _line("BOOKMARK", {"metadata": {"resourceVersion": str(self._server.version)}})
                continue
            kind = _seen_as(change, selects)
            if kind:
                yield _line(kind, _metadata(change.object) if metadata_only else change.object)

    async def version(self) -> str:
        """Return the version of the API server, from a LIST without objects.

        Raises:
            ApiError: it cannot be reached.
        """
        await asyncio.sleep(self._link.seconds())
        version = str(self._server.version)
        await asyncio.sleep(self._link.seconds())
        if self._link.is_cut or self._link.draws("request lost", self._link.lost):
            raise ApiError(0, "ClientConnectorError")
        return version

    async def follow(self, place: Place, since: int) -> AsyncIterator[Change | None]:
        """Yield each change of a collection, in order and late; sometimes None, when all was shown.

        Raises:
            ApiError: 410, or the watch broke off.
        """
        link, ends = self._link, self._loop.time() + _WATCH_SECONDS
        bookmark, shown = self._loop.time() + _BOOKMARK_SECONDS, list[Change]()
        while self._loop.time() < ends:
            until = self._loop.create_future()
            self._server.tell_once(place.plural, until)
            for change in self._changes(place, since):
                await asyncio.sleep(link.chance.uniform(0.0, link.watch_lag) + link.seconds())
                if link.is_cut or link.watch_gap == place.plural or link.draws("watch broken", link.watch_breaks):
                    raise ApiError(0, "ClientPayloadError")
                since = change.version
                if link.draws("event lost", link.watch_loses):
                    continue
                yield change
                shown.append(change)
                if link.draws("event repeated", link.watch_repeats):
                    yield link.chance.choice(shown[-5:])
            if self._loop.time() >= bookmark:
                bookmark = self._loop.time() + _BOOKMARK_SECONDS
                yield None
            timer = self._loop.call_later(_BOOKMARK_SECONDS, _resolve, until)
            await until
            timer.cancel()
            if link.is_cut:
                raise ApiError(0, "ServerTimeoutError")

    def _changes(self, place: Place, since: int) -> list[Change]:
        if self._link.watch_gap == place.plural:
            raise ApiError(410, "Expired")
        try:
            return list(self._server.changes(place, since))
        except RefusedError as refused:
            raise ApiError(refused.status, refused.reason) from None


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _seen_as(change: Change, selects: Callable[[Object], bool]) -> str:
    """Return the events of a watch with a selector for a change; none if it does not select the object."""
    is_now, was = change.kind != "DELETED" and selects(change.object), bool(change.before and selects(change.before))
    if is_now:
        return "MODIFIED" if was else "ADDED"
    return "DELETED" if was else ""


def _selector(query: Mapping[str, str]) -> Callable[[Object], bool]:
    labels = [each.partition("=")[::2] for each in query.get("labelSelector", "").split(",") if each]
    unwanted = query.get("fieldSelector", "").removeprefix("metadata.name!=")

    def selects(found: Object) -> bool:
        own = found["metadata"].get("labels") or {}
        return all(own.get(name) == value for name, value in labels) and found["metadata"]["name"] != unwanted

    return selects


def _metadata(found: Object) -> Object:
    return {"metadata": found["metadata"]}


def _line(kind: str, found: Object) -> bytes:
    return msgspec.json.encode({"type": kind, "object": found})
