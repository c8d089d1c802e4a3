"""Compile the same plan as `compile_plan`, with work in proportion to the changes.

A verdict and a record are a pure function of the resource, its references, the record in force, the shared facts and
time. Each is stored, and made again when one of these has changed. `compile_plan` stays the specification: the result
here is equal to its result, byte for byte.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from stationkeeper_core.published.documents import TRUST, Document, TrustDocument, digest
from stationkeeper_core.published.registry_layout import BUCKETS, layout_of
from stationkeeper_operator.compiling.incremental.compile_work import Work
from stationkeeper_operator.compiling.incremental.facts_horizon import change_times
from stationkeeper_operator.compiling.incremental.gateway_memory import GatewayMemory
from stationkeeper_operator.compiling.incremental.incremental_registry import IncrementalRegistry
from stationkeeper_operator.compiling.incremental.known_certificates import KnownCertificates
from stationkeeper_operator.compiling.resource_verdicts import BEING_DELETED
from stationkeeper_operator.compiling.shared_facts import SharedFacts, compile_facts
from stationkeeper_operator.compiling.trust.trust_compiler import CompiledTrust, compile_trust
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.compiling.world_changes import ResourceChange, WorldChanges
from stationkeeper_operator.resources.named_references import references
from stationkeeper_operator.resources.records import GATEWAY, Gateway, Key, Reference, ReferencedObject, Resource


@dataclass(frozen=True)
class PlanChange:
    """The changes of the plan by one compile.

    Attributes:
        documents: all documents of the plan that can be published, by name.
        digests: of their payloads.
        payloads: of the documents that were made again.
        verdicts: the changed verdicts.
        deadline: when trust changes only because time passes, aware; None for never.
        is_done: whether the plan is complete; if not, another compile must follow, even without changes.
        work: the amount of work.
    """

    documents: Mapping[str, Document]
    digests: Mapping[str, str]
    payloads: Mapping[str, bytes]
    verdicts: Mapping[Key, Verdict]
    deadline: datetime | None
    is_done: bool
    work: Work = field(default_factory=Work)


class IncrementalCompiler:
    """Stores what it compiled, for one term of leadership. Only one thread may use it at a time.

    Args:
        release_namespace: the release's namespace, with TrustedCAs and GatewayDefaults for other namespaces.
        cups_names: the names of the release's CUPS for gateways: lower-case hosts, or `host:port`.
        buckets: the number of registry documents.
    """

    def __init__(self, release_namespace: str, cups_names: tuple[str, ...] = (), buckets: int = BUCKETS) -> None:
        self._release = release_namespace
        self._cups_names = cups_names
        self._buckets = buckets
        self._other_kinds: dict[Key, Resource] = {}
        self._referenced: dict[Reference, ReferencedObject] = {}
        self._being_deleted: dict[Key, Resource] = {}
        self._registry = IncrementalRegistry(release_namespace, cups_names, layout_of(buckets))
        self._known = KnownCertificates()
        self._trust: CompiledTrust | None = None
        self._trust_sha256 = ""
        self._facts: SharedFacts | None = None
        self._verdicts: dict[Key, Verdict] = {}
        self._authority_keys: frozenset[str] = frozenset()
        self._named_by_other_kinds: frozenset[Reference] = frozenset()
        self._horizon: datetime | None = None
        self._compiled_at: datetime | None = None
        self._in_force: Document | None = None
        self._trust_at: datetime | None = None
        self._is_trust_new = False
        self._is_trust_stale = self._are_facts_stale = True

    @property
    def verdicts(self) -> dict[Key, Verdict]:
        """The present verdicts on all resources."""
        gateways = ((key, each.verdict) for key, each in self._registry.gateways)
        return {**self._verdicts, **{key: verdict for key, verdict in gateways if verdict is not None}}

    @property
    def resources(self) -> Mapping[Key, Resource]:
        """A live view of all resources."""
        return _Resources(self._other_kinds, self._being_deleted, self._registry.gateways)

    @property
    def world(self) -> World:
        """A copy of all resources and their references; later changes do not affect it."""
        return World(self._release, dict(self.resources), dict(self._referenced), self._cups_names, self._buckets)

    @property
    def trust_sha256(self) -> str:
        """The digest of the trust document's payload."""
        return self._trust_sha256

    def resources_in(self, document: str) -> list[Key]:
        """Return the resources in a document."""
        if document == TRUST:
            return list(self._trust.records) if self._trust is not None else []
        return [key for bucket in self._registry.buckets if bucket.name == document for key in bucket.recorded()]

    def default_of(self, resource: Resource) -> Key | None:
        """Return the GatewayDefaults that must give the LNS of `resource`; None if there is none."""
        return self._facts.world.defaults_of(resource) if self._facts is not None else None

    @property
    def has_compiled_all(self) -> bool:
        """Whether every resource was compiled at least once."""
        return self._registry.has_compiled_all

    def verdict_on(self, key: Key) -> Verdict | None:
        """Return the present verdict on a resource; None if there is none yet."""
        found = self._verdicts.get(key)
        if found is None:
            remembered = self._registry.gateways.get(key)
            found = remembered.verdict if remembered is not None else None
        return found

    def is_valid_at(self, now: datetime) -> bool:
        """Return whether the stored state can be updated for `now`; false if the clock was set back."""
        return self._compiled_at is None or now >= self._compiled_at

    def take_in(self, changes: WorldChanges) -> None:
        """Apply changes of resources and their references; the first time, all of them."""
        for reference, found in changes.referenced.items():
            self._take_in_reference(reference, found)
        for key, change in changes.resources.items():
            self._take_in_resource(key, change)
        for key, resource in changes.restated.items():
            self._take_in_resource(key, ResourceChange(self._other_kinds.get(key), resource))
        if any(key.kind != GATEWAY for key in changes.resources):
            self._named_by_other_kinds = frozenset(
                each for one in self._other_kinds.values() for each in references(one)
            )

    def set_in_force(self, in_force: Mapping[str, Document]) -> None:
        """Set the registry documents in force; `compile` does it too, but takes less time then.

        Args:
            in_force: as for `compile_trust`.
        """
        if not self._registry.set_in_force(in_force).isdisjoint(self._authority_keys):
            self._are_facts_stale = True

    def compile_trust(self, in_force: Mapping[str, Document], now: datetime) -> TrustDocument:
        """Compile the trust document; it has few objects, so that it can be published before the rest is compiled.

        Args:
            in_force: the present documents, without missing ones and those that cannot be decoded.
            now: the time, aware; certificates that have expired by then are left out.
        """
        assert self.is_valid_at(now)  # noqa: S101 - the caller starts again if the clock was set back
        self._compiled_at = now
        before = in_force.get(TRUST)
        if before is not self._in_force:
            self._is_trust_stale = True
        self._in_force = before
        is_due = self._horizon is not None and self._horizon <= now
        if self._trust is None or self._is_trust_stale or is_due or (self._is_trust_new and now != self._trust_at):
            world = World(self._release, dict(self._other_kinds), self._referenced, self._cups_names, self._buckets)
            self._trust = compile_trust(world.without_deleted(), before, now)
            self._trust_sha256 = digest(self._trust.fitted.payload)
            self._are_facts_stale = True
            self._is_trust_stale, self._trust_at = False, now
            # A document that is not in force yet depends on the time: the start of an anchor's retention.
            self._is_trust_new = self._trust.document != before
        return self._trust.document

    def compile(
        self, in_force: Mapping[str, Document], now: datetime, interrupted: Callable[[], bool] = lambda: False
    ) -> PlanChange:
        """Bring the plan up to date.

        Args:
            in_force: as for `compile_trust`.
            now: as for `compile_trust`.
            interrupted: whether another change waits. Then work without urgency is left for the next time, such as all
                Gateways of a GatewayDefaults. Resources of an event are always compiled.
        """
        trust, work = self.compile_trust(in_force, now), Work()
        self.set_in_force(in_force)
        assert self._trust is not None  # noqa: S101 - just compiled
        if self._are_facts_stale:
            self._compile_facts(now)
        facts = self._facts
        assert facts is not None  # noqa: S101 - just compiled
        self._registry.set_facts(facts)
        found = self._registry.compile(now, interrupted, work)
        other_kinds = dict.fromkeys(self._being_deleted, BEING_DELETED) | dict(facts.verdicts)
        other_kinds |= facts.defaults.verdicts(self._registry.gateways.without_lns)
        changed = {key: each for key, each in other_kinds.items() if self._verdicts.get(key) != each} | found
        self._verdicts = other_kinds
        fitted = [each for each in self._registry.buckets if each.document is not None]
        documents: dict[str, Document] = {TRUST: trust}
        documents |= {each.name: each.document for each in fitted if each.document is not None}
        digests = {TRUST: self._trust_sha256} | {each.name: each.sha256 for each in fitted}
        payloads = {TRUST: self._trust.fitted.payload}
        for each in fitted:
            if each.payload is not None:
                payloads[each.name], each.payload = each.payload, None
        return PlanChange(documents, digests, payloads, changed, self._deadline(now), self._registry.is_done, work)

    def _take_in_reference(self, reference: Reference, found: ReferencedObject | None) -> None:
        if found is None:
            self._referenced.pop(reference, None)
        else:
            self._referenced[reference] = found
        self._registry.mark_gateways_naming(reference)
        if reference in self._named_by_other_kinds:
            self._is_trust_stale = True

    def _take_in_resource(self, key: Key, change: ResourceChange) -> None:
        before, after = change
        is_present = after is not None and not after.metadata.being_deleted
        if after is not None and not is_present:
            self._being_deleted[key] = after
        else:
            self._being_deleted.pop(key, None)
        if isinstance(before, Gateway) or isinstance(after, Gateway):
            self._take_in_gateway(key, after if is_present and isinstance(after, Gateway) else None)
            return
        if after is not None:
            self._other_kinds[key] = after
        else:
            self._other_kinds.pop(key, None)
        if before is None or after is None or not compiles_the_same(before, after):
            self._is_trust_stale = True

    def _take_in_gateway(self, key: Key, gateway: Gateway | None) -> None:
        remembered = self._registry.gateways.get(key)
        before = remembered.resource if remembered is not None else None
        if self._known.change(before, gateway):
            self._are_facts_stale = True
        if before is not None and gateway is not None and compiles_the_same(before, gateway):
            self._registry.replace_resource(key, gateway)
        else:
            self._registry.take_in(key, gateway)

    def _compile_facts(self, now: datetime) -> None:
        assert self._trust is not None  # noqa: S101 - the trust is compiled first
        all_resources = World(self._release, dict(self._other_kinds), self._referenced, self._cups_names, self._buckets)
        owners = self._registry.gateways.owners_of_keys
        self._known.set_revoked(self._trust.records.values(), self._gateways)
        self._facts = compile_facts(all_resources, self._trust, self._in_force, owners, self._known.certificates, now)
        self._authority_keys = frozenset().union(*self._facts.keys.by_namespace.values())
        times = change_times(self._facts, self._in_force)
        self._horizon = min((each for each in times if each >= now), default=None)
        self._are_facts_stale = False

    def _gateways(self) -> Iterator[Gateway]:
        return (each.resource for _, each in self._registry.gateways)

    def _deadline(self, now: datetime) -> datetime | None:
        assert self._facts is not None  # noqa: S101 - just compiled
        times = [each for each in self._facts.deadlines if each >= now]
        own_cups_valid_until = self._registry.gateways.own_cups_valid_until.first
        return min(times if own_cups_valid_until is None else [*times, own_cups_valid_until], default=None)


