"""Tells what became of trust that was taken away: who used it, who still gives it, and when the last pod forgot it.

A deleted resource has no status any more, so its events are all there is to see; Kubernetes takes events about objects
that are gone.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

from stationkeeper_core.eui64 import parse_hex
from stationkeeper_core.published.documents import RegisteredGateway, TrustDocument, TrustedAuthority
from stationkeeper_operator.compiling.retention.document_changes import DocumentChanges, Record, has_left, record_key
from stationkeeper_operator.compiling.retention.still_trusted import still_trusted_by
from stationkeeper_operator.compiling.retention.taken_away import (
    certificates_gone,
    is_narrower,
    revoked_no_more,
    speaks_for,
)
from stationkeeper_operator.observing.enforcement import ResourceRef
from stationkeeper_operator.publishing.removed import Removed
from stationkeeper_operator.reporting.conditions import ENFORCED, STILL_TRUSTED_BY, Fact
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.resources.records import TAKES_OVER, Gateway, Key, Resource, decode_resource

IN_USE = "InUse"
EUI_RESERVED = "EUIReserved"
REVOKED_NO_MORE = "RevokedNoMore"

_MAX_AWAITED = 5_000
"""Of one namespace."""
_MAX_TOLD = 20
"""Gateways that are told of one change, each by an event of its own; their number is told on the TrustedCA."""


class RemovalEvents:
    """Of one release.

    Args:
        events: where it is told.
        users: the uids of the Gateways that came in lately by a TrustedCA.
        awaits_proof: whether it will be told what the pods have loaded.
        told: called with the uid of each resource of which it was told that its removal is enforced.
    """

    def __init__(
        self,
        events: EventRecorder,
        users: Callable[[Key], Collection[str]],
        *,
        awaits_proof: bool,
        told: Callable[[str], None] = lambda _uid: None,
    ) -> None:
        self._events = events
        self._users = users
        self._awaits_proof = awaits_proof
        self._told = told
        self._deleted: dict[ResourceRef, Resource] = {}
        self._awaited: Counter[str] = Counter()

    def announce(self, changes: DocumentChanges, trust: TrustDocument, present: Mapping[Key, Resource]) -> None:
        """Tells of what a publish took away.

        Args:
            changes: of one document.
            trust: what is trusted now.
            present: all resources.
        """
        for record in changes.removed:
            key = record_key(record)
            if has_left(record, present):
                self._left(record, key, trust, is_reserved=record.uid in changes.reserved)
            elif isinstance(record, TrustedAuthority):
                self._out_of_force(present[key], record, trust, present)
        for record in changes.changed:
            before, resource = changes.before.get(record.uid), present.get(record_key(record))
            if isinstance(before, TrustedAuthority) and isinstance(record, TrustedAuthority) and resource is not None:
                self._narrowed(resource, before, record, present)
                self._unrevoked(resource, revoked_no_more(before, record))
                self._still_trusted(resource, set(before.anchors) - set(record.anchors), trust)

    def enforced(self, proven: Iterable[tuple[ResourceRef, Fact]]) -> None:
        """Tells of those deleted resources among `proven` that no pod holds any more."""
        for ref, fact in proven:
            resource = self._deleted.pop(ref, None)
            if resource is not None:
                self._awaited[ref.key.namespace] -= 1
                self._events.assure(
                    resource,
                    "Normal",
                    ENFORCED,
                    f"its removal was {fact.message}",
                    once=partial(self._told, ref.uid),
                )

    def expect(self, removed: Removed) -> ResourceRef:
        """Tell of a removal once it is proven: an operator before, or a write without an answer, did it."""
        ref = ResourceRef(Key(removed.kind, removed.namespace, removed.name), removed.uid)
        self._expect(ref)
        return ref

    def _expect(self, ref: ResourceRef) -> Resource:
        key = ref.key
        metadata = {"namespace": key.namespace, "name": key.name, "uid": ref.uid}
        resource = decode_resource(key.kind, {"metadata": metadata})
        if self._awaits_proof and self._awaited[key.namespace] < _MAX_AWAITED:
            self._awaited[key.namespace] += ref not in self._deleted
            self._deleted[ref] = resource
        return resource

    def _left(self, record: Record, key: Key, trust: TrustDocument, *, is_reserved: bool) -> None:
        resource = self._expect(ResourceRef(key, record.uid))
        if not isinstance(record, TrustedAuthority):
            if is_reserved:
                self._events.assure(resource, "Normal", EUI_RESERVED, _reserved(record))
            return
        count = len(self._users(key))
        if count:
            message = f"deleted while in use; gateways that came in by it in the last 25 h: {count}"
            self._events.assure(resource, "Warning", IN_USE, message)
        self._let_go(resource, record, trust)

    def _out_of_force(
        self, resource: Resource, record: TrustedAuthority, trust: TrustDocument, present: Mapping[Key, Resource]
    ) -> None:
        """Tells of a TrustedCA that is still there, and of which nothing is in force any more."""
        what = "it was suspended" if resource.suspended else "nothing of it is in force any more"
        users = self._gateways(resource.key, present)
        if users:
            message = f"{what} while in use; gateways that came in by it in the last 25 h: {len(users)}"
            self._events.assure(resource, "Warning", IN_USE, message)
            self._tell(users, resource, what)
        self._let_go(resource, record, trust)

    def _narrowed(
        self,
        resource: Resource,
        before: TrustedAuthority,
        record: TrustedAuthority,
        present: Mapping[Key, Resource],
    ) -> None:
        """Tells of certificates, ranges or served namespaces that a TrustedCA has no more."""
        gone, narrower = certificates_gone(before, record), is_narrower(before, record)
        users = self._gateways(resource.key, present) if gone or narrower else []
        outside = [each for each in users if _speaks_for(before, each) and not _speaks_for(record, each)]
        if gone and users:
            what = f"it no longer has the {gone}"
            hint = (
                "those whose certificates chain up to that are refused from now on: give the old certificate again,"
                " beside the new one, until all have new certificates"
            )
            message = f"{what}; gateways that came in by this TrustedCA in the last 25 h: {len(users)}; {hint}"
            self._events.assure(resource, "Warning", IN_USE, message)
            self._tell(users, resource, what)
        if outside:
            what = "its euiRanges or serves hold less"
            message = f"{what}; gateways that came in by it in the last 25 h and no longer can: {len(outside)}"
            self._events.assure(resource, "Warning", IN_USE, message)
            self._tell(outside, resource, what)

    def _gateways(self, authority: Key, present: Mapping[Key, Resource]) -> list[Gateway]:
        """The Gateways that came in lately by a TrustedCA, by name."""
        users = frozenset(self._users(authority))
        if not users:
            return []
        found = (each for each in present.values() if isinstance(each, Gateway) and each.metadata.uid in users)
        return sorted(found, key=lambda each: each.key)

    def _tell(self, gateways: Iterable[Gateway], authority: Resource, what: str) -> None:
        for each in list(gateways)[:_MAX_TOLD]:
            message = f"TrustedCA {authority.key.namespace}/{authority.key.name}, by which it came in last: {what}"
            self._events.assure(each, "Warning", IN_USE, message)

    def _unrevoked(self, resource: Resource, what: str) -> None:
        if what:
            message = (
                f"revoked no more, and let in again while valid: {what}. If that is a mistake, add them again; entries"
                " leave a CRL too once their certificates have expired"
            )
            self._events.assure(resource, "Warning", REVOKED_NO_MORE, message)

    def _let_go(self, resource: Resource, record: TrustedAuthority, trust: TrustDocument) -> None:
        """Tells who still trusts all that a TrustedCA did; what it revoked matters only where somebody does."""
        if self._still_trusted(resource, record.anchors, trust):
            self._unrevoked(resource, revoked_no_more(record, None))

    def _still_trusted(self, resource: Resource, anchors: Iterable[bytes], trust: TrustDocument) -> bool:
        names = still_trusted_by(anchors, resource.metadata.uid, trust, resource.metadata.namespace)
        if names:
            message = f"what it no longer trusts, or the same key, is still trusted by: {', '.join(names)}"
            self._events.assure(resource, "Warning", STILL_TRUSTED_BY, message)
        return bool(names)


def _speaks_for(record: TrustedAuthority, gateway: Gateway) -> bool:
    eui = parse_hex(gateway.spec.eui) if gateway.spec is not None else None
    return eui is not None and speaks_for(record, gateway.metadata.namespace, eui)


def _reserved(record: RegisteredGateway) -> str:
    return (
        f"EUI {record.eui} stays reserved for this namespace; to hand it over to a Gateway of another one that waits"
        f" for it, give that the annotation {TAKES_OVER}: {record.uid}"
    )
