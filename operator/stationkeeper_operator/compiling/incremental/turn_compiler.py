"""The compile of one turn: the plan of the leading count of registry documents, incrementally, and of other counts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from stationkeeper_core.published.documents import TRUST, Document, TrustDocument, digest, encode_payload
from stationkeeper_core.published.registry_layout import layout_of, place_of
from stationkeeper_operator.compiling.compile import PublishPlan
from stationkeeper_operator.compiling.incremental.compile_work import Work
from stationkeeper_operator.compiling.incremental.incremental_compiler import IncrementalCompiler
from stationkeeper_operator.compiling.registry_counts import RegistryCounts, for_all_counts, in_force_of, leading_count
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.compiling.world_changes import WorldChanges
from stationkeeper_operator.resources.records import Key, Resource


@dataclass(frozen=True)
class TurnPlan:
    """The documents and verdicts of a turn.

    Attributes:
        documents: the documents of all counts that can be published, by name.
        digests: of their payloads.
        payloads: of the documents that were made again.
        before: the content in force of each document, or of the one that a new document replaces.
        verdicts: the changed verdicts.
        leading: the count with the documents that define what is in force.
        last: the documents that complete a count; write them after all others of it.
        retired: the counts with documents to empty.
        deadline: when something changes only because time passes, aware; None for never.
        is_done: whether the plan is complete; if not, another turn must follow at once.
        work: the amount of work.
    """

    documents: Mapping[str, Document]
    digests: Mapping[str, str]
    payloads: Mapping[str, bytes]
    before: Mapping[str, Document]
    verdicts: Mapping[Key, Verdict]
    leading: int
    last: frozenset[str] = frozenset()
    retired: frozenset[int] = frozenset()
    deadline: datetime | None = None
    is_done: bool = True
    work: Work = field(default_factory=Work)

    def leads(self, document: str) -> bool:
        """Return whether a document is the trust document or belongs to the leading count."""
        place = place_of(document)
        return place is None or place[0] == self.leading

    def payload(self, document: str) -> bytes:
        """Return the payload of one of the documents."""
        found = self.payloads.get(document)
        return encode_payload(self.documents[document]) if found is None else found


@dataclass(frozen=True)
class Compiled:
    """The input and results of a compile, for a comparison with a full compile.

    Attributes:
        world: the compiled world.
        in_force: the documents in force.
        now: the time, aware.
        digests: of the payloads.
        verdicts: on all resources.
    """

    world: World
    in_force: Mapping[str, Document]
    now: datetime
    digests: Mapping[str, str]
    verdicts: Mapping[Key, Verdict]


class TurnCompiler:
    """Compiles for one term of leadership.

    Args:
        release_namespace: the release's namespace, with TrustedCAs and GatewayDefaults for other namespaces.
        cups_names: the names of the release's CUPS for gateways.
        buckets: the leading count.
    """

    def __init__(self, release_namespace: str, cups_names: tuple[str, ...], buckets: int) -> None:
        self._release_namespace = release_namespace
        self._buckets = buckets
        self._compiler = IncrementalCompiler(release_namespace, cups_names, buckets)
        self._copied: Mapping[Key, Verdict] = {}

    def is_valid_for(self, counts: RegistryCounts, in_force: Mapping[str, Document], now: datetime) -> bool:
        """Return whether the stored state can be updated; false if another count leads, or if the clock was set back.

        Args:
            counts: the configured and the read counts.
            in_force: the readable documents, of all counts.
            now: the time, aware.
        """
        return leading_count(counts, in_force) == self._buckets and self._compiler.is_valid_at(now)

    @property
    def has_compiled_all(self) -> bool:
        """Whether every resource was compiled at least once, so that each has a verdict."""
        return self._compiler.has_compiled_all

    @property
    def resources(self) -> Mapping[Key, Resource]:
        """All resources."""
        return self._compiler.resources

    def take_in(self, changes: WorldChanges) -> None:
        """Apply changes of resources and their references; the first time, all of them."""
        self._compiler.take_in(changes)

    def set_in_force(self, in_force: Mapping[str, Document]) -> None:
        """Set the documents in force; a compile does it too, but takes less time then."""
        self._compiler.set_in_force(in_force_of(self._buckets, in_force))

    def compile_trust(self, in_force: Mapping[str, Document], now: datetime) -> TurnPlan:
        """Return a plan with only the trust document, which takes little time.

        Args:
            in_force: the documents that can be read, of all counts.
            now: aware.
        """
        document: TrustDocument = self._compiler.compile_trust(in_force_of(self._buckets, in_force), now)
        digests = {TRUST: self._compiler.trust_sha256}
        return TurnPlan({TRUST: document}, digests, {}, in_force, {}, self._buckets, is_done=False)

    def compile(
        self,
        counts: RegistryCounts,
        in_force: Mapping[str, Document],
        now: datetime,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> TurnPlan:
        """Return the complete plan.

        Args:
            counts: the configured and the read counts.
            in_force: the documents that can be read, of all counts.
            now: aware.
            interrupted: whether another change waits.
        """
        own = in_force_of(self._buckets, in_force)
        change = self._compiler.compile(own, now, interrupted)
        plan = TurnPlan(
            change.documents,
            change.digests,
            change.payloads,
            in_force,
            change.verdicts,
            self._buckets,
            deadline=change.deadline,
            is_done=change.is_done,
            work=change.work,
        )
        present = {place[0] for name in in_force if (place := place_of(name)) is not None}
        if counts.needed | present == {self._buckets}:
            return self._without_copies(plan)
        # At first, a turn that stops early for another one has not made the documents of all buckets yet.
        is_complete = all(name in plan.documents for name in layout_of(self._buckets).registry)
        return self._with_copies(plan, counts, in_force) if self._compiler.has_compiled_all and is_complete else plan

    def verdict_on(self, key: Key) -> Verdict | None:
        """Return the present verdict on a resource; None if there is none yet."""
        return self._copied.get(key) or self._compiler.verdict_on(key)

    def resources_in(self, document: str) -> list[Key]:
        """Return the resources in a document."""
        return self._compiler.resources_in(document)

    def default_of(self, resource: Resource) -> Key | None:
        """Return the GatewayDefaults that must give the LNS of `resource`; None if there is none."""
        return self._compiler.default_of(resource)

    def compiled(self, plan: TurnPlan, in_force: Mapping[str, Document], now: datetime) -> Compiled:
        """Return the input and results of a complete `plan`, for a comparison; later changes do not affect it."""
        digests = {name: each for name, each in plan.digests.items() if plan.leads(name)}
        own = in_force_of(self._buckets, in_force)
        return Compiled(self._compiler.world, own, now, digests, self._compiler.verdicts)

    def _without_copies(self, plan: TurnPlan) -> TurnPlan:
        """Return `plan`; when the copies end, with new verdicts on the resources whose verdict named them."""
        if not self._copied:
            return plan
        copied, self._copied = self._copied, {}
        current = ((key, self._compiler.verdict_on(key)) for key in copied)
        verdicts = {key: verdict for key, verdict in current if verdict is not None}
        return replace(plan, verdicts={**verdicts, **plan.verdicts})

    def _with_copies(self, plan: TurnPlan, counts: RegistryCounts, in_force: Mapping[str, Document]) -> TurnPlan:
        """Return `plan` with the documents of all counts; during a change of the count, all documents are processed."""
        verdicts = self._compiler.verdicts
        leading = PublishPlan({}, verdicts, plan.documents, plan.deadline)
        registry = for_all_counts(leading, counts, self._buckets, in_force, self._release_namespace)
        before, all_verdicts = self._copied, registry.plan.verdicts
        self._copied = {key: each for key, each in all_verdicts.items() if each != verdicts[key]}
        changed = {key for key in before.keys() | self._copied.keys() if before.get(key) != self._copied.get(key)}
        return replace(
            plan,
            documents=registry.plan.documents,
            digests={**plan.digests, **{name: digest(each) for name, each in registry.plan.payloads.items()}},
            payloads={**plan.payloads, **registry.plan.payloads},
            before=registry.before,
            verdicts={key: all_verdicts[key] for key in changed | plan.verdicts.keys() if key in all_verdicts},
            last=registry.last,
            retired=registry.retired,
        )
