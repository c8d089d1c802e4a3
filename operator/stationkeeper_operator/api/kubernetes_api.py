"""Requests to the API server: JSON bytes in and out, each with limits of time and size.

Every failure is an `ApiError`, also an answer that is cut short or malformed. Tenants wrote the objects in the API
server. So the size of an answer is limited, a LIST is read in pages that get smaller if objects are large, and only a
few large answers are read at a time.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from stationkeeper_operator.api.kubernetes_credentials import Credentials, CredentialsError

FIELD_MANAGER = "stationkeeper-operator"
REQUEST_SECONDS = 10.0
LIST_SECONDS = 60.0
WATCH_SECONDS = 240.0
WATCH_SILENCE_SECONDS = 90.0
FIRST_PAGE_LIMIT = 500
PAGE_LIMIT = 1_000
"""The maximum number of objects in a page. Large pages cost the API server and the operator less for each object."""
MAX_PAGE_BYTES = 8 * 1024 * 1024
MAX_OBJECT_BYTES = 16 * 1024 * 1024
"""The maximum bytes of one object. etcd accepts 1.5 MiB, and JSON's escapes can make it six times as large."""
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

_NOT_FOUND, _CONFLICT, _GONE, _FORBIDDEN, _FAILED = 404, 409, 410, 403, 400
_TOO_MANY, _UNAVAILABLE = 429, 503
_LONGEST_RETRY_AFTER = 60.0
_MAX_MESSAGE = 300
_SMALL_BYTES = 256 * 1024
_LARGE_AT_ONCE = 2
_CHUNK = 64 * 1024
_TOO_LARGE = "AnswerTooLarge"


class ApiError(Exception):
    """A request to the API server failed.

    Attributes:
        status: the HTTP status; 0 if there was no readable answer.
        reason: a CamelCase word: the API server's own, or the name of another failure.
        retry_after: the seconds that the API server asks to wait; 0 if it does not say.
    """

    def __init__(self, status: int, reason: str, detail: str = "", retry_after: float = 0.0) -> None:
        super().__init__(f"{status or 'no answer'} {reason}{': ' if detail else ''}{detail}")
        self.status = status
        self.reason = reason
        self.retry_after = retry_after

    @property
    def is_not_found(self) -> bool:
        """Whether the object does not exist; no other failure means that."""
        return self.status == _NOT_FOUND

    @property
    def is_too_large(self) -> bool:
        """Whether the answer exceeds the size limit."""
        return self.reason == _TOO_LARGE

    @property
    def is_overloaded(self) -> bool:
        """Whether the API server asks for fewer requests, as API Priority and Fairness does."""
        return self.status in {_TOO_MANY, _UNAVAILABLE}

    @property
    def is_gone(self) -> bool:
        """Whether a watch cannot continue, so that everything must be listed again."""
        return self.status == _GONE

    @property
    def is_conflict(self) -> bool:
        """Whether another client changed the object, or created it first."""
        return self.status == _CONFLICT


@dataclass(frozen=True)
class Page:
    """A part of a LIST.

    Attributes:
        resource_version: of the whole LIST, the same on each page.
        items: the objects, as JSON text.
    """

    resource_version: str
    items: tuple[msgspec.Raw, ...]


class _ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct):
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None = None


class _Status(msgspec.Struct):
    reason: str = ""
    message: str = ""


