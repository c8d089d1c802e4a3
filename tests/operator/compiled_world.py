"""A small cluster that changes, and its compile: step by step, and each time from the beginning."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from stationkeeper_core.published.documents import Document, decode, digest, encode, encode_payload
from stationkeeper_operator.compiling.compile import PublishPlan, World, compile_plan
from stationkeeper_operator.compiling.incremental.incremental_compiler import IncrementalCompiler, PlanChange
from stationkeeper_operator.compiling.incremental.work import Work
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.compiling.world_changes import ResourceChange, WorldChanges
from stationkeeper_operator.resources.records import Key, Reference, ReferencedObject, Resource
from tests.operator.changing_world import ALL_DOCUMENTS, CUPS_NAMES, RELEASE, Event, Step
from tests.operator.resource_building import NOW

_MOST_COMPILES = 1_000
"""In one step; there are a few dozen Gateways, and each compile takes one at least."""


class ChangingWorld:
    """The cluster, its documents in force, and a compiler that receives the changes."""

    def __init__(self) -> None:
        self.resources: dict[Key, Resource] = {}
        self.referenced: dict[Reference, ReferencedObject] = {}
        self.in_force: dict[str, Document] = {}
        self.now = NOW
        self.told: dict[Key, Verdict] = {}
        self.work = Work()
        self._compiler = IncrementalCompiler(RELEASE, CUPS_NAMES)
        self._deadline: datetime | None = None

    def happens(self, *events: Event, wait: timedelta = timedelta(), published: int = ALL_DOCUMENTS) -> Work:
        """Apply these events; return the result of the compile."""
        self.take(Step(events, wait, published, restarts=False, change_waits=False))
        return self.work

    def take(self, step: Step) -> None:
        """Apply a step, and compare the result with a full compile."""
        if step.until_deadline and self._deadline is not None:
            self.now = max(self.now, self._deadline)
        else:
            self.now += step.wait
        self.work = Work()
        if step.restarts:
            self._compiler = self.restarted(*step.events, prepared=step.prepared)
            self.told.clear()
        else:
            self._compiler.take_in(self.apply(step.events))
        plan = self._compiled(step)
        self._compare(plan, self.from_nothing())
        self._deadline = plan.deadline
        self._publish(plan, step.published)

    def restarted(self, *events: Event, prepared: int = 0) -> IncrementalCompiler:
        """Return the compiler of another process, which has taken in everything after `events`."""
        compiler = IncrementalCompiler(RELEASE, CUPS_NAMES)
        listed = dict(list(self.resources.items())[:: 1 if prepared > 1 else 2]) if prepared else {}
        compiler.take_in(WorldChanges({key: ResourceChange(None, each) for key, each in listed.items()}, {}))
        if prepared:
            compiler.set_in_force(self.in_force if prepared > 2 else {})
        self.apply(events)
        pairs = {key: ResourceChange(listed.get(key), self.resources.get(key)) for key in {**listed, **self.resources}}
        changes = {key: each for key, each in pairs.items() if each.before is not each.after}
        compiler.take_in(WorldChanges(changes, self.referenced))
        return compiler

    def from_nothing(self) -> PublishPlan:
        """Return the plan of a full compile."""
        world = World(RELEASE, dict(self.resources), dict(self.referenced), CUPS_NAMES)
        return compile_plan(world, self.in_force, self.now)

    def _publish(self, plan: PlanChange, published: int) -> None:
        for place, (name, document) in enumerate(sorted(plan.documents.items())):
            # As the publisher does: what is in force already is not written.
            if published >> place & 1 and self.in_force.get(name) != document:
                self.in_force[name] = _read_back(name, document)

    def apply(self, events: Sequence[Event]) -> WorldChanges:
        before, resources, referenced = dict(self.resources), set[Key](), set[Reference]()
        for key, found in events:
            if isinstance(key, Key):
                assert not isinstance(found, ReferencedObject)
                resources.add(key)
                if found is None:
                    self.resources.pop(key, None)
                else:
                    self.resources[key] = found
            else:
                assert found is None or isinstance(found, ReferencedObject)
                referenced.add(key)
                if found is None:
                    self.referenced.pop(key, None)
                else:
                    self.referenced[key] = found
        for key in resources - self.resources.keys():
            self.told.pop(key, None)
        return WorldChanges(
            {key: ResourceChange(before.get(key), self.resources.get(key)) for key in resources},
            {key: self.referenced.get(key) for key in referenced},
        )

    def _compiled(self, step: Step) -> PlanChange:
        is_first = step.restarts
        for _ in range(_MOST_COMPILES):
            plan = self._compiler.compile(self.in_force, self.now, lambda: step.change_waits)
            self.told |= plan.verdicts
            self.work.gateways += plan.work.gateways
            self.work.documents += plan.work.documents
            if plan.is_done:
                return plan
            if is_first:
                # Not all Gateways are compiled yet, so a document is whole or not there.
                whole = self.from_nothing().documents
                assert dict(plan.documents) == {name: whole[name] for name in plan.documents}
            is_first = False
            self._publish(plan, step.published)
        raise AssertionError("it does not come to rest")

    def _compare(self, plan: PlanChange, full: PublishPlan) -> None:
        assert dict(plan.documents) == dict(full.documents)
        assert dict(plan.digests) == {name: digest(payload) for name, payload in full.payloads.items()}
        assert self.told == dict(full.verdicts)
        assert {key: self._compiler.verdict_on(key) for key in full.verdicts} == dict(full.verdicts)
        assert plan.deadline == full.deadline


def _read_back(name: str, document: Document) -> Document:
    """Return the document as a process reads it from the Secret."""
    return decode(name, encode(name, 1, encode_payload(document))).content
