"""An API server inside one process: it answers the operator's requests from memory, and stores documents on disk.

Objects come from manifests by `put` and `remove`. The operator writes statuses and published Secrets. Its requests are
treated as in a cluster: with resourceVersions, conflicts and merge patches. Nothing listens on a network.
"""

import asyncio
import base64
import itertools
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from stationkeeper_core.published.documents import DOCUMENTS, secret_name
from stationkeeper_operator.api.kubernetes_api import (
    MAX_OBJECT_BYTES,
    REQUEST_SECONDS,
    ApiError,
    KubernetesApi,
    path_of,
)
from stationkeeper_operator.api.kubernetes_credentials import Credentials
from stationkeeper_operator.api.resource_paths import REFERENCED, RESOURCES, referenced_path, resource_path
from stationkeeper_tools.standalone.manifest_files import ObjectKey
from stationkeeper_tools.standalone.merge_patch import merged

Object = dict[str, Any]

_COLLECTION = re.compile(r"/(?:api/v1|apis/[^/]+/[^/]+)(?:/namespaces/([^/]+))?/([a-z]+)")
_NOT_FOUND, _CONFLICT, _UNAVAILABLE, _METHOD = 404, 409, 503, 405


class FolderApi(KubernetesApi):
    """The API server of one operator, in one event loop.

    Args:
        release_namespace: where the published Secrets are.
        documents: the documents that are already published, by name.
        publish: stores a published document on disk; raises OSError if it cannot.
        statuses: the earlier statuses, by the uid of their resource.

    Attributes:
        is_known: whether all existing objects were put in.
        cups: the Pod that stands for this process' CUPS.
        on_status: called for each resource with a new status.
        on_event: called for each event.
    """

    def __init__(
        self,
        release_namespace: str,
        documents: Mapping[str, bytes],
        publish: Callable[[str, bytes], Awaitable[None]],
        statuses: Mapping[str, Object],
    ) -> None:
        super().__init__(Credentials(None))
        self._publish = publish
        self._statuses = dict(statuses)
        self._versions = itertools.count(1)
        self._version = 0
        self._objects: dict[str, Object] = {}
        self._collections: dict[str, dict[str, Object]] = {}
        self._followers: list[_Follower] = []
        self._published = {path_of("v1", release_namespace, "secrets", secret_name(each)): each for each in DOCUMENTS}
        self._pods = path_of("v1", release_namespace, "pods")
        self.is_known = False
        self.cups: Object | None = None
        self.on_status: Callable[[ObjectKey, Object], None] = lambda _key, _resource: None
        self.on_event: Callable[[Object], None] = lambda _event: None
        for path, document in self._published.items():
            content = documents.get(document)
            data = {} if content is None else {document: base64.b64encode(content).decode("ascii")}
            self._write(path, {"metadata": {"name": secret_name(document)}, "data": data})

    async def __aenter__(self) -> "FolderApi":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def set_known(self) -> None:
        """Declare that `put` was called for every object; before that, a missing object does not count as deleted."""
        self.is_known = True

    def is_reserved(self, key: ObjectKey) -> bool:
        """Return whether the operator publishes this object; no manifest may hold it."""
        return _path(key) in self._published

    def get_object(self, key: ObjectKey) -> Object | None:
        """Return an object with its status, None if there is none."""
        return self._objects.get(_path(key))

    def resources(self) -> Iterable[Object]:
        """Return the TrustedCAs, Gateways and GatewayDefaults."""
        return [each for plural in RESOURCES.values() for each in self._collections.get(plural, {}).values()]

    def put(self, key: ObjectKey, content: Object, identity: Object) -> Object:
        """Add or replace an object.

        Args:
            key: which object.
            content: the content of its manifest.
            identity: fields of its metadata.

        Returns:
            The object as requests show it.
        """
        path = _path(key)
        earlier = self._objects.get(path)
        body = {**content, "metadata": {**content["metadata"], **identity}}
        if key.kind in RESOURCES:
            status = earlier.get("status") if earlier is not None else self._statuses.pop(identity["uid"], None)
            if status:
                body["status"] = status
        found = self._write(path, body)
        self._collection(key)[path] = found
        if key.kind in REFERENCED:
            self._tell(key, "MODIFIED" if earlier is not None else "ADDED", found)
        return found

    def remove(self, key: ObjectKey) -> Object | None:
        """Remove an object.

        Returns:
            The object, with the resourceVersion of its deletion; None if there was none.
        """
        path = _path(key)
        removed = self._objects.pop(path, None)
        if removed is None:
            return None
        self._collection(key).pop(path, None)
        gone = {**removed, "metadata": {**removed["metadata"], "resourceVersion": self._next()}}
        if key.kind in REFERENCED:
            self._tell(key, "DELETED", gone)
        return gone

    async def request(  # noqa: PLR0913 - as the class above has it
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
        """Answer the request as an API server would.

        Raises:
            ApiError: the request is refused.
        """
        place, _, asked = path.partition("?")
        parameters = {**dict(parse_qsl(asked)), **(query or {})}
        # Encoded as over a network, so that the caller shares no object with this store.
        return msgspec.json.encode(await self._answer(method, place, parameters, _decoded(body)))

    async def _answer(self, method: str, path: str, query: Mapping[str, str], body: Object) -> Object:
        if path.startswith(self._pods):
            return self._pod_answer(method)
        match method:
            case "GET":
                return self._objects.get(path) or self._list(path, query)
            case "POST" if path.endswith("/events"):
                self.on_event(body)
                return body
            case "POST":
                path = f"{path}/{body['metadata']['name']}"
                if path in self._objects:
                    raise ApiError(_CONFLICT, "AlreadyExists")
                return self._write(path, body)
            case "PUT" | "PATCH":
                return await self._change(method, path, body)
        raise ApiError(_METHOD, "MethodNotAllowed")

    async def _change(self, method: str, path: str, body: Object) -> Object:
        is_status = path.endswith("/status")
        path = path.removesuffix("/status")
        earlier = self._objects.get(path)
        if earlier is None:
            raise ApiError(_NOT_FOUND, "NotFound")
        for field in ("resourceVersion", "uid"):
            if body.get("metadata", {}).get(field, earlier["metadata"].get(field)) != earlier["metadata"].get(field):
                raise ApiError(_CONFLICT, "Conflict")
        if is_status:
            body = {"status": body.get("status")}
        changed = merged(earlier, body) if method == "PATCH" else body
        if path in self._published and "data" in body:
            await self._keep(path, changed)
        found = self._write(path, changed)
        if is_status:
            key = ObjectKey(_kind(path), found["metadata"]["namespace"], found["metadata"]["name"])
            self._collection(key)[path] = found
            self.on_status(key, found)
        return found

    async def _keep(self, path: str, secret: Object) -> None:
        document = self._published[path]
        try:
            await self._publish(document, base64.b64decode(secret["data"][document]))
        except OSError as error:
            raise ApiError(_UNAVAILABLE, "StateNotWritable", error.strerror or type(error).__name__) from None

    def _list(self, path: str, query: Mapping[str, str]) -> Object:
        match = _COLLECTION.fullmatch(path)
        if match is None or match[2] not in {*RESOURCES.values(), *REFERENCED.values()}:
            raise ApiError(_NOT_FOUND, "NotFound")
        if not self.is_known:
            raise ApiError(_UNAVAILABLE, "FolderNotRead", "no manifest could be read yet")
        label = query.get("labelSelector", "")
        items = [
            each
            for each in self._collections.get(match[2], {}).values()
            if match[1] in {None, each["metadata"]["namespace"]} and _has_label(each, label)
        ]
        return {"metadata": {"resourceVersion": str(self._version)}, "items": items}

    def _pod_answer(self, method: str) -> Object:
        if method == "PATCH":
            return {}  # a nudge; nothing to do, since CUPS polls its files
        return {"metadata": {"resourceVersion": str(self._version)}, "items": [self.cups] if self.cups else []}

    async def watch(self, path: str, query: Mapping[str, str], accept: str) -> AsyncGenerator[bytes, None]:
        """Yield the changes of the Secrets or ConfigMaps, endlessly; see `KubernetesApi.watch`."""
        follower = _Follower(path.rpartition("/")[2], query.get("labelSelector", ""))
        self._followers.append(follower)
        try:
            yield b""
            for each in list(self._collections.get(follower.plural, {}).values()):
                if _has_label(each, follower.label):
                    yield _line("ADDED", each)
            while True:
                yield await follower.lines.get()
        finally:
            self._followers.remove(follower)

    def _tell(self, key: ObjectKey, event: str, found: Object) -> None:
        for each in self._followers:
            if each.plural == REFERENCED[key.kind]:
                # An object that lost its label is no longer in the watched set.
                each.lines.put_nowait(_line(event if _has_label(found, each.label) else "DELETED", found))

    def _collection(self, key: ObjectKey) -> dict[str, Object]:
        return self._collections.setdefault(RESOURCES.get(key.kind) or REFERENCED[key.kind], {})

    def _write(self, path: str, body: Object) -> Object:
        metadata = {**body.get("metadata", {}), "resourceVersion": self._next()}
        self._objects[path] = {**body, "metadata": metadata}
        return self._objects[path]

    def _next(self) -> str:
        self._version = next(self._versions)
        return str(self._version)


class _Follower:
    def __init__(self, plural: str, label: str) -> None:
        self.plural = plural
        self.label = label
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()


def _path(key: ObjectKey) -> str:
    make = resource_path if key.kind in RESOURCES else referenced_path
    return make(key.kind, key.namespace, key.name)


def _kind(path: str) -> str:
    plural = path.split("/")[-2]
    return next(kind for kind, each in RESOURCES.items() if each == plural)


def _has_label(found: Object, selector: str) -> bool:
    if not selector:
        return True
    name, _, value = selector.partition("=")
    labels = found["metadata"].get("labels")
    return isinstance(labels, dict) and labels.get(name) == value


def _line(event: str, found: Object) -> bytes:
    return msgspec.json.encode({"type": event, "object": {"metadata": found["metadata"]}})


def _decoded(body: object) -> Object:
    value = msgspec.json.decode(msgspec.json.encode(body))
    return value if isinstance(value, dict) else {}