class KubernetesApi:
    """A client of the API server for one event loop, as an asynchronous context manager."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._open: aiohttp.ClientSession | None = None
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def __aenter__(self) -> "KubernetesApi":
        self._open = await self._credentials.session()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._open is not None:
            await self._open.close()

    async def get(self, path: str, accept: str = "application/json") -> bytes:
        """Return the object at `path`."""
        return await self.request("GET", path, headers={"Accept": accept})

    async def pages(
        self, path: str, query: Mapping[str, str] | None = None, accept: str = "application/json"
    ) -> AsyncGenerator[Page, None]:
        """Yield the pages of the LIST at `path`; the LIST is complete only if the iteration ends without an error.

        While the caller uses a page, the API server prepares the next one.
        """
        parameters = dict(query or {})
        awaited: asyncio.Task[tuple[_List, int]] | None = asyncio.create_task(
            self._page(path, parameters, FIRST_PAGE_LIMIT, accept)
        )
        try:
            while awaited is not None:
                found, limit = await awaited
                parameters["continue"] = found.metadata.continue_
                awaited = (
                    asyncio.create_task(self._page(path, parameters, limit, accept)) if parameters["continue"] else None
                )
                yield Page(found.metadata.resource_version, tuple(found.items or ()))
        finally:
            if awaited is not None:
                await _end(awaited)

    async def _page(self, path: str, parameters: Mapping[str, str], limit: int, accept: str) -> tuple[_List, int]:
        """Return a page, and the number of objects to request in the next one; it depends on their size."""
        try:
            body = await self.request(
                "GET",
                path,
                query={**parameters, "limit": str(limit)},
                headers={"Accept": accept},
                seconds=LIST_SECONDS,
                most=MAX_PAGE_BYTES if limit > 1 else MAX_OBJECT_BYTES,
            )
        except ApiError as error:
            if not error.is_too_large or limit == 1:
                raise
            return await self._page(path, parameters, max(1, limit // 4), accept)
        try:
            found = msgspec.json.decode(body, type=_List)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise ApiError(0, "MalformedAnswer", str(error)[:_MAX_MESSAGE]) from None
        return found, min(PAGE_LIMIT, limit * 2) if len(body) < MAX_PAGE_BYTES // 3 else limit

    async def watch(self, path: str, query: Mapping[str, str], accept: str) -> AsyncGenerator[bytes, None]:
        """Yield the lines of a watch of the collection at `path`, each a JSON text, until the API server ends it.

        The first line is empty: it means that the watch has begun.

        Raises:
            ApiError: it cannot begin, broke off, was silent for `WATCH_SILENCE_SECONDS`, or a line is too large.
        """
        if self._open is None:
            raise ApiError(0, "NotConnected")
        timeout = aiohttp.ClientTimeout(total=None, connect=REQUEST_SECONDS, sock_read=WATCH_SILENCE_SECONDS)
        parameters = {**query, "watch": "true", "timeoutSeconds": str(int(WATCH_SECONDS))}
        headers = {"Accept": accept, "Accept-Encoding": "identity"}
        url, line_start = self._credentials.server + path, bytearray()
        try:
            async with self._open.request("GET", url, params=parameters, headers=headers, timeout=timeout) as response:
                if response.status >= _FAILED:
                    raise _error(response.status, await self._read(response, MAX_OBJECT_BYTES))
                yield b""
                async for chunk in response.content.iter_chunked(_CHUNK):
                    *lines, rest = chunk.split(b"\n")
                    for line in lines:
                        yield bytes(line_start + line)
                        line_start.clear()
                    line_start += rest
                    if len(line_start) > MAX_OBJECT_BYTES:
                        raise ApiError(0, _TOO_LARGE)
        except (aiohttp.ClientError, TimeoutError, OSError, CredentialsError) as error:
            raise ApiError(0, type(error).__name__, str(error)[:_MAX_MESSAGE]) from None

    async def create(self, path: str, body: object) -> bytes:
        """Create `body` in the collection at `path`; return the object."""
        return await self.request("POST", path, query={"fieldManager": FIELD_MANAGER}, body=body)

    async def replace(self, path: str, body: object) -> bytes:
        """Replace the object at `path` if it still has the resourceVersion in `body`; return the object."""
        return await self.request("PUT", path, query={"fieldManager": FIELD_MANAGER}, body=body)

    async def apply(self, path: str, body: object) -> bytes:
        """Apply `body` (server-side apply), and take its fields over from other managers; return the object."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        headers = {"Content-Type": "application/apply-patch+yaml"}
        return await self.request("PATCH", path, query=query, body=body, headers=headers)

    async def merge_patch(
        self, path: str, body: object, accept: str = "application/json", manager: str = FIELD_MANAGER
    ) -> bytes:
        """Merge `body` into the object at `path` (JSON merge patch); return the object."""
        headers = {"Content-Type": "application/merge-patch+json", "Accept": accept}
        return await self.request("PATCH", path, query={"fieldManager": manager}, body=body, headers=headers)

    async def request(  # noqa: PLR0913 - what an HTTP request consists of
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = REQUEST_SECONDS,
        most: int = MAX_OBJECT_BYTES,
    ) -> bytes:
        """Send a request and return the answer; all methods above except `watch` use this one.

        Args:
            method: the HTTP method.
            path: the path below the URL of the API server.
            query: its parameters.
            body: sent as JSON; None for no body.
            headers: in addition to the usual ones.
            seconds: the time limit.
            most: the maximum bytes of the answer.

        Raises:
            ApiError: the request failed.
        """
        if self._open is None:
            raise ApiError(0, "NotConnected")
        data = None if body is None else msgspec.json.encode(body)
        # Not compressed: a small compressed answer could become a large one in one step.
        all_headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", **(headers or {})}
        timeout = aiohttp.ClientTimeout(total=seconds)
        url = self._credentials.server + path
        try:
            async with self._open.request(
                method, url, params=query, data=data, headers=all_headers, timeout=timeout
            ) as response:
                content = await self._read(response, most)
        except (aiohttp.ClientError, TimeoutError, OSError, CredentialsError) as error:
            raise ApiError(0, type(error).__name__, str(error)[:_MAX_MESSAGE]) from None
        if response.status >= _FAILED:
            raise _error(response.status, content, response.headers.get("Retry-After", ""))
        return content

    async def _read(self, response: aiohttp.ClientResponse, most: int) -> bytes:
        """Read the answer; only a few large answers are read at a time, and the others wait on the network."""
        content = bytearray()
        chunks = response.content.iter_chunked(_CHUNK)
        async for chunk in chunks:
            content += chunk
            if len(content) > _SMALL_BYTES:
                break
        else:
            return bytes(content)
        async with self._large:
            async for chunk in chunks:
                content += chunk
                if len(content) > most:
                    response.close()
                    raise ApiError(0, _TOO_LARGE, f"more than {most} bytes")
        return bytes(content)


