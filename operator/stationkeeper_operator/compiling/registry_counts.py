"""The counts of registry documents that are published, and the change from one count to another.

The documents of one count lead: they define what is in force. Every other count that pods read has the same records, as
far as they fit. A reduction applies to all counts in the same turn. A new count gets its first documents only when it
can hold everything in force, since its pods serve from then on.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from msgspec.structs import replace as with_fields

from stationkeeper_core.errors import Reason
from stationkeeper_core.eui64 import parse_hex
from stationkeeper_core.published.documents import (
    Document,
    RegisteredGateway,
    RegistryDocument,
    ReservedEUI,
    encode_payload,
)
from stationkeeper_core.published.registry_layout import BUCKET_COUNTS, BUCKETS, bucket_of, layout_of, place_of
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.compiling.compile import PublishPlan
from stationkeeper_operator.compiling.fitting.capacity import Contents, fit
from stationkeeper_operator.compiling.fitting.document_space import REGISTRY_BOUNDS
from stationkeeper_operator.compiling.gateways.registry_compiler import Bucket
from stationkeeper_operator.compiling.verdict import MAX_MESSAGE, Verdict
from stationkeeper_operator.resources.records import GATEWAY, Gateway, Key, Metadata


@dataclass(frozen=True)
class RegistryCounts:
    """The counts that are needed.

    Attributes:
        configured: the count of the release.
        read: the counts that CUPS pods read; None if not known.
    """

    configured: int = BUCKETS
    read: frozenset[int] | None = frozenset()

    @property
    def needed(self) -> frozenset[int]:
        """The counts that must be published."""
        return frozenset({self.configured}) | (self.read or frozenset())


@dataclass(frozen=True)
class RegistryPlan:
    """A plan with the documents of all counts.

    Attributes:
        plan: the plan with the documents of all counts.
        leading: the count with the documents that define what is in force.
        before: the content in force of each document, or of the one that a new document replaces.
        last: the documents that complete a count; write them after all others of it.
        retired: the counts with documents to empty.
    """

    plan: PublishPlan
    leading: int
    before: Mapping[str, Document]
    last: frozenset[str] = frozenset()
    retired: frozenset[int] = frozenset()

    def leads(self, document: str) -> bool:
        """Return whether a document is the trust document or belongs to the leading count."""
        place = place_of(document)
        return place is None or place[0] == self.leading


@dataclass
class _BucketRecords:
    """The records of one bucket."""

    gateways: list[RegisteredGateway] = field(default_factory=list)
    reserved: list[ReservedEUI] = field(default_factory=list)


def leading_count(counts: RegistryCounts, in_force: Mapping[str, Document]) -> int:
    """Return the leading count: that of the release, or another one until that is complete.

    Args:
        counts: the configured and the read counts.
        in_force: the documents that can be read, of all counts.
    """
    complete = [each for each in BUCKET_COUNTS if all(name in in_force for name in layout_of(each).registry)]
    if counts.configured in complete or not complete:
        return counts.configured
    # A count that pods read is up to date; of these, the largest holds most.
    return max(complete, key=lambda each: (each in (counts.read or ()), each))


def in_force_of(buckets: int, in_force: Mapping[str, Document]) -> dict[str, Document]:
    """Return the trust and registry documents of one count; missing ones are made from the other counts.

    Args:
        buckets: the count.
        in_force: the documents that can be read, of all counts.
    """
    layout = layout_of(buckets)
    found = {name: in_force[name] for name in layout.documents if name in in_force}
    others = _registries(each for name, each in in_force.items() if name not in found)
    if others and len(found) < len(layout.documents):
        documents = redistributed(others, buckets)
        found |= {name: documents[name] for name in layout.registry if name not in found and name in documents}
    return found


def redistributed(documents: Iterable[RegistryDocument], buckets: int) -> dict[str, RegistryDocument]:
    """Return the non-empty documents of another count with the same records.

    Args:
        documents: of any counts; the first record for each EUI and namespace counts.
        buckets: the count.
    """
    records: dict[int, _BucketRecords] = {}
    seen: set[tuple[str, str]] = set()
    listed = list(documents)
    for gateway in (each for document in listed for each in document.gateways):
        if (owner := (gateway.eui, gateway.namespace)) not in seen:
            seen.add(owner)
            records.setdefault(_bucket(gateway.eui, buckets), _BucketRecords()).gateways.append(gateway)
    for reserved in (each for document in listed for each in document.reserved):
        if (owner := (reserved.eui, reserved.namespace)) not in seen:
            seen.add(owner)
            records.setdefault(_bucket(reserved.eui, buckets), _BucketRecords()).reserved.append(reserved)
    names = layout_of(buckets).registry
    return {
        names[number]: RegistryDocument(
            bucket=number,
            gateways=tuple(sorted(records_of_bucket.gateways, key=_order)),
            reserved=tuple(sorted(records_of_bucket.reserved, key=_order)),
        )
        for number, records_of_bucket in records.items()
    }


def for_all_counts(
    plan: PublishPlan, counts: RegistryCounts, leading: int, in_force: Mapping[str, Document], release_namespace: str
) -> RegistryPlan:
    """Return a plan for every needed count.

    Args:
        plan: for the leading count.
        counts: the configured and the read counts.
        leading: from `leading_count`.
        in_force: the readable documents, of all counts.
        release_namespace: the namespace with a share of its own.
    """
    present = {place[0] for name in in_force if (place := place_of(name)) is not None}
    retired = present - counts.needed - {leading} if counts.read is not None else frozenset[int]()
    others = (counts.needed | present) - retired - {leading}
    found = RegistryPlan(plan, leading, {**in_force, **in_force_of(leading, in_force)}, retired=frozenset(retired))
    for buckets in sorted(others):
        found = _with_count(found, buckets, in_force, release_namespace)
    return found


def _with_count(
    registry_plan: RegistryPlan, buckets: int, in_force: Mapping[str, Document], release_namespace: str
) -> RegistryPlan:
    """Return `registry_plan` with the documents of one more count."""
    layout = layout_of(buckets)
    desired = redistributed(
        _registries(registry_plan.plan.documents[name] for name in layout_of(registry_plan.leading).registry), buckets
    )
    before = in_force_of(buckets, in_force)
    documents: dict[str, Document] = {}
    payloads: dict[str, bytes] = {}
    lacking: set[Key] = set()
    for number, name in enumerate(layout.registry):
        # The records that take over were never in force in this document, and may be too large for it.
        document_in_force = in_force.get(name)
        document, payload = _copied_document(
            desired.get(name, RegistryDocument(bucket=number)),
            document_in_force if isinstance(document_in_force, RegistryDocument) else None,
            release_namespace,
        )
        documents[name], payloads[name] = document, payload
        lacking |= _missing_records(desired.get(name), document)
    missing = frozenset(name for name in layout.registry if name not in in_force)
    if lacking and missing:
        for name in missing:
            del documents[name], payloads[name]
    plan = replace(
        registry_plan.plan,
        payloads={**registry_plan.plan.payloads, **payloads},
        documents={**registry_plan.plan.documents, **documents},
        verdicts=_with_copies(registry_plan.plan.verdicts, desired, lacking, buckets, is_new=bool(missing)),
    )
    return replace(
        registry_plan, plan=plan, before={**before, **registry_plan.before}, last=registry_plan.last | missing
    )


def _copied_document(
    desired: RegistryDocument, present: RegistryDocument | None, release_namespace: str
) -> tuple[Document, bytes]:
    """Return as much of `desired` as fits if `present` is in force."""
    if desired == present:
        return desired, encode_payload(desired)
    before = {each.uid: each for each in present.gateways} if present is not None else {}
    contested = _contested(desired)
    kept = {(each.eui, each.namespace): each for each in desired.reserved}
    # A record that does not fit still blocks its EUI for other namespaces.
    for each in desired.gateways:
        if each.eui in contested:
            reserved = ReservedEUI(eui=each.eui, namespace=each.namespace, uid=each.uid, rank=each.rank)
            kept[each.eui, each.namespace] = reserved
    bucket = Bucket(kept_reservations=kept, contested=contested)
    contents = Contents(
        [_candidate(each, before.get(each.uid)) for each in desired.gateways],
        lambda records, omission: bucket.document(desired.bucket, records, omission),
        release_namespace,
        REGISTRY_BOUNDS,
    )
    fitted = fit(contents, present)
    return fitted.document, fitted.payload


def _candidate(record: RegisteredGateway, present: RegisteredGateway | None) -> Candidate[RegisteredGateway]:
    """Return the record to copy, with the part of the copy in force that stays if it does not fit."""
    resource = Gateway(metadata=Metadata(name=record.name, namespace=record.namespace, uid=record.uid), spec=None)
    if present is None or (present.eui, present.namespace, present.name) != (record.eui, record.namespace, record.name):
        return Candidate(resource, record, None, None)
    tokens = [
        pair
        for pair in zip(present.token_sha256s, present.token_sources, strict=False)
        if pair[0] in record.token_sha256s
    ]
    fallback = with_fields(
        present,
        suspended=present.suspended or record.suspended,
        trusted_cas=_common(present.trusted_cas, record.trusted_cas),
        sha256_fingerprints=_common(present.sha256_fingerprints, record.sha256_fingerprints),
        token_sha256s=tuple(digest for digest, _ in tokens),
        token_sources=tuple(source for _, source in tokens),
        rank=record.rank,
    )
    if not fallback.suspended:
        return Candidate(resource, record, fallback, None)
    bare = with_fields(fallback, lns_uri="", lns_credentials=b"", cups_uri="", cups_credentials=b"")
    return Candidate(resource, record, fallback, None, minimal=bare)


def _common(present: tuple[str, ...] | None, desired: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the entries that both lists allow; None allows all."""
    if present is None or desired is None:
        return present if desired is None else desired
    return tuple(each for each in present if each in desired)


