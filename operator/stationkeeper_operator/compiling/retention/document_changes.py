"""Which records differ between the document in force and the one that takes its place."""

from dataclasses import dataclass

from stationkeeper_core.published.documents import (
    Document,
    RegisteredGateway,
    RegistryDocument,
    TrustDocument,
    TrustedAuthority,
)
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA, Key

Record = TrustedAuthority | RegisteredGateway


@dataclass(frozen=True)
class DocumentChanges:
    """The difference.

    Attributes:
        changed: records that are new, or other than before, as they are now.
        removed: records that are no more, as they were.
        before: what the records were that `changed` holds, by uid; without those that are new.
        reserved: the uids of those Gateways whose EUI is kept for their namespace from now on, as they are gone.
    """

    changed: tuple[Record, ...]
    removed: tuple[Record, ...]
    before: dict[str, Record]
    reserved: frozenset[str] = frozenset()

    @property
    def records(self) -> tuple[Record, ...]:
        """The records that are other than before, or no more."""
        return (*self.changed, *self.removed)


def document_changes(old: Document | None, new: Document) -> DocumentChanges:
    """What `new` changes; `old` is None where nothing that can be read was in force."""
    held = {each.uid: each for each in _records(old)} if old is not None else {}
    present = {each.uid for each in _records(new)}
    changed = tuple(each for each in _records(new) if held.get(each.uid) != each)
    return DocumentChanges(
        changed=changed,
        removed=tuple(each for uid, each in held.items() if uid not in present),
        before={each.uid: held[each.uid] for each in changed if each.uid in held},
        reserved=_reserved(new) - _reserved(old),
    )


def record_key(record: Record) -> Key:
    """Which resource the record is of."""
    kind = TRUSTED_CA if isinstance(record, TrustedAuthority) else GATEWAY
    return Key(kind, record.namespace, record.name)


def _reserved(document: Document | None) -> frozenset[str]:
    listed = document.reserved if isinstance(document, RegistryDocument) else ()
    return frozenset(each.uid for each in listed if not each.waits)


def _records(document: Document) -> tuple[Record, ...]:
    return document.authorities if isinstance(document, TrustDocument) else document.gateways
