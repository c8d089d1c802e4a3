"""Read and write the Secrets that CUPS loads.

Only differences are written, each write on condition of the version that was read. After a conflict, every Secret is
read again. A document that cannot be decoded counts as missing, but the generation in its header is still a floor,
because CUPS refuses to go back. Every generation of any document that this process saw is a floor too: a deleted or
replayed Secret, or a clock that went back, must not lead below it.

A new leader marks each Secret with its term before it trusts the content. The mark changes the resourceVersion, so a
late write of an earlier leader is refused. A check of the Lease before a write cannot do that: between the two, a
process may be frozen, or a packet delayed.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import NamedTuple, TypeVar

import msgspec

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.published.documents import Document, decode, encode, secret_name
from stationkeeper_core.published.registry_layout import BUCKET_COUNTS, BUCKETS, TRUST, layout_of
from stationkeeper_operator.api.kubernetes_api import METADATA_ONLY, ApiError, KubernetesApi, object_body, path_of
from stationkeeper_operator.publishing.generation_floor import ANNOTATION, GenerationFloor, generation_told

TERM = "stationkeeper.io/term"
_CONFLICT = 409
_LOOKED_AT_ONCE = 64
_REQUESTS_AT_ONCE = 24
"""The maximum of parallel requests; each may carry a megabyte, and there may be a thousand Secrets."""
_T = TypeVar("_T")
_log = logging.getLogger("stationkeeper.operator.publisher")


class SupersededError(Exception):
    """A Secret changed after it was read: read and compile again."""


class MissingSecretError(Exception):
    """A Secret of the release is missing; the operator has no right to create one."""


class PublishedValue(NamedTuple):
    """The content of a Secret.

    Attributes:
        generation: the generation of the document.
        value: the document, encoded by `stationkeeper_core.published.documents`.
    """

    generation: int
    value: bytes


@dataclass(frozen=True)
class _Held:
    """A document in its Secret.

    Attributes:
        resource_version: the resourceVersion of the Secret; None if it does not exist.
        generation: the next generation must exceed it.
        sha256: the digest of the payload; empty if it cannot be decoded.
        content: the document; None if it cannot be decoded.
        term: the term of the leader that wrote or marked it last.
        value: the encoded document; empty if it cannot be decoded.
        floor: the highest generation of any document that the Secret names.
    """

    resource_version: str | None = None
    generation: int = 0
    sha256: str = ""
    content: Document | None = None
    term: str = ""
    value: bytes = b""
    floor: int = 0


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class _Secret(msgspec.Struct):
    metadata: _Metadata
    data: dict[str, str] | None = None


class Publisher:
    """The published Secrets of one release.

    Args:
        api: the API client.
        namespace: the namespace of the release.
        permit: called before each write; raises if the write is not allowed.
        now_ms: returns milliseconds since the epoch.
        term: the name of the present term of leadership.
        floor: the floor of the process; by default a new one.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - where to write, and what each write has to heed
        self,
        api: KubernetesApi,
        namespace: str,
        permit: Callable[[], None],
        now_ms: Callable[[], int],
        term: Callable[[], str],
        floor: GenerationFloor | None = None,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._permit = permit
        self._now_ms = now_ms
        self._term = term
        self._held: dict[str, _Held] = {}
        self._floor = floor or GenerationFloor()
        self._found: frozenset[int] | None = None
        self._looked_last = ""
        self._slots = asyncio.Semaphore(_REQUESTS_AT_ONCE)

    async def in_force(self, counts: Collection[int] = (BUCKETS,)) -> Mapping[str, Document]:
        """Return the documents in force by name, without those that are missing or cannot be decoded.

        They belong to the given counts, and to every other count with published content. Each is marked with the
        present term, so that no late write of an earlier leader changes it.

        Args:
            counts: the counts of registry documents.

        Raises:
            ApiError: a Secret cannot be read or marked. A missing Secret is no error.
            SupersededError: a Secret changed after it was read.
            NotLeadingError: this process no longer holds the Lease.
        """
        if self._found is None:
            self._found = await self._find([each for each in BUCKET_COUNTS if each not in counts])
        wanted = (TRUST, *(name for each in sorted(self._found | set(counts)) for name in layout_of(each).registry))
        missing = [document for document in wanted if document not in self._held]
        self._held.update(
            zip(missing, await asyncio.gather(*(self._in_turn(self._read(each)) for each in missing)), strict=True)
        )
        for held in self._held.values():
            self._floor.raise_to(max(held.generation, held.floor))
        await self._mark(self._term())
        return {document: held.content for document, held in self._held.items() if held.content is not None}

    async def _in_turn(self, request: Coroutine[object, object, _T]) -> _T:
        async with self._slots:
            return await request

    async def _find(self, counts: Collection[int]) -> frozenset[int]:
        """Return those of `counts` that have published content."""
        first = await asyncio.gather(*(self._read_if_allowed(layout_of(each).registry[0]) for each in counts))
        return frozenset(each for each, held in zip(counts, first, strict=True) if held.sha256 or held.generation)

    async def _read_if_allowed(self, document: str) -> _Held:
        try:
            return await self._read(document)
        except ApiError as error:
            if error.status == HTTPStatus.FORBIDDEN:  # The Role of an older chart does not name other counts.
                return _Held()
            raise

    async def _mark(self, term: str) -> None:
        others = [
            document for document, held in self._held.items() if held.resource_version is not None and held.term != term
        ]
        results = await asyncio.gather(
            *(self._in_turn(self._mark_one(each, term)) for each in others), return_exceptions=True
        )
        failures = [each for each in results if isinstance(each, BaseException)]
        for document, result in zip(others, results, strict=True):
            if isinstance(result, BaseException):
                self._held.pop(document, None)
        if any(isinstance(each, ApiError) and (each.is_conflict or each.is_not_found) for each in failures):
            raise SupersededError
        if failures:
            raise failures[0]

    async def _mark_one(self, document: str, term: str) -> None:
        held = self._held[document]
        metadata = {"resourceVersion": held.resource_version, "annotations": self._annotations(term)}
        self._permit()
        answer = await self._api.merge_patch(self._path(document), {"metadata": metadata}, METADATA_ONLY)
        version = _secret(answer).metadata.resource_version
        self._held[document] = replace(held, resource_version=version, term=term)

    @property
    def generations(self) -> Mapping[str, int]:
        """The generation in force of each known, readable document."""
        return {document: held.generation for document, held in self._held.items() if held.content is not None}

    @property
    def values(self) -> Mapping[str, PublishedValue]:
        """The content of each known, readable Secret, by document."""
        held = {document: each for document, each in self._held.items() if each.value}
        return {document: PublishedValue(each.generation, each.value) for document, each in held.items()}

    async def is_untouched(self) -> bool:
        """Return whether each Secret is still as this process left it; changed ones are read again later.

        If there are many Secrets, each call looks at some of them, in turn.

        Raises:
            ApiError: a Secret cannot be read.
        """
        documents = self._next_to_look_at()
        versions = await asyncio.gather(*(self._in_turn(self._version(document)) for document in documents))
        touched = [
            document
            for document, version in zip(documents, versions, strict=True)
            if document in self._held and self._held[document].resource_version != version
        ]
        for document in touched:
            _log.warning("another program changed a published Secret", extra={"fields": {"document": document}})
            del self._held[document]
        return not touched

    def _next_to_look_at(self) -> list[str]:
        known = sorted(self._held)
        if len(known) <= _LOOKED_AT_ONCE:
            return known
        last = self._looked_last
        found = sorted(known, key=lambda each: (each <= last, each))[:_LOOKED_AT_ONCE]
        self._looked_last = found[-1]
        return found

    async def empty(self, counts: Iterable[int]) -> None:
        """Empty the Secrets of counts that nothing reads.

        A pod that reads such a count later waits for a new publish: old content would accept gateways that were removed
        meanwhile.

        Raises:
            ApiError: a Secret cannot be written.
            SupersededError: a Secret changed after it was read.
        """
        for buckets in counts:
            first, *others = layout_of(buckets).registry
            # Empty the first one last: it shows the count to the next run, if this one is interrupted.
            for batch in (others, [first]):
                await asyncio.gather(*(self._in_turn(self._empty(each)) for each in batch))
            for document in layout_of(buckets).registry:
                self._held.pop(document, None)
            self._found = (self._found or frozenset()) - {buckets}
            _log.info("emptied the documents of a count that no pod reads", extra={"fields": {"buckets": buckets}})

    async def _empty(self, document: str) -> None:
        held = self._held.get(document) or await self._read(document)
        if held.resource_version is None or not (held.sha256 or held.generation):
            return
        metadata = {"resourceVersion": held.resource_version, "annotations": self._annotations(self._term())}
        self._permit()
        try:
            await self._api.merge_patch(
                self._path(document), {"metadata": metadata, "data": {document: None}}, METADATA_ONLY
            )
        except ApiError as error:
            self._held.pop(document, None)
            if error.is_conflict or error.is_not_found:
                raise SupersededError from None
            raise

    def differing(self, digests: Mapping[str, str]) -> frozenset[str]:
        """Return the documents whose payload in force does not have the given digest."""
        return frozenset(document for document, sha256 in digests.items() if self._of(document).sha256 != sha256)

    def share(self, document: str, content: Document) -> None:
        """Keep `content` instead of an equal document that was read, so that each record is in memory once."""
        held = self._held.get(document)
        if held is not None and held.content == content:
            self._held[document] = replace(held, content=content)

    async def write(self, documents: Collection[str], payloads: Mapping[str, bytes]) -> Mapping[str, int]:
        """Write the documents.

        Returns:
            The generation of each written document. A failed write is logged and missing here; its Secret is unchanged.

        Raises:
            SupersededError: a Secret changed after it was read.
        """
        order = sorted(documents)
        results = await asyncio.gather(
            *(self._in_turn(self._write(each, payloads[each])) for each in order), return_exceptions=True
        )
        written: dict[str, int] = {}
        for document, result in zip(order, results, strict=True):
            if isinstance(result, BaseException):
                self._failed(document, result)
            else:
                written[document] = result
                fields = {"document": document, "generation": result, "bytes": len(payloads[document])}
                _log.info("published", extra={"fields": fields})
        if any(isinstance(result, ApiError) and result.is_conflict for result in results):
            raise SupersededError
        return written

    def _failed(self, document: str, failure: BaseException) -> None:
        if not isinstance(failure, ApiError | StationkeeperError | MissingSecretError):
            raise failure
        _log.error("not published", extra={"fields": {"document": document, "detail": failure}})
        # A write without an answer may have succeeded; a missing Secret may exist by now.
        if isinstance(failure, ApiError | MissingSecretError):
            self._held.pop(document, None)

    async def _write(self, document: str, payload: bytes) -> int:
        held = self._held.get(document)
        if held is None:  # Another program changed it during this turn.
            raise ApiError(_CONFLICT, "Conflict", "it must be read again")
        generation = self._floor.following(held.generation, self._now_ms())
        value = await asyncio.to_thread(encode, document, generation, payload)
        self._permit()
        self._floor.raise_to(generation)
        secret = await self._send(document, held, value)
        self._held[document] = await asyncio.to_thread(_decoded, document, secret.metadata, value)
        return generation

    async def _send(self, document: str, held: _Held, value: bytes) -> _Secret:
        name = secret_name(document)
        data = {document: base64.b64encode(value).decode("ascii")}
        if held.resource_version is None:
            raise MissingSecretError(f"the Secret {name} is missing: run `helm upgrade` to create it again")
        # The chart owns the labels: applied here too, they would make the next upgrade fail with a conflict.
        metadata: dict[str, object] = {"name": name, "namespace": self._namespace}
        metadata |= {"resourceVersion": held.resource_version, "annotations": self._annotations(self._term())}
        body = object_body("v1", "Secret", metadata, type="Opaque", data=data)
        return _secret(await self._api.apply(self._path(document), body))

    def _annotations(self, term: str) -> dict[str, str]:
        return {TERM: term, ANNOTATION: str(self._floor.value)}

    async def _read(self, document: str) -> _Held:
        try:
            secret = _secret(await self._api.get(self._path(document)))
        except ApiError as error:
            if error.is_not_found:
                return _Held()
            raise
        encoded = (secret.data or {}).get(document)
        if encoded is None:  # The chart creates an empty Secret.
            floor = generation_told(b"", secret.metadata.annotations)
            return _Held(secret.metadata.resource_version, term=_term_of(secret.metadata), floor=floor)
        try:
            value = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            value = b""
        return await asyncio.to_thread(_decoded, document, secret.metadata, value)

    async def _version(self, document: str) -> str | None:
        try:
            return _secret(await self._api.get(self._path(document), METADATA_ONLY)).metadata.resource_version
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    def _of(self, document: str) -> _Held:
        return self._held.get(document, _Held())

    def _path(self, document: str) -> str:
        return path_of("v1", self._namespace, "secrets", secret_name(document))


def _decoded(document: str, metadata: _Metadata, value: bytes) -> _Held:
    version, term = metadata.resource_version, _term_of(metadata)
    floor = generation_told(value, metadata.annotations)
    try:
        published = decode(document, value)
    except StationkeeperError as error:
        fields = {"document": document, "reason": error.reason, "detail": error.detail}
        _log.warning("a published document cannot be read", extra={"fields": fields})
        return _Held(version, floor, term=term, floor=floor)
    header = published.header
    return _Held(version, header.generation, header.sha256, published.content, term, value, floor)


def _term_of(metadata: _Metadata) -> str:
    return (metadata.annotations or {}).get(TERM, "")


def _secret(content: bytes) -> _Secret:
    try:
        return msgspec.json.decode(content, type=_Secret)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ApiError(0, "MalformedAnswer", type(error).__name__) from None
