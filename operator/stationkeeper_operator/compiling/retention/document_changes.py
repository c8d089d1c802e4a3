"""The records that differ between the document in force and the one that replaces it."""

from collections.abc import Mapping
from dataclasses import dataclass

from stationkeeper_core.published.documents import (
    Document,
    RegisteredGateway,
    RegistryDocument,
    TrustDocument,
    TrustedAuthority,
)
from stationkeeper_operator.compiling.retention.object_differences import differing
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA, Key, Resource

Record = TrustedAuthority | RegisteredGateway


@dataclass(frozen=True)
class DocumentChanges:
    """The difference between two documents.

    Attributes:
        changed: the new or changed records, as they are now.
        removed: the removed records, as they were.
        before: the earlier records of `changed`, by uid; without new ones.
        reserved: the uids of removed Gateways with an EUI that is now reserved for their namespace.
        replaces_known: whether the document in force is known; if not, all records count as new.
    """

    changed: tuple[Record, ...]
    removed: tuple[Record, ...]
    before: dict[str, Record]
    reserved: frozenset[str] = frozenset()
    replaces_known: bool = True


def document_changes(old: Document | None, new: Document) -> DocumentChanges:
    """Return the changes from `old` to `new`; `old` is None if no readable document was in force."""
    listed, other = differing(_records(old), _records(new))
    by_uid = {each.uid: each for each in listed}
    changed = tuple(each for each in other if by_uid.get(each.uid) != each)
    return DocumentChanges(
        changed=changed,
        removed=removed_records(old, new),
        before={each.uid: by_uid[each.uid] for each in changed if each.uid in by_uid},
        reserved=_reserved(new) - _reserved(old),
        replaces_known=old is not None,
    )


def removed_records(old: Document | None, new: Document) -> tuple[Record, ...]:
    """Return the records of `old` that `new` has no more, as they were."""
    listed, other = differing(_records(old), _records(new))
    changed = {each.uid for each in other}
    removed = [each for each in listed if each.uid not in changed]
    present = {each.uid for each in _records(new)} if removed else set()
    return tuple(each for each in removed if each.uid not in present)


def is_deleted(record: Record, present: Mapping[Key, Resource]) -> bool:
    """Return whether the resource of a record no longer exists.

    Args:
        record: as it was in force.
        present: all resources that there are.
    """
    resource = present.get(record_key(record))
    return resource is None or resource.metadata.being_deleted or resource.metadata.uid != record.uid


def record_key(record: Record) -> Key:
    """Return the key of the record's resource."""
    kind = TRUSTED_CA if isinstance(record, TrustedAuthority) else GATEWAY
    return Key(kind, record.namespace, record.name)


def _reserved(document: Document | None) -> frozenset[str]:
    listed = document.reserved if isinstance(document, RegistryDocument) else ()
    return frozenset(each.uid for each in listed if not each.waits)


def _records(document: Document | None) -> tuple[Record, ...]:
    if document is None:
        return ()
    return document.authorities if isinstance(document, TrustDocument) else document.gateways
