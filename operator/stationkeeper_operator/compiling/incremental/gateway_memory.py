"""What is remembered of each Gateway, and by what it is found: its EUI, what it names, and when time changes it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.published.registry_layout import RegistryLayout, bucket_of
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.compiling.gateways.gateway_compiler import claimed_eui
from stationkeeper_operator.compiling.gateways.registry_compiler import parsed_eui
from stationkeeper_operator.compiling.incremental.bucket_memory import InForceChange, Owner
from stationkeeper_operator.compiling.incremental.deadline_queue import DeadlineQueue
from stationkeeper_operator.compiling.incremental.multi_index import MultiIndex
from stationkeeper_operator.compiling.trust.authority_keys import OwnersOfKeys, client_keys
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.compiling.world import looks_to_defaults
from stationkeeper_operator.resources.named_references import references
from stationkeeper_operator.resources.records import Gateway, Key, Reference

_NOTHING: frozenset[str] = frozenset()


class RememberedGateway:
    """One Gateway.

    Attributes:
        resource: as it was compiled, or is to be.
        owner: the EUI that it claims, and its namespace; None where that is not known.
        bucket: the number of the one that its EUI belongs into.
        is_owner: whether it has its EUI in its namespace, and no older Gateway has.
        is_stale: whether it has to be compiled.
        candidate: what it asks for, before its claim was settled; None where it was never compiled.
        keys: the digests of the keys that were looked for among those of TrustedCAs when it was compiled.
        asked_own_cups: whether it was asked then whether this release's CUPS would let it in.
        verdict: on it; None before.
    """

    __slots__ = (
        "asked_own_cups",
        "bucket",
        "candidate",
        "is_owner",
        "is_stale",
        "keys",
        "owner",
        "resource",
        "verdict",
    )

    def __init__(self, resource: Gateway) -> None:
        self.resource = resource
        self.owner: Owner | None = None
        self.bucket: int | None = None
        self.is_owner = False
        self.is_stale = True
        self.candidate: Candidate[RegisteredGateway] | None = None
        self.keys = _NOTHING
        self.asked_own_cups = False
        self.verdict: Verdict | None = None


class GatewayMemory:
    """All Gateways that are not being deleted.

    Args:
        layout: into which documents they are split.

    Attributes:
        looking: by namespace, how many have no LNS of their own.
        expiring: when a certificate of a Gateway's servers ends.
        let_in_until: when the answer ends whether this release's CUPS would let a Gateway in.
    """

    def __init__(self, layout: RegistryLayout) -> None:
        self._layout = layout
        self.looking: Counter[str] = Counter()
        self.expiring: DeadlineQueue[Key] = DeadlineQueue()
        self.let_in_until: DeadlineQueue[Key] = DeadlineQueue()
        self._gateways: dict[Key, RememberedGateway] = {}
        self._claimants: MultiIndex[Owner, Key] = MultiIndex()
        self._named: MultiIndex[Reference, Key] = MultiIndex()
        self._by_uid: MultiIndex[str, Key] = MultiIndex()
        self._held: MultiIndex[str, RegisteredGateway] = MultiIndex()
        self._owners_of_keys: dict[str, Counter[str]] = {}

    def __iter__(self) -> Iterator[tuple[Key, RememberedGateway]]:
        """All of them."""
        return iter(self._gateways.items())

    def get(self, key: Key) -> RememberedGateway | None:
        """The Gateway, None where there is none, or it is being deleted."""
        return self._gateways.get(key)

    def put(self, key: Key, resource: Gateway) -> RememberedGateway:
        """Take in a Gateway that is new, or other than before; it claims nothing new yet."""
        remembered = self._gateways.get(key)
        if remembered is None:
            remembered = self._gateways[key] = RememberedGateway(resource)
        else:
            self._unlist(key, remembered.resource)
            remembered.resource = resource
        self._by_uid.add(resource.metadata.uid, key)
        for each in references(resource):
            self._named.add(each, key)
        if looks_to_defaults(resource):
            self.looking[resource.metadata.namespace] += 1
        return remembered

    def remove(self, key: Key) -> Owner | None:
        """Take in that a Gateway is gone; what it claimed."""
        remembered = self._gateways.pop(key, None)
        if remembered is None:
            return None
        self._unlist(key, remembered.resource)
        self.expiring.set(key, None)
        self.let_in_until.set(key, None)
        if remembered.owner is not None:
            self._claimants.discard(remembered.owner, key)
        return remembered.owner

    def claim(self, key: Key, remembered: RememberedGateway) -> Owner | None:
        """Bring up to date which EUI a Gateway claims; its former claim if that is another one."""
        former = remembered.owner
        metadata = remembered.resource.metadata
        eui = claimed_eui(remembered.resource, self.held(metadata.uid))
        claimed = None if eui is None else (eui, metadata.namespace)
        if former == claimed:
            return None
        remembered.owner = claimed
        if former is not None:
            self._claimants.discard(former, key)
        remembered.bucket, remembered.is_owner = None, False
        if remembered.owner is not None:
            remembered.bucket = self.bucket_of(remembered.owner)
            self._claimants.add(remembered.owner, key)
        return former

    def bucket_of(self, owner: Owner) -> int:
        """The number of the bucket that an EUI belongs into."""
        return bucket_of(owner[0], self._layout.buckets)

    def claimants(self, owner: Owner) -> list[Key]:
        """The Gateways of a namespace that claim one EUI."""
        return list(self._claimants.of(owner))

    def naming(self, reference: Reference) -> list[Key]:
        """The Gateways that name a Secret or ConfigMap."""
        return list(self._named.of(reference))

    def held(self, uid: str) -> RegisteredGateway | None:
        """What is in force of a Gateway; where it is in two documents, in the one of the highest number."""
        if not self._held.is_shared(uid):
            return self._held.first(uid)
        return max(self._held.of(uid), key=lambda each: bucket_of(parsed_eui(each), self._layout.buckets))

    def __contains__(self, uid: object) -> bool:
        """Whether anything is in force of the Gateway with that uid."""
        return uid in self._held

    @property
    def owners_of_keys(self) -> OwnersOfKeys:
        """The namespaces whose gateways have each key as their own."""
        return self._owners_of_keys

    def take_in_force(self, change: InForceChange) -> tuple[set[Key], set[str]]:
        """Take in what is in force.

        Returns:
            The Gateways of which something else is in force, and the keys that gateways of other namespaces have now.
        """
        concerned: set[Key] = set()
        keys: set[str] = set()
        for each in change.gone:
            self._held.discard(each.uid, each)
            keys |= self._count_keys(each, -1)
        for each in change.came:
            self._held.add(each.uid, each)
            keys |= self._count_keys(each, 1)
        for each in (*change.gone, *change.came):
            concerned.update(self._by_uid.of(each.uid))
        return concerned, keys

    def set_deadlines(self, key: Key, now: datetime, verdict: Verdict) -> None:
        """Take in when a certificate that a Gateway's spec brings ends next."""
        ends = (each.not_after for each in verdict.validities if each.not_after >= now)
        self.expiring.set(key, min(ends, default=None))

    def due(self, now: datetime) -> Iterable[Key]:
        """Take the Gateways for which time alone changed something."""
        return {*self.expiring.take(now), *self.let_in_until.take(now)}

    def _unlist(self, key: Key, resource: Gateway) -> None:
        self._by_uid.discard(resource.metadata.uid, key)
        for each in references(resource):
            self._named.discard(each, key)
        if looks_to_defaults(resource):
            self.looking[resource.metadata.namespace] -= 1

    def _count_keys(self, record: RegisteredGateway, number: int) -> set[str]:
        """Count a Gateway's keys; those that its namespace had not before, or has no more."""
        found: set[str] = set()
        for key in client_keys(record):
            owners = self._owners_of_keys.setdefault(key, Counter())
            had = record.namespace in owners
            owners[record.namespace] += number
            if not owners[record.namespace]:
                del owners[record.namespace]
            if not owners:
                del self._owners_of_keys[key]
            if had != (record.namespace in owners):
                found.add(key)
        return found