async def _end(task: asyncio.Task[Any]) -> None:
    """End a task whose result is not needed any more."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


def _error(status: int, content: bytes, retry_after: str = "") -> ApiError:
    try:
        said = msgspec.json.decode(content, type=_Status)
    except (msgspec.MsgspecError, UnicodeError):
        said = _Status()
    # Other messages may quote the request, which may be a Secret.
    detail = said.message[:_MAX_MESSAGE] if status == _FORBIDDEN else ""
    seconds = min(float(retry_after), _LONGEST_RETRY_AFTER) if retry_after.isascii() and retry_after.isdigit() else 0.0
    return ApiError(status, said.reason or "HTTPError", detail, seconds)


def path_of(group_version: str, namespace: str | None, plural: str, name: str = "", subresource: str = "") -> str:
    """Return the path of a collection, or of the object `name` in it.

    Args:
        group_version: `v1` or `group/version`.
        namespace: None for the collection of all namespaces.
        plural: the plural name of the kind.
        name: the name of an object; empty for the collection.
        subresource: a subresource such as `status`.
    """
    root = "/api/" if group_version == "v1" else "/apis/"
    parts = [group_version, *(("namespaces", namespace) if namespace else ()), plural, name, subresource]
    return root + "/".join(part for part in parts if part)


def object_body(api_version: str, kind: str, metadata: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """Return an object for a request."""
    return {"apiVersion": api_version, "kind": kind, "metadata": dict(metadata), **fields}