def _contested(document: RegistryDocument) -> set[str]:
    holders = Counter(each.eui for each in document.gateways)
    holders.update(each.eui for each in document.reserved)
    return {eui for eui, count in holders.items() if count > 1}


def _missing_records(desired: RegistryDocument | None, document: Document) -> set[Key]:
    if desired is None or not isinstance(document, RegistryDocument):
        return set()
    by_uid = {each.uid: each for each in document.gateways}
    return {Key(GATEWAY, each.namespace, each.name) for each in desired.gateways if by_uid.get(each.uid) != each}


def _with_copies(
    verdicts: Mapping[Key, Verdict],
    desired: Mapping[str, RegistryDocument],
    lacking: set[Key],
    buckets: int,
    *,
    is_new: bool,
) -> dict[Key, Verdict]:
    """Return the verdicts with the document of each Gateway in another count, or why it is in none."""
    with_copies = dict(verdicts)
    for name, document in desired.items():
        for each in document.gateways:
            key = Key(GATEWAY, each.namespace, each.name)
            verdict = with_copies.get(key)
            if verdict is None:
                continue
            if key not in lacking:
                with_copies[key] = replace(verdict, copies=(*verdict.copies, name))
            elif is_new:
                what = f"; it does not fit into the {buckets} registry Secrets of registry.buckets: choose more"
                with_copies[key] = replace(verdict, message=verdict.message[: MAX_MESSAGE - len(what)] + what)
            elif verdict.accepted:
                detail = (
                    f"the {buckets} registry Secrets that some CUPS pods still read have no space for it; it acts "
                    f"when these pods are replaced"
                )
                with_copies[key] = replace(
                    verdict, accepted=False, reason=Reason.CAPACITY_EXCEEDED.value, message=detail
                )
    return with_copies


def _registries(documents: Iterable[Document]) -> list[RegistryDocument]:
    return [each for each in documents if isinstance(each, RegistryDocument)]


def _bucket(eui: str, buckets: int) -> int:
    found = parse_hex(eui)
    assert found is not None, eui  # noqa: S101 - a document with another one is not decoded
    return bucket_of(found, buckets)


def _order(each: RegisteredGateway | ReservedEUI) -> tuple[str, int, str]:
    return (each.eui, each.rank, each.namespace)
