"""What one turn compiles: the plan of the leading count of registry documents, step by step, and of any other count."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from stationkeeper_core.published.documents import TRUST, Document, TrustDocument, digest, encode_payload
from stationkeeper_core.published.registry_layout import place_of
from stationkeeper_operator.compiling.compile import PublishPlan
from stationkeeper_operator.compiling.incremental.incremental_compiler import IncrementalCompiler
from stationkeeper_operator.compiling.incremental.incremental_registry import Work
from stationkeeper_operator.compiling.registry_counts import RegistryCounts, for_all_counts, in_force_of, leading_count
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.compiling.world_changes import WorldChanges
from stationkeeper_operator.resources.records import Key, Resource


@dataclass(frozen=True)
class TurnPlan:
    """What a turn is to publish and to say.

    Attributes:
        documents: of all counts that are ready to be published, by name.
        digests: of their payloads.
        payloads: of those that were made anew.
        before: what was in force in each document, or in that from which a new one takes over.
        verdicts: those that are others than before.
        leading: the count whose documents say what is in force.
        last: the documents that complete a count; to be written after all others of it.
        retired: the counts whose documents are to be emptied.
        deadline: when time alone will change something, aware; None for never.
        is_done: whether the plan is whole; otherwise another turn has to follow at once.
        work: what was done.
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
        """Whether a document is the trust or of the leading count."""
        place = place_of(document)
        return place is None or place[0] == self.leading

    def payload(self, document: str) -> bytes:
        """The payload of one of the documents."""
        found = self.payloads.get(document)
        return encode_payload(self.documents[document]) if found is None else found


@dataclass(frozen=True)
class Compiled:
    """What a full compile can be compared with.

    Attributes:
        world: what was compiled.
        in_force: over which documents.
        now: when.
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
        release_namespace: the namespace whose TrustedCAs and GatewayDefaults are for the Gateways of all namespaces.
        cups_names: by which gateways reach the release's CUPS.
        buckets: the count that leads.
    """

    def __init__(self, release_namespace: str, cups_names: tuple[str, ...], buckets: int) -> None:
        self._release_namespace = release_namespace
        self._buckets = buckets
        self._compiler = IncrementalCompiler(release_namespace, cups_names, buckets)
        self._copied: Mapping[Key, Verdict] = {}

    def serves(self, counts: RegistryCounts, in_force: Mapping[str, Document], now: datetime) -> bool:
        """Whether what is remembered can be brought up to date; not where another count leads, or time went back.

        Args:
            counts: what is asked for.
            in_force: the documents that can be read, of all counts.
            now: aware.
        """
        return leading_count(counts, in_force) == self._buckets and self._compiler.holds_at(now)

    @property
    def is_whole(self) -> bool:
        """Whether every resource was compiled at least once, so that there is something to say of each."""
        return self._compiler.is_whole

    @property
    def resources(self) -> Mapping[Key, Resource]:
        """All resources, as they were taken in."""
        return self._compiler.resources

    def take_in(self, changes: WorldChanges) -> None:
        """Take in what changed of the resources and of what they name; at first, all of them."""
        self._compiler.take_in(changes)

    def compile_trust(self, in_force: Mapping[str, Document], now: datetime) -> TurnPlan:
        """Return a plan of what is to be trusted alone, which takes little time.

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
        """Return the whole plan.

        Args:
            counts: of registry documents that are asked for.
            in_force: the documents that can be read, of all counts.
            now: aware.
            interrupted: whether somebody waits for something else.
        """
        own = in_force_of(self._buckets, in_force)
        found = self._compiler.compile(own, now, interrupted)
        plan = TurnPlan(
            found.documents,
            found.digests,
            found.payloads,
            in_force,
            found.verdicts,
            self._buckets,
            deadline=found.deadline,
            is_done=found.is_done,
            work=found.work,
        )
        present = {place[0] for name in in_force if (place := place_of(name)) is not None}
        if counts.needed | present == {self._buckets}:
            return self._without_copies(plan)
        return self._with_copies(plan, counts, in_force) if self._compiler.is_whole else plan

    def verdict_on(self, key: Key) -> Verdict | None:
        """The present verdict on a resource; None where there is none yet."""
        return self._copied.get(key) or self._compiler.verdict_on(key)

    def carried_by(self, document: str) -> list[Key]:
        """The resources that a document carries."""
        return self._compiler.carried_by(document)

    def default_of(self, resource: Resource) -> Key | None:
        """The GatewayDefaults that has to give the LNS of `resource`."""
        return self._compiler.default_of(resource)

    def compiled(self, plan: TurnPlan, in_force: Mapping[str, Document], now: datetime) -> Compiled:
        """Return what `plan`, which is done, can be compared with; later changes do not touch it."""
        digests = {name: each for name, each in plan.digests.items() if plan.leads(name)}
        own = in_force_of(self._buckets, in_force)
        return Compiled(self._compiler.world, own, now, digests, self._compiler.verdicts)

    def _without_copies(self, plan: TurnPlan) -> TurnPlan:
        """`plan`; where documents of another count were copied until now, with all that was said of these."""
        if not self._copied:
            return plan
        copied, self._copied = self._copied, {}
        current = ((key, self._compiler.verdict_on(key)) for key in copied)
        verdicts = {key: verdict for key, verdict in current if verdict is not None}
        return replace(plan, verdicts={**verdicts, **plan.verdicts})

    def _with_copies(self, plan: TurnPlan, counts: RegistryCounts, in_force: Mapping[str, Document]) -> TurnPlan:
        """`plan` with the documents of all counts: while a count changes, all of them are gone through."""
        verdicts = self._compiler.verdicts
        leading = PublishPlan({}, verdicts, plan.documents, plan.deadline)
        found = for_all_counts(leading, counts, self._buckets, in_force, self._release_namespace)
        before, told = self._copied, found.plan.verdicts
        self._copied = {key: each for key, each in told.items() if each != verdicts[key]}
        changed = {key for key in before.keys() | self._copied.keys() if before.get(key) != self._copied.get(key)}
        return replace(
            plan,
            documents=found.plan.documents,
            digests={**plan.digests, **{name: digest(each) for name, each in found.plan.payloads.items()}},
            payloads={**plan.payloads, **found.plan.payloads},
            before=found.before,
            verdicts={key: told[key] for key in changed | plan.verdicts.keys() if key in told},
            last=found.last,
            retired=found.retired,
        )
