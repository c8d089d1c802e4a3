"""Make the events on removed trust: its last users, the TrustedCAs that still have it, and its end in all pods.

A deleted resource has no status, so only its events remain visible; Kubernetes accepts events about deleted objects.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass

from stationkeeper_core.eui64 import parse_hex
from stationkeeper_core.published.documents import RegisteredGateway, TrustDocument, TrustedAuthority
from stationkeeper_operator.compiling.retention.document_changes import DocumentChanges, Record, is_deleted, record_key
from stationkeeper_operator.compiling.retention.removed_trust import (
    certificates_removed,
    is_narrower,
    may_vouch_for,
    revocations_removed,
)
from stationkeeper_operator.compiling.retention.still_trusted import still_trusted_by
from stationkeeper_operator.resources.fact import ENFORCED, STILL_TRUSTED_BY, Fact
from stationkeeper_operator.resources.records import TAKES_OVER, Gateway, Key, Resource, decode_resource
from stationkeeper_operator.rollout.resource_steps import ResourceRef

IN_USE = "InUse"
EUI_RESERVED = "EUIReserved"
REVOKED_NO_MORE = "RevokedNoMore"

_MAX_GATEWAY_EVENTS = 20
"""The maximum number of Gateways with their own event for one change; the event of the TrustedCA has their number."""
_IN_ONE_STEP = 500


@dataclass(frozen=True)
class RemovalEvent:
    """An event to record.

    Attributes:
        resource: the resource of the event; it may be deleted.
        kind: `Normal` or `Warning`.
        reason: a CamelCase word.
        message: the text of the event.
        is_last: whether it is the last event on a removal, so that the note in the Secret can be deleted.
    """

    resource: Resource
    kind: str
    reason: str
    message: str
    is_last: bool = False


@dataclass(frozen=True)
class _Users:
    """Gateways that a TrustedCA vouched for: their number, and the first of them by name."""

    count: int
    first: tuple[Gateway, ...]


_NO_USERS = _Users(0, ())


class RemovalEvents:
    """The events of one release.

    Args:
        users: returns the uids of the Gateways that a TrustedCA vouched for lately.
        key_of: returns the key of the Gateway with a uid; None if it does not exist.
        awaits_proof: returns whether `enforced` will be called for a removed resource.
    """

    def __init__(
        self,
        users: Callable[[Key], Collection[str]],
        key_of: Callable[[str], Key | None],
        awaits_proof: Callable[[ResourceRef], bool],
    ) -> None:
        self._users = users
        self._key_of = key_of
        self._awaits_proof = awaits_proof
        self._deleted: dict[ResourceRef, Resource] = {}

    def announce(
        self, changes: DocumentChanges, trust: TrustDocument, present: Mapping[Key, Resource]
    ) -> Iterator[RemovalEvent | None]:
        """Yield the events on the trust that a publish removed; None between the steps.

        Args:
            changes: the changes of one document.
            trust: the new trust document.
            present: all resources.
        """
        for number, record in enumerate(changes.removed):
            if number % _IN_ONE_STEP == _IN_ONE_STEP - 1:
                yield None
            key = record_key(record)
            if is_deleted(record, present):
                yield from self._deleted_resource(record, key, trust, is_reserved=record.uid in changes.reserved)
            elif isinstance(record, TrustedAuthority):
                yield from self._out_of_force(present[key], record, trust, present)
        for record in changes.changed:
            if not isinstance(record, TrustedAuthority):
                # This is a registry document: none of its records is a TrustedCA.
                break
            before, resource = changes.before.get(record.uid), present.get(record_key(record))
            if isinstance(before, TrustedAuthority) and resource is not None:
                yield from self._narrowed(resource, before, record, present)
                yield from _unrevoked(resource, revocations_removed(before, record))
                yield from _still_trusted(resource, set(before.anchors) - set(record.anchors), trust)

    def enforced(self, proven: Iterable[tuple[ResourceRef, Fact]]) -> Iterator[RemovalEvent]:
        """Yield the events on the deleted resources in `proven`: no pod has them any more."""
        for ref, fact in proven:
            resource = self._deleted.pop(ref, None)
            if resource is not None:
                message = f"its removal was {fact.message}"
                yield RemovalEvent(resource, "Normal", ENFORCED, message, is_last=True)

    def await_proof(self, ref: ResourceRef) -> Resource:
        """Wait for the proof of a removal; return the resource without a spec."""
        key = ref.key
        metadata = {"namespace": key.namespace, "name": key.name, "uid": ref.uid}
        resource = decode_resource(key.kind, {"metadata": metadata})
        if self._awaits_proof(ref):
            self._deleted[ref] = resource
        return resource

    def _deleted_resource(
        self, record: Record, key: Key, trust: TrustDocument, *, is_reserved: bool
    ) -> Iterator[RemovalEvent]:
        resource = self.await_proof(ResourceRef(key, record.uid))
        if not isinstance(record, TrustedAuthority):
            if is_reserved:
                yield RemovalEvent(resource, "Normal", EUI_RESERVED, _reserved(record))
            return
        count = len(self._users(key))
        if count:
            message = f"deleted while in use; gateways that it vouched for in the last 25 h: {count}"
            yield RemovalEvent(resource, "Warning", IN_USE, message)
        yield from _trust_left_elsewhere(resource, record, trust)

    def _out_of_force(
        self, resource: Resource, record: TrustedAuthority, trust: TrustDocument, present: Mapping[Key, Resource]
    ) -> Iterator[RemovalEvent | None]:
        """Yield the events on an existing TrustedCA that has nothing in force any more."""
        what = "it was suspended" if resource.suspended else "nothing of it is in force any more"
        users = yield from self._gateways(resource.key, present)
        if users.count:
            message = f"{what} while in use; gateways that it vouched for in the last 25 h: {users.count}"
            yield RemovalEvent(resource, "Warning", IN_USE, message)
            yield from _gateway_events(users, resource, what)
        yield from _trust_left_elsewhere(resource, record, trust)

    def _narrowed(
        self,
        resource: Resource,
        before: TrustedAuthority,
        record: TrustedAuthority,
        present: Mapping[Key, Resource],
    ) -> Iterator[RemovalEvent | None]:
        """Yield the events on certificates, ranges or served namespaces that a TrustedCA lost."""
        removed = certificates_removed(before, record)
        users = (yield from self._gateways(resource.key, present)) if removed else _NO_USERS
        if users.count:
            what = f"it no longer has the {removed}"
            hint = (
                "gateways with certificates that chain up to that are now refused: add the old certificate again,"
                " beside the new one, until all gateways have new certificates"
            )
            message = f"{what}; gateways that this TrustedCA vouched for in the last 25 h: {users.count}; {hint}"
            yield RemovalEvent(resource, "Warning", IN_USE, message)
            yield from _gateway_events(users, resource, what)
        if not is_narrower(before, record):
            return
        outside = yield from self._gateways(
            resource.key, present, lambda each: _may_vouch_for(before, each) and not _may_vouch_for(record, each)
        )
        if outside.count:
            what = "its euiRanges or serves became narrower"
            message = f"{what}; gateways that it vouched for in the last 25 h and cannot any more: {outside.count}"
            yield RemovalEvent(resource, "Warning", IN_USE, message)
            yield from _gateway_events(outside, resource, what)

    def _gateways(
        self,
        authority: Key,
        present: Mapping[Key, Resource],
        counts: Callable[[Gateway], bool] = lambda _gateway: True,
    ) -> Generator[None, None, _Users]:
        """Return the existing Gateways that a TrustedCA vouched for lately and that count; yield between the steps."""
        count, first = 0, list[Gateway]()
        for number, uid in enumerate(self._users(authority)):
            if number % _IN_ONE_STEP == _IN_ONE_STEP - 1:
                first = sorted(first, key=_by_key)[:_MAX_GATEWAY_EVENTS]
                yield None
            key = self._key_of(uid)
            found = present.get(key) if key is not None else None
            if isinstance(found, Gateway) and found.metadata.uid == uid and counts(found):
                count += 1
                first.append(found)
        return _Users(count, tuple(sorted(first, key=_by_key)[:_MAX_GATEWAY_EVENTS]))


def _by_key(resource: Resource) -> Key:
    return resource.key


def _gateway_events(users: _Users, authority: Resource, what: str) -> Iterator[RemovalEvent]:
    for each in users.first:
        message = f"TrustedCA {authority.key.namespace}/{authority.key.name}, which vouched for it last: {what}"
        yield RemovalEvent(each, "Warning", IN_USE, message)


def _unrevoked(resource: Resource, what: str) -> Iterator[RemovalEvent]:
    if what:
        message = (
            f"no longer revoked, and accepted again while valid: {what}. If that is a mistake, add them again; a CA"
            " also removes entries from a CRL after their certificates have expired"
        )
        yield RemovalEvent(resource, "Warning", REVOKED_NO_MORE, message)


def _trust_left_elsewhere(resource: Resource, record: TrustedAuthority, trust: TrustDocument) -> Iterator[RemovalEvent]:
    """Yield the other TrustedCAs that still trust its certificates; only then its revocations matter."""
    still_trusted = list(_still_trusted(resource, record.anchors, trust))
    yield from still_trusted
    if still_trusted:
        yield from _unrevoked(resource, revocations_removed(record, None))


def _still_trusted(resource: Resource, anchors: Iterable[bytes], trust: TrustDocument) -> Iterator[RemovalEvent]:
    names = still_trusted_by(anchors, resource.metadata.uid, trust, resource.metadata.namespace)
    if names:
        message = f"certificates that it no longer trusts, or their keys, are still trusted by: {', '.join(names)}"
        yield RemovalEvent(resource, "Warning", STILL_TRUSTED_BY, message)


def _may_vouch_for(record: TrustedAuthority, gateway: Gateway) -> bool:
    eui = parse_hex(gateway.spec.eui) if gateway.spec is not None else None
    return eui is not None and may_vouch_for(record, gateway.metadata.namespace, eui)


def _reserved(record: RegisteredGateway) -> str:
    return (
        f"EUI {record.eui} stays reserved for this namespace; to hand it over to a waiting Gateway of another"
        f" namespace, set on that Gateway the annotation {TAKES_OVER}: {record.uid}"
    )
