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
import logging
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.published.documents import Document, encode
from stationkeeper_core.published.registry_layout import BUCKET_COUNTS, BUCKETS, TRUST, layout_of
from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi
from stationkeeper_operator.api.rate_limit import RateLimit
from stationkeeper_operator.publishing.document_secrets import DocumentSecrets, MissingSecretError
from stationkeeper_operator.publishing.generation_floor import GenerationFloor
from stationkeeper_operator.publishing.removal_annotation import ANNOTATION as REMOVED
from stationkeeper_operator.publishing.removal_annotation import Removed, encode_removed
from stationkeeper_operator.publishing.stored_document import PublishedValue, StoredDocument, stored_document

_CONFLICT = 409
_CHECKED_AT_ONCE = 64
_REQUESTS_AT_ONCE = 24
"""The maximum of parallel requests; each may carry a megabyte, and there may be a thousand Secrets."""
_OVERTAKEN_A_SECOND, _OVERTAKEN_BURST = 0.2, 64
"""The maximum rate of documents to publish again because a pod reports a later one: the report may be false."""
_T = TypeVar("_T")
_log = logging.getLogger("stationkeeper.operator.publisher")


class SupersededError(Exception):
    """A Secret is not as it was read: read again, compile again.

    Attributes:
        written: the generations of the documents that were written.
    """

    def __init__(self, written: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self.written = written or {}


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

    def __init__(  # noqa: PLR0913, PLR0917 - the place and the conditions of each write
        self,
        api: KubernetesApi,
        namespace: str,
        permit: Callable[[], None],
        now_ms: Callable[[], int],
        term: Callable[[], str],
        floor: GenerationFloor | None = None,
    ) -> None:
        self._permit = permit
        self._now_ms = now_ms
        self._term = term
        self._stored: dict[str, StoredDocument] = {}
        self._floor = floor or GenerationFloor()
        self._secrets = DocumentSecrets(api, namespace, permit, term, self._floor)
        self._found: frozenset[int] | None = None
        self._checked_last = ""
        self._slots = asyncio.Semaphore(_REQUESTS_AT_ONCE)
        self._reading = asyncio.Lock()
        self._reported: set[str] = set()
        self._overtaken_limit = RateLimit(_OVERTAKEN_A_SECOND, _OVERTAKEN_BURST)

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
        async with self._reading:
            return await self._read(counts)

    async def _read(self, counts: Collection[int]) -> Mapping[str, Document]:
        if self._found is None:
            self._found = await self._find_published([each for each in BUCKET_COUNTS if each not in counts])
        wanted = (TRUST, *(name for each in sorted(self._found | set(counts)) for name in layout_of(each).registry))
        missing = [document for document in wanted if document not in self._stored]
        self._stored.update(
            zip(
                missing,
                await asyncio.gather(*(self._in_turn(self._secrets.read(each)) for each in missing)),
                strict=True,
            )
        )
        for stored in self._stored.values():
            self._floor.raise_to(max(stored.generation, stored.floor))
        await self._mark(self._term())
        return {document: stored.content for document, stored in self._stored.items() if stored.content is not None}

    async def _in_turn(self, request: Coroutine[object, object, _T]) -> _T:
        async with self._slots:
            return await request

    async def _find_published(self, counts: Collection[int]) -> frozenset[int]:
        """Return those of `counts` that have published content."""
        first = await asyncio.gather(*(self._secrets.read_if_allowed(layout_of(each).registry[0]) for each in counts))
        return frozenset(each for each, stored in zip(counts, first, strict=True) if stored.sha256 or stored.generation)

    async def _mark(self, term: str) -> None:
        others = [
            document
            for document, stored in self._stored.items()
            if stored.resource_version is not None and stored.term != term
        ]
        results = await asyncio.gather(
            *(self._in_turn(self._mark_one(each, term)) for each in others), return_exceptions=True
        )
        failures = [each for each in results if isinstance(each, BaseException)]
        if failures:
            raise next((each for each in failures if isinstance(each, SupersededError)), failures[0])

    async def _mark_one(self, document: str, term: str) -> None:
        await self._patch(document, self._stored[document], {})
        self._stored[document] = replace(self._stored[document], term=term)

    async def _patch(
        self,
        document: str,
        stored: StoredDocument,
        annotations: Mapping[str, str | None],
        others: Mapping[str, object] | None = None,
    ) -> None:
        """Write annotations, and other fields, of a Secret that is as it was read."""
        try:
            version = await self._secrets.patch(document, stored, annotations, others)
        except ApiError as error:
            self._stored.pop(document, None)
            if error.is_conflict or error.is_not_found:
                raise SupersededError from None
            raise
        self._stored[document] = replace(stored, resource_version=version)

    @property
    def generations(self) -> Mapping[str, int]:
        """The generation in force of each known, readable document."""
        return {document: stored.generation for document, stored in self._stored.items() if stored.content is not None}

    @property
    def values(self) -> Mapping[str, PublishedValue]:
        """The content of each known, readable Secret, by document."""
        stored = {document: each for document, each in self._stored.items() if each.value}
        return {document: PublishedValue(each.generation, each.value) for document, each in stored.items()}

    async def is_unchanged(self) -> bool:
        """Return whether each Secret is as this process last read or wrote it; changed ones are read again later.

        If there are many Secrets, each call checks some of them, in turn.

        Raises:
            ApiError: a Secret cannot be read.
        """
        documents = self._next_to_check()
        versions = await asyncio.gather(*(self._in_turn(self._secrets.version(document)) for document in documents))
        changed = [
            document
            for document, version in zip(documents, versions, strict=True)
            if document in self._stored and self._stored[document].resource_version != version
        ]
        for document in changed:
            _log.warning("another program changed a published Secret", extra={"fields": {"document": document}})
            del self._stored[document]
        return not changed

    def _next_to_check(self) -> list[str]:
        known = sorted(self._stored)
        if len(known) <= _CHECKED_AT_ONCE:
            return known
        last = self._checked_last
        found = sorted(known, key=lambda each: (each <= last, each))[:_CHECKED_AT_ONCE]
        self._checked_last = found[-1]
        return found

    async def empty(self, counts: Iterable[int]) -> None:
        """Empty the Secrets of counts that nothing reads.

        A pod that reads such a count later waits for a new publish: old content would accept gateways that were removed
        meanwhile. A Secret with removals without an event stays until they have one.

        Raises:
            ApiError: a Secret cannot be written.
            SupersededError: a Secret changed after it was read.
        """
        for buckets in counts:
            if any(self._unreported(stored.removed) for stored in map(self._of, layout_of(buckets).registry)):
                continue
            first, *others = layout_of(buckets).registry
            # Empty the first one last: it shows the count to the next run, if this one is interrupted.
            for batch in (others, [first]):
                await asyncio.gather(*(self._in_turn(self._empty(each)) for each in batch))
            for document in layout_of(buckets).registry:
                self._stored.pop(document, None)
            self._found = (self._found or frozenset()) - {buckets}
            _log.info("emptied the documents of a count that no pod reads", extra={"fields": {"buckets": buckets}})

    async def _empty(self, document: str) -> None:
        stored = self._stored.get(document) or await self._secrets.read(document)
        if stored.resource_version is None or not (stored.sha256 or stored.generation):
            return
        await self._patch(document, stored, {REMOVED: None}, {"data": {document: None}})

    def differing(self, digests: Mapping[str, str]) -> frozenset[str]:
        """Return the documents whose payload in force does not have the given digest."""
        return frozenset(document for document, sha256 in digests.items() if self._differs(document, sha256))

    def _differs(self, document: str, sha256: str) -> bool:
        stored = self._of(document)
        return stored.sha256 != sha256 or self._floor.is_overtaken(document, stored.generation)

    def note_pod_generations(self, generations: Mapping[str, int]) -> bool:
        """Record the generations in force of a pod; return whether a document must be published again."""
        stored = {each: self._stored[each].generation for each in generations if each in self._stored}
        ahead = [each for each, number in stored.items() if number < generations[each] and self._overtaken_limit.take()]
        now = self._now_ms()
        found = [each for each in ahead if self._floor.note_pod_generation(each, generations[each], stored[each], now)]
        return bool(found)

    @property
    def removed(self) -> Mapping[str, Sequence[Removed]]:
        """The removals in the Secrets without an event yet, by document."""
        return {
            document: self._unreported(stored.removed) for document, stored in self._stored.items() if stored.removed
        }

    def mark_reported(self, uids: Iterable[str]) -> None:
        """Record the resources whose removal has its event."""
        self._reported.update(uids)

    async def delete_reported(self) -> bool:
        """Delete from the Secrets the removals that have their event; return whether there was one.

        Raises:
            ApiError: a Secret cannot be written.
            SupersededError: a Secret is not as it was read.
            NotLeadingError: this process no longer holds the Lease.
        """
        has_deleted = False
        for document, stored in list(self._stored.items()):
            rest = self._unreported(stored.removed)
            if len(rest) < len(stored.removed):
                await self._patch(document, stored, {REMOVED: encode_removed(rest) or None})
                self._stored[document] = replace(self._stored[document], removed=rest)
                has_deleted = True
        self._reported &= {each.uid for stored in self._stored.values() for each in stored.removed}
        return has_deleted

    def _unreported(self, listed: Iterable[Removed]) -> tuple[Removed, ...]:
        return tuple(each for each in listed if each.uid not in self._reported)

    async def write(
        self,
        documents: Collection[str],
        payloads: Mapping[str, bytes],
        removed: Mapping[str, Sequence[Removed]] | None = None,
        contents: Mapping[str, Document] | None = None,
    ) -> Mapping[str, int]:
        """Write the documents.

        Args:
            documents: their names.
            payloads: by document.
            removed: the removals by this write, by document; they are noted in the Secret until they have their event.
            contents: the contents of the payloads, by document; a missing one is decoded from its payload.

        Returns:
            The generation of each written document. A failed write is logged and missing here; its Secret is unchanged.

        Raises:
            SupersededError: a Secret changed after it was read.
        """
        order = sorted(documents)
        writes = (
            self._write(each, payloads[each], (removed or {}).get(each, ()), (contents or {}).get(each))
            for each in order
        )
        results = await asyncio.gather(*(self._in_turn(each) for each in writes), return_exceptions=True)
        written: dict[str, int] = {}
        for document, result in zip(order, results, strict=True):
            if isinstance(result, BaseException):
                self._failed(document, result)
            else:
                written[document] = result
                fields = {"document": document, "generation": result, "bytes": len(payloads[document])}
                _log.info("published", extra={"fields": fields})
        if any(isinstance(result, ApiError) and result.is_conflict for result in results):
            raise SupersededError(written)
        return written

    def _failed(self, document: str, failure: BaseException) -> None:
        if not isinstance(failure, ApiError | StationkeeperError | MissingSecretError):
            raise failure
        _log.error("not published", extra={"fields": {"document": document, "detail": failure}})
        # A write without an answer may have succeeded; a missing Secret may exist by now.
        if isinstance(failure, ApiError | MissingSecretError):
            self._stored.pop(document, None)

    async def _write(self, document: str, payload: bytes, removed: Sequence[Removed], content: Document | None) -> int:
        stored = self._stored.get(document)
        if stored is None:  # Another program changed it during this turn.
            raise ApiError(_CONFLICT, "Conflict", "it must be read again")
        generation = self._floor.following(stored.generation, self._now_ms())
        value = await asyncio.to_thread(encode, document, generation, payload)
        self._permit()
        self._floor.raise_to(generation)
        known = frozenset(stored.removed)
        noted = self._unreported((*stored.removed, *(each for each in removed if each not in known)))
        secret = await self._secrets.replace(document, stored, value, noted)
        self._stored[document] = await asyncio.to_thread(stored_document, document, secret.metadata, value, content)
        return generation

    def _of(self, document: str) -> StoredDocument:
        return self._stored.get(document, StoredDocument())
