"""Choose the candidates that fit into a document's Secret.

Nothing is ever cut: only a record that does not fit is skipped and refused. Unchanged records in force come first, so
no change of another resource removes them. Then come reductions of trust, then records that grow: first within the
share of their namespace, then beyond it.

Sizes are those of the compressed document, in which the size of a namespace depends only on its own records. Whole
documents are compressed a few times to measure them. In between, a record counts with its size when it is compressed
alone. A namespace may need more than that sum, if its records were similar and no longer are. Then its changes are
dropped.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Generic

import msgspec

from stationkeeper_core.published.document_segments import segment_bytes, segments
from stationkeeper_core.published.documents import (
    Document,
    RegisteredGateway,
    RegistryDocument,
    TrustDocument,
    TrustedAuthority,
    encode_payload,
)
from stationkeeper_operator.compiling.candidate import Candidate, R
from stationkeeper_operator.compiling.fitting.document_space import Amounts, Bound, UsedSpace
from stationkeeper_operator.resources.records import Key

MAX_OMISSION = 3

_PASSES = 12
_OVERHEAD = 32
_TOLERANCE = 256
_REGISTRY, _RESERVED = b'{"bucket":', b'],"reserved":['

Build = Callable[[Iterable[R], int], Document]
"""Makes the document from some records. The number says how many other parts to leave out, from 0 to `MAX_OMISSION`."""


@dataclass(frozen=True)
class Fitted(Generic[R]):
    """A document and its records.

    Attributes:
        document: the content.
        payload: its payload.
        records: the record in force of each resource; none for resources without one.
        fits_without_shares: whether all records fit without the shares; then the result does not depend on what is
            in force.
    """

    document: Document
    payload: bytes
    records: dict[Key, R]
    fits_without_shares: bool = False


@dataclass(frozen=True)
class Contents(Generic[R]):
    """The input for a document.

    Attributes:
        candidates: the candidates that belong to it.
        build: makes the document from some records.
        release_namespace: the namespace with a share of its own.
        bounds: the bounds of the document.
    """

    candidates: Sequence[Candidate[R]]
    build: Build[R]
    release_namespace: str
    bounds: tuple[Bound, ...]


def payload_without_shares(document: Document, release_namespace: str, bounds: tuple[Bound, ...]) -> bytes | None:
    """Return the payload of a registry document if everything fits without the shares, else None.

    Args:
        document: the document with the `desired` record of each candidate.
        release_namespace: the namespace with a share of its own.
        bounds: the bounds of the document.
    """
    payload = encode_payload(document)
    return (
        payload
        if _measured(payload, UsedSpace(bounds, release_namespace), is_exact=False).fits_without_shares
        else None
    )


def fit(contents: Contents[R], in_force: Document | None) -> Fitted[R]:
    """Return the document with as many of its candidates as fit.

    Args:
        contents: its input.
        in_force: the present document, which is known to fit.
    """
    filling = _Filling(contents)
    filling.put({each.key: record for each in contents.candidates if (record := each.desired or each.fallback)})
    if filling.space.fits_without_shares:
        return replace(filling.fitted, fits_without_shares=True)
    if filling.document == in_force:
        return filling.fitted
    oldest_first = sorted(contents.candidates, key=lambda each: each.seniority)
    _put_in_force(filling, oldest_first, in_force)
    _put_changes(filling, oldest_first)
    return filling.fitted


def _put_in_force(filling: "_Filling[R]", oldest_first: Sequence[Candidate[R]], in_force: Document | None) -> None:
    """Put in the records in force, without the parts that the specs take away."""
    records_before = {candidate.uid: candidate for candidate in _records(in_force)}
    base: dict[Key, R] = {}
    growing: list[tuple[Key, R]] = []
    for candidate in oldest_first:
        before = records_before.get(candidate.resource.metadata.uid)
        # The fallback may be older: a Gateway waits to be compiled again after its desired record is put in force.
        unchanged = candidate.desired if candidate.desired == before else None
        record = candidate.minimal or unchanged or candidate.fallback
        if record is None:
            continue
        if before is None or record == before or _compressed_bytes(record) <= _compressed_bytes(before):
            base[candidate.key] = record
        else:
            growing.append((candidate.key, record))
    filling.start(base, in_force, {key for key, record in base.items() if record != records_before.get(record.uid)})
    # If even the reserve is used up, such a record is removed: it must not stay as wide as it was.
    filling.add(growing, filling.may_reduce)


def _put_changes(filling: "_Filling[R]", oldest_first: Sequence[Candidate[R]]) -> None:
    """Put in the changes of the specs: first records that do not grow, then new revocations, then records that grow."""
    present = filling.records
    changes = [
        (each.key, each.desired) for each in oldest_first if each.desired and each.desired != present.get(each.key)
    ]
    smaller = [(key, record) for key, record in changes if key in present and filling.is_smaller(record, present[key])]
    filling.replace(smaller)
    settled = {key for key, record in smaller if filling.records.get(key) == record}
    revoking = [
        (each.key, each.fallback)
        for each in oldest_first
        if each.minimal and each.fallback and each.key not in settled and each.key in present
    ]
    filling.add(revoking, filling.may_reduce)
    for within_share in (True, False):
        left = [(key, record) for key, record in changes if filling.records.get(key) != record]
        filling.add(left, filling.may_grow_within_share if within_share else filling.may_grow)


class _Filling(Generic[R]):
    """A document that is being filled."""

    def __init__(self, contents: Contents[R]) -> None:
        self._contents: Contents[R] = contents
        self._is_exact: bool = False
        self._bounds: tuple[Bound, ...] = contents.bounds
        self._omission: int = 0
        self._underestimated: set[str] = set()
        self._payload: bytes = b""
        self._revoking: Counter[str] = Counter()
        self.records: dict[Key, R] = {}

    @property
    def fitted(self) -> Fitted[R]:
        """The present document."""
        return Fitted(self.document, self._payload, self.records)

    def put(self, records: dict[Key, R]) -> None:
        """Put exactly these records into the document, and measure it."""
        self.records = records
        self.document: Document = self._contents.build(records.values(), self._omission)
        self._payload = encode_payload(self.document)
        self.space: UsedSpace = self._measured(self._payload)
        self._revoking = Counter()
        for record in records.values():
            if not isinstance(record, TrustedAuthority):
                break  # What Gateways take is measured by namespace, and they revoke nothing.
            self.space.take(record.namespace, self._amounts(0, record))
            self._revoking[record.namespace] += _reduction_bytes(record)

    def start(self, records: dict[Key, R], in_force: Document | None, changed: set[Key]) -> None:
        """Start the document with these records, oldest first: as many as the contract allows, nearly always all.

        Args:
            records: the records in force, without what is taken away.
            in_force: the present document.
            changed: the keys of the records from which something is taken away.
        """
        self._is_exact = True
        space, allowed = UsedSpace(self._bounds, self._contents.release_namespace), dict[Key, R]()
        for key, record in records.items():
            amounts = self._amounts(0, record)
            if space.is_within(record.namespace, amounts):
                space.take(record.namespace, amounts)
                allowed[key] = record
        self.put(allowed)
        while self.space.total_bytes > self._bounds[0].most and self._omission < MAX_OMISSION:
            self._omission += 1
            self.put(allowed)
        if self.space.total_bytes > self._bounds[0].most and in_force is not None:
            before = self._measured(encode_payload(in_force))
            grown = {name for name, taken in self.space.bytes_of.items() if taken > before.bytes_of[name]}
            self.put(
                {key: record for key, record in allowed.items() if key not in changed or record.namespace not in grown}
            )
        while self.space.total_bytes > self._bounds[0].most:
            self._remove_newest()

    def is_smaller(self, record: R, before: R) -> bool:
        """Return whether a record needs at most as much of each amount as the earlier record."""
        pairs = zip(self._amounts(0, record), self._amounts(0, before), strict=True)
        return _compressed_bytes(record) <= _compressed_bytes(before) and all(new <= old for new, old in pairs)

    def replace(self, changes: Sequence[tuple[Key, R]]) -> None:
        """Replace larger records by these; undo the changes of a namespace that grows because of them."""
        before, space_before = self.records, self.space
        self.put({**before, **dict(changes)})
        self._underestimated |= {
            name for name, taken in self.space.bytes_of.items() if taken > space_before.bytes_of[name] + _TOLERANCE
        }
        if self._underestimated:
            self.put({**before, **{key: each for key, each in changes if each.namespace not in self._underestimated}})

    def add(self, changes: Sequence[tuple[Key, R]], may: Callable[[R, Amounts, int], bool]) -> None:
        """Add the changes that may be added, in their order, until no more fit.

        Args:
            changes: records that replace the present ones of their resources.
            may: decides whether a record may be added, from the additional space and from the bytes of all revocations
                that its namespace then has.
        """
        left, known = list(changes), dict[Key, Amounts]()
        for _ in range(_PASSES):
            before, space_before, added = self.records, self.space.copy(), dict[Key, R]()
            for key, record in left:
                present = before.get(key)
                amounts = known.get(key)
                if amounts is None:
                    amounts = known[key] = self._additional(record, present)
                revoking = _reduction_bytes(record) - (_reduction_bytes(present) if present is not None else 0)
                if may(record, amounts, self._revoking[record.namespace] + revoking):
                    self.space.take(record.namespace, amounts)
                    self._revoking[record.namespace] += revoking
                    added[key] = record
            if not added:
                return
            expected = self.space
            self.put({**before, **added})
            underestimated = {
                name
                for name, taken in self.space.bytes_of.items()
                if taken > expected.bytes_of[name] + _TOLERANCE and taken > space_before.bytes_of[name]
            }
            if underestimated - self._underestimated:
                self._underestimated |= underestimated
                known.clear()
                self.put(
                    {**before, **{key: each for key, each in added.items() if each.namespace not in underestimated}}
                )
            elif self.space.total_bytes > self._bounds[0].most:
                self.put(before)
                return
            left = [change for change in left if self.records.get(change[0]) != change[1]]

    def may_reduce(self, _record: R, amounts: Amounts, revoking: int) -> bool:
        """Return whether a record that reduces trust may be added."""
        return self.space.may_reduce(amounts[0], revoking)

    def may_grow_within_share(self, record: R, amounts: Amounts, _revoking: int) -> bool:
        """Return whether a record may be added within the share of its namespace."""
        return self.space.may_grow(record.namespace, amounts, within_share=True)

    def may_grow(self, record: R, amounts: Amounts, _revoking: int) -> bool:
        """Return whether a record may be added in the common space."""
        return self.space.may_grow(record.namespace, amounts, within_share=False)

    def _measured(self, payload: bytes) -> UsedSpace:
        return _measured(payload, UsedSpace(self._bounds, self._contents.release_namespace), is_exact=self._is_exact)

    def _additional(self, record: R, before: R | None) -> Amounts:
        is_known = before is not None and record.namespace not in self._underestimated
        size = _compressed_bytes(record) - (_compressed_bytes(before) if before is not None and is_known else 0)
        after, before_amounts = self._amounts(max(size, 0) + _OVERHEAD, record), self._amounts(0, before)
        return tuple(new - old for new, old in zip(after, before_amounts, strict=True))

    def _amounts(self, size: int, record: R | None) -> Amounts:
        plain = 0 if record is None else _plain_bytes(record)
        counts = (size, plain, 0, 0)
        if isinstance(record, TrustedAuthority):
            counts = (size, plain, 1, len(record.anchors) + len(record.intermediates))
        return counts[: len(self._bounds)]

    def _remove_newest(self) -> None:
        """Remove the newest records of the largest namespace; only needed if an older contract allowed more."""
        largest = max(self.records.values(), key=lambda each: (self.space.bytes_of[each.namespace], each.namespace))
        keys = [key for key, record in self.records.items() if record.namespace == largest.namespace]
        gone = set(keys[-(len(keys) // 20 + 1) :])
        self.put({key: record for key, record in self.records.items() if key not in gone})


def _measured(payload: bytes, space: UsedSpace, *, is_exact: bool) -> UsedSpace:
    """Fill `space` with the bytes of a payload and return it; TrustedCAs and certificates are not counted.

    Args:
        payload: of the document.
        space: empty.
        is_exact: whether sizes are measured after compression even if the payload fits without it.
    """
    is_small = not is_exact and len(payload) <= space.common_bytes
    counts_plain = payload.startswith(_REGISTRY)
    for namespace, segment in segments(payload):
        if not namespace and segment.startswith(_RESERVED):
            counts_plain = False
        # The records of a namespace, each with what separates it from the next one.
        plain = len(segment) + (not segment.endswith(b",")) if counts_plain and namespace else 0
        amounts = (len(segment) if is_small else segment_bytes(segment), plain, 0, 0)
        space.take(namespace, amounts[: space.kinds])
    return space


@lru_cache(maxsize=16_384)
def _compressed_bytes(record: TrustedAuthority | RegisteredGateway) -> int:
    """Return the bytes of a record that is compressed alone."""
    return len(zlib.compress(msgspec.json.encode(record), 6))


@lru_cache(maxsize=16_384)
def _plain_bytes(record: TrustedAuthority | RegisteredGateway) -> int:
    """Return the bytes of a record before compression."""
    return len(msgspec.json.encode(record)) + 1


@lru_cache(maxsize=4096)
def _reduction_bytes(record: TrustedAuthority | RegisteredGateway) -> int:
    """Return the bytes of a record's revocations and limits."""
    if not isinstance(record, TrustedAuthority):
        return 0
    parts = (record.revoked_serials, record.revoked_sha256, record.revocation_lists, record.eui_ranges, record.serves)
    return len(zlib.compress(msgspec.json.encode(parts), 6)) if any(parts) else 0


def _records(document: Document | None) -> Sequence[TrustedAuthority | RegisteredGateway]:
    if isinstance(document, TrustDocument):
        return document.authorities
    return document.gateways if isinstance(document, RegistryDocument) else ()
