"""Tells what became of trust that was taken away: who used it, who still gives it, and when the last pod forgot it.

A deleted resource has no status any more, so its events are all there is to see; Kubernetes takes events about objects
that are gone.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from stationkeeper_core.published import RegisteredGateway, TrustDocument, TrustedAuthority
from stationkeeper_operator.compiling.document_changes import DocumentChanges, Record, record_key
from stationkeeper_operator.compiling.still_trusted import still_trusted_by
from stationkeeper_operator.observing.enforcement import Subject
from stationkeeper_operator.reporting.conditions import ENFORCED, STILL_TRUSTED_BY, Fact
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.resources import TAKES_OVER, Key, Resource, decode_resource

IN_USE = "InUse"
EUI_RESERVED = "EUIReserved"

_MAX_AWAITED = 5_000
"""Of one namespace."""


class Departures:
    """Of one release.

    Args:
        events: where it is told.
        gateways: how many gateways came in lately by a TrustedCA.
        awaits_proof: whether it will be told what the pods have loaded.
    """

    def __init__(self, events: EventRecorder, gateways: Callable[[Key], int], *, awaits_proof: bool) -> None:
        self._events = events
        self._gateways = gateways
        self._awaits_proof = awaits_proof
        self._deleted: dict[Subject, Resource] = {}
        self._awaited: Counter[str] = Counter()

    def forget(self) -> None:
        """Another operator leads."""
        self._deleted.clear()
        self._awaited.clear()

    def announce(self, changes: DocumentChanges, trust: TrustDocument, present: Mapping[Key, Resource]) -> None:
        """Tells of what a publish took away.

        Args:
            changes: of one document.
            trust: what is trusted now.
            present: all resources.
        """
        for record in changes.removed:
            key = record_key(record)
            resource = present.get(key)
            if resource is None or resource.metadata.being_deleted or resource.metadata.uid != record.uid:
                self._left(record, key, trust, is_reserved=record.uid in changes.reserved)
        for record in changes.changed:
            before, resource = changes.before.get(record.uid), present.get(record_key(record))
            if isinstance(before, TrustedAuthority) and isinstance(record, TrustedAuthority) and resource is not None:
                self._still_trusted(resource, set(before.anchors) - set(record.anchors), trust)

    def enforced(self, proven: Iterable[tuple[Subject, Fact]]) -> None:
        """Tells of those deleted resources among `proven` that no pod holds any more."""
        for subject, fact in proven:
            resource = self._deleted.pop(subject, None)
            if resource is not None:
                self._awaited[subject.key.namespace] -= 1
                self._events.assure(resource, "Normal", ENFORCED, f"its removal was {fact.message}")

    def _left(self, record: Record, key: Key, trust: TrustDocument, *, is_reserved: bool) -> None:
        metadata = {"namespace": key.namespace, "name": key.name, "uid": record.uid}
        resource = decode_resource(key.kind, {"metadata": metadata})
        if self._awaits_proof and self._awaited[key.namespace] < _MAX_AWAITED:
            self._awaited[key.namespace] += Subject(key, record.uid) not in self._deleted
            self._deleted[Subject(key, record.uid)] = resource
        if not isinstance(record, TrustedAuthority):
            if is_reserved:
                self._events.assure(resource, "Normal", EUI_RESERVED, _reserved(record))
            return
        count = self._gateways(key)
        if count:
            message = f"deleted while in use; gateways that came in by it in the last 25 h: {count}"
            self._events.assure(resource, "Warning", IN_USE, message)
        self._still_trusted(resource, record.anchors, trust)

    def _still_trusted(self, resource: Resource, anchors: Iterable[bytes], trust: TrustDocument) -> None:
        names = still_trusted_by(anchors, resource.metadata.uid, trust, resource.metadata.namespace)
        if names:
            message = f"what it no longer trusts, or the same key, is still trusted by: {', '.join(names)}"
            self._events.assure(resource, "Warning", STILL_TRUSTED_BY, message)


def _reserved(record: RegisteredGateway) -> str:
    return (
        f"EUI {record.eui} stays reserved for this namespace; to hand it over to a Gateway of another one that waits"
        f" for it, give that the annotation {TAKES_OVER}: {record.uid}"
    )
