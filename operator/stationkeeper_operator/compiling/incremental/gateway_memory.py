"""The stored state of each Gateway, with indexes by EUI, by references and by deadlines."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.published.registry_layout import RegistryLayout, bucket_of
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.compiling.gateways.gateway_compiler import claimed_eui
from stationkeeper_operator.compiling.gateways.registry_compiler import parsed_eui
from stationkeeper_operator.compiling.incremental.bucket_memory import InForceChange, Owner
from stationkeeper_operator.compiling.incremental.deadline_queue import DeadlineQueue
from stationkeeper_operator.compiling.incremental.multi_index import MultiIndex
from stationkeeper_operator.compiling.incremental.namespaced_index import NamespacedIndex
from stationkeeper_operator.compiling.trust.authority_keys import OwnersOfKeys, client_keys
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.compiling.world import looks_to_defaults
from stationkeeper_operator.resources.named_references import references
from stationkeeper_operator.resources.records import Gateway, Key, Reference, share_field

_NOTHING: frozenset[str] = frozenset()


class RememberedGateway:
    """The stored state of one Gateway.

    Attributes:
        resource: the resource, compiled or to compile.
        eui: the EUI that it claims; None if not known.
        bucket: the number of the bucket of its EUI.
        is_owner: whether it has its EUI in its namespace, so that no older Gateway has it.
        is_stale: whether it must be compiled.
        candidate: its candidate before its claim was settled; None if it was never compiled.
        keys: the digests of the keys that its compile compared with the TrustedCAs' keys.
        checked_own_cups: whether its compile checked it against this release's CUPS.
        verdict: the verdict on it; None before the first one.
    """

    __slots__ = (
        "bucket",
        "candidate",
        "checked_own_cups",
        "eui",
        "is_owner",
        "is_stale",
        "keys",
        "resource",
        "verdict",
    )

    def __init__(self, resource: Gateway) -> None:
        self.resource = resource
        self.eui: EUI64 | None = None
        self.bucket: int | None = None
        self.is_owner = False
        self.is_stale = True
        self.candidate: Candidate[RegisteredGateway] | None = None
        self.keys = _NOTHING
        self.checked_own_cups = False
        self.verdict: Verdict | None = None

    @property
    def owner(self) -> Owner | None:
        """The EUI that it claims, and its namespace; None if not known."""
        return None if self.eui is None else (self.eui, self.resource.metadata.namespace)


class GatewayMemory:
    """The state of all Gateways that are not being deleted.

    Args:
        layout: the layout of the registry documents.

    Attributes:
        without_lns: the number of Gateways without an LNS of their own, by namespace.
        expiring: when a certificate of a Gateway's servers expires.
        own_cups_valid_until: until when the check against this release's CUPS is valid.
    """

    def __init__(self, layout: RegistryLayout) -> None:
        self._layout = layout
        self.without_lns: Counter[str] = Counter()
        self.expiring: DeadlineQueue[Key] = DeadlineQueue()
        self.own_cups_valid_until: DeadlineQueue[Key] = DeadlineQueue()
        self._gateways: dict[Key, RememberedGateway] = {}
        self._claimants: NamespacedIndex[EUI64] = NamespacedIndex()
        self._named: MultiIndex[Reference, Key] = MultiIndex()
        self._by_uid: MultiIndex[str, Key] = MultiIndex()
        self._in_force: MultiIndex[str, RegisteredGateway] = MultiIndex()
        self._owners_of_keys: dict[str, Counter[str]] = {}

    def __iter__(self) -> Iterator[tuple[Key, RememberedGateway]]:
        """Iterate over all Gateways."""
        return iter(self._gateways.items())

    def get(self, key: Key) -> RememberedGateway | None:
        """Return the Gateway; None if there is none, or if it is being deleted."""
        return self._gateways.get(key)

    def put(self, key: Key, resource: Gateway) -> RememberedGateway:
        """Add or replace a Gateway; its claim is not updated yet."""
        remembered = self._gateways.get(key)
        if remembered is None:
            remembered = self._gateways[key] = RememberedGateway(resource)
        else:
            self._remove_from_indexes(key, remembered.resource)
            remembered.resource = resource
        self._by_uid.add(resource.metadata.uid, key)
        for each in references(resource):
            self._named.add(each, key)
        if looks_to_defaults(resource):
            self.without_lns[resource.metadata.namespace] += 1
        return remembered

    def remove(self, key: Key) -> Owner | None:
        """Remove a Gateway; return its claim."""
        remembered = self._gateways.pop(key, None)
        if remembered is None:
            return None
        self._remove_from_indexes(key, remembered.resource)
        self.expiring.set(key, None)
        self.own_cups_valid_until.set(key, None)
        if remembered.eui is not None:
            self._claimants.discard(remembered.eui, key)
        return remembered.owner

    def claim(self, key: Key, remembered: RememberedGateway) -> Owner | None:
        """Update the EUI that a Gateway claims; return its former claim if that has changed."""
        former, owner = remembered.eui, remembered.owner
        resource = remembered.resource
        remembered.eui = claimed_eui(
            resource, self.record_in_force(resource.metadata.uid) if resource.spec is None else None
        )
        if former == remembered.eui:
            return None
        if former is not None:
            self._claimants.discard(former, key)
        remembered.bucket, remembered.is_owner = None, False
        if remembered.eui is not None:
            remembered.bucket = bucket_of(remembered.eui, self._layout.buckets)
            self._claimants.add(remembered.eui, key)
        return owner

    def bucket_of(self, owner: Owner) -> int:
        """Return the number of the bucket of an EUI."""
        return bucket_of(owner[0], self._layout.buckets)

    def claimants(self, owner: Owner) -> list[Key]:
        """Return the Gateways of a namespace that claim one EUI."""
        eui, namespace = owner
        return list(self._claimants.of(eui, namespace))

    def naming(self, reference: Reference) -> list[Key]:
        """Return the Gateways that name a Secret or ConfigMap."""
        return list(self._named.of(reference))

    def of_uid(self, uid: str) -> Gateway | None:
        """Return the Gateway with that uid; None if there is none, or if it is being deleted."""
        key = self._by_uid.first(uid)
        return self._gateways[key].resource if key is not None else None

    def record_in_force(self, uid: str) -> RegisteredGateway | None:
        """Return the record in force of a Gateway; if two documents have one, that of the higher number."""
        if not self._in_force.is_shared(uid):
            return self._in_force.first(uid)
        return max(self._in_force.of(uid), key=lambda each: bucket_of(parsed_eui(each), self._layout.buckets))

    def __contains__(self, uid: object) -> bool:
        """Return whether the Gateway with that uid has a record in force."""
        return uid in self._in_force

    @property
    def owners_of_keys(self) -> OwnersOfKeys:
        """The namespaces with gateways that have each key."""
        return self._owners_of_keys

    def set_in_force(self, change: InForceChange) -> tuple[set[Key], set[str]]:
        """Update the records in force.

        Returns:
            The Gateways with a changed record in force, and the keys that gateways of other namespaces have now.
        """
        concerned: set[Key] = set()
        keys: set[str] = set()
        for each in change.removed:
            self._in_force.discard(each.uid, each)
            keys |= self._count_keys(each, -1)
        for each in change.added:
            self._in_force.add(each.uid, each)
            keys |= self._count_keys(each, 1)
        for each in (*change.removed, *change.added):
            concerned.update(self._by_uid.of(each.uid))
        return concerned, keys

    def set_deadlines(self, key: Key, now: datetime, verdict: Verdict) -> None:
        """Set the next expiry of a certificate of a Gateway's spec."""
        ends = (each.not_after for each in verdict.validities if each.not_after >= now)
        self.expiring.set(key, min(ends, default=None))

    def due(self, now: datetime) -> Iterable[Key]:
        """Return the Gateways whose deadline has passed, and remove these deadlines."""
        return {*self.expiring.take(now), *self.own_cups_valid_until.take(now)}

    def _remove_from_indexes(self, key: Key, resource: Gateway) -> None:
        self._by_uid.discard(resource.metadata.uid, key)
        for each in references(resource):
            self._named.discard(each, key)
        if looks_to_defaults(resource):
            self.without_lns[resource.metadata.namespace] -= 1

    def _count_keys(self, record: RegisteredGateway, number: int) -> set[str]:
        """Count a Gateway's keys; return those that its namespace has now for the first time, or has no longer."""
        keys: set[str] = set()
        for key in client_keys(record):
            owners = self._owners_of_keys.setdefault(key, Counter())
            had = record.namespace in owners
            owners[record.namespace] += number
            if not owners[record.namespace]:
                del owners[record.namespace]
            if not owners:
                del self._owners_of_keys[key]
            if had != (record.namespace in owners):
                keys.add(key)
        return keys


def share_texts(record: RegisteredGateway, resource: Gateway) -> None:
    """Put equal texts of a Gateway into its decoded record, so that they are in memory once."""
    for field in ("uid", "name", "namespace"):
        share_field(record, resource.metadata, field)
    if resource.spec is not None:
        share_field(record, resource.spec, "eui")