class _Resources(Mapping[Key, Resource]):
    """A view of all resources in their collections."""

    def __init__(
        self, other_kinds: Mapping[Key, Resource], being_deleted: Mapping[Key, Resource], gateways: GatewayMemory
    ) -> None:
        self._other_kinds = other_kinds
        self._being_deleted = being_deleted
        self._gateways = gateways

    def __getitem__(self, key: Key) -> Resource:
        remembered = self._gateways.get(key)
        if remembered is not None:
            return remembered.resource
        found = self._other_kinds.get(key)
        return self._being_deleted[key] if found is None else found

    def __iter__(self) -> Iterator[Key]:
        yield from self._other_kinds
        yield from (key for key in self._being_deleted if key not in self._other_kinds)
        yield from (key for key, _ in self._gateways)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def compiles_the_same(before: Resource, after: Resource) -> bool:
    """Return whether two versions of a resource differ only in parts that are not compiled, such as the status."""
    return type(before) is type(after) and _compiled_part(before) == _compiled_part(after)


def _compiled_part(resource: Resource) -> tuple[object, ...]:
    metadata = resource.metadata
    identity = (metadata.uid, metadata.creation_timestamp, metadata.being_deleted, metadata.annotations)
    return (*identity, resource.spec, resource.suspended, resource.problem)
