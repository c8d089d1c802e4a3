"""Keep the registry documents up to date: compile only the Gateways that a change concerns, and their documents."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from stationkeeper_core.published.documents import Document, RegisteredGateway, RegistryDocument
from stationkeeper_core.published.registry_layout import RegistryLayout
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.compiling.gateways.eui_claims import Grounds
from stationkeeper_operator.compiling.gateways.gateway_compiler import Surroundings, compile_gateway
from stationkeeper_operator.compiling.gateways.own_cups import OwnCUPS
from stationkeeper_operator.compiling.gateways.registry_compiler import conflict, precedence
from stationkeeper_operator.compiling.incremental.asked_keys import AskedKeys, shared_keys
from stationkeeper_operator.compiling.incremental.bucket_memory import BucketMemory, Owner
from stationkeeper_operator.compiling.incremental.facts_change import FactsChange
from stationkeeper_operator.compiling.incremental.gateway_memory import GatewayMemory, RememberedGateway, share_texts
from stationkeeper_operator.compiling.incremental.pause import Pause
from stationkeeper_operator.compiling.incremental.work import Work
from stationkeeper_operator.compiling.resource_verdicts import gateway_verdict
from stationkeeper_operator.compiling.retention.reductions import record_may_be_reduced
from stationkeeper_operator.compiling.shared_facts import SharedFacts
from stationkeeper_operator.compiling.trust.scopes import Scopes
from stationkeeper_operator.compiling.verdict import Verdict, Vouching, shared_verdict
from stationkeeper_operator.resources.records import Gateway, Key, Reference

KEPT_PAYLOADS = 4
"""The number of payloads that a compile returns: large ones are encoded again where they are written."""


class IncrementalRegistry:
    """The registry of one release.

    Args:
        release_namespace: the namespace with a share of its own.
        cups_names: the names of the release's CUPS for gateways.
        layout: the layout of the registry documents.

    Attributes:
        gateways: the state of each Gateway.
        buckets: the state of each document.
    """

    def __init__(self, release_namespace: str, cups_names: tuple[str, ...], layout: RegistryLayout) -> None:
        self.gateways = GatewayMemory(layout)
        self.buckets = [BucketMemory(name, number, release_namespace) for number, name in enumerate(layout.registry)]
        self._cups_names = cups_names
        self._touched: dict[Key, None] = {}
        self._claims: dict[Owner, None] = {}
        self._backlog: dict[Key, None] = {}
        self._untold: dict[Key, None] = {}
        self._revouched: dict[Key, None] = {}
        # At first: Gateways to compile again, documents and Gateways of events, and documents with reductions.
        self._later: dict[Key, None] = {}
        self._awaited: set[int] = set()
        self._early: list[Key] = []
        self._reduced: set[int] = set()
        self._facts: SharedFacts | None = None
        self._due_at: datetime | None = None
        self._is_begun = self._is_whole = False

    @property
    def is_whole(self) -> bool:
        """Whether every Gateway was compiled at least once."""
        return self._is_whole

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to compile."""
        is_current = all(each.is_current for each in self.buckets)
        return is_current and not (self._touched or self._claims or self._backlog or self._untold or self._revouched)

    def take_in(self, key: Key, resource: Gateway | None) -> None:
        """Add or replace a Gateway; None if it is deleted or being deleted."""
        if resource is not None:
            self.gateways.put(key, resource)
            (self._touched if self._is_begun else self._backlog)[key] = None
            return
        owner = self.gateways.remove(key)
        for each in (self._touched, self._backlog, self._later, self._untold, self._revouched):
            each.pop(key, None)
        if owner is not None:
            self._claims[owner] = None

    def renew(self, key: Key, resource: Gateway) -> None:
        """Replace a Gateway with changes only in parts that are not compiled."""
        remembered = self.gateways.get(key)
        if remembered is None:
            return
        remembered.resource = resource
        candidate, owner = remembered.candidate, remembered.owner
        if candidate is None:
            return
        remembered.candidate = replace(candidate, resource=resource)
        if owner is not None and remembered.is_owner:
            self.buckets[self.gateways.bucket_of(owner)].renew(owner, remembered.candidate)

    def take_in_reference(self, reference: Reference) -> None:
        """Mark the Gateways that name a changed Secret or ConfigMap."""
        self._touched.update(dict.fromkeys(self.gateways.naming(reference)))

    def take_in_force(self, in_force: Mapping[str, Document]) -> set[str]:
        """Set the documents in force; return the keys that gateways of other namespaces have now."""
        keys: set[str] = set()
        for number, bucket in enumerate(self.buckets):
            document = in_force.get(bucket.name)
            change = bucket.take_in_force(document if isinstance(document, RegistryDocument) else None)
            concerned, changed = self.gateways.take_in_force(change)
            keys |= changed
            if not self._is_begun:
                if any(record_may_be_reduced(each, self.gateways.of_uid(each.uid)) for each in change.came):
                    self._reduced.add(number)
                continue
            # At first, no Gateway is compiled twice before each was compiled once.
            (self._backlog if self._is_whole else self._later).update(dict.fromkeys(concerned))
        return keys

    def take_in_facts(self, facts: SharedFacts) -> None:
        """Set the shared facts, and mark the Gateways that their changes concern."""
        before, self._facts = self._facts, facts
        if before is None or before is facts:
            return
        change = FactsChange(before, facts)
        if change.scopes_changed:
            for bucket in self.buckets:
                bucket.judge_anew()
        if not change.is_none:
            concerned = (
                key
                for key, each in self.gateways
                if change.concerns(each.resource, each.keys, asked_own_cups=each.asked_own_cups)
            )
            self._backlog.update(dict.fromkeys(concerned))
        if change.vouching_changed:
            self._revouched.update(dict.fromkeys(key for key, _ in self.gateways))

    def compile(self, now: datetime, interrupted: Callable[[], bool], work: Work) -> dict[Key, Verdict]:
        """Bring verdicts and documents up to date; resources of an event come first.

        Args:
            now: the time, aware; never before that of the last call.
            interrupted: whether another change waits; then work without urgency is left for later.
            work: counts the work.

        Returns:
            The changed verdicts.
        """
        facts = self._facts
        assert facts is not None  # noqa: S101 - they are taken in first
        turn = _Turn(self, facts, now, work)
        if not self._is_begun:
            self._begin()
        if now != self._due_at:
            # A deadline that is now stays one until it is over, but concerns a Gateway only once at this moment.
            self._touched.update(dict.fromkeys(self.gateways.due(now)))
            self._due_at = now
        touched, self._early = [*self._early, *self._touched], []
        urgent = self._compile_touched(turn)
        pause = Pause(interrupted, len(touched) if urgent else 0)
        self._compile_backlog(turn, pause)
        if not (self._is_whole or self._backlog):
            self._is_whole = True
            self._backlog, self._later = self._later, {}
        self._fit(turn, urgent, pause)
        if not self._is_whole:
            self._early = touched
            return {}
        for key in touched:
            if key in self._untold:
                del self._untold[key]
                self._untold[key] = None
        return self._tell(turn, pause)

    def _begin(self) -> None:
        """Have the Gateways compiled by document, first the documents in which something may be taken away.

        After a restart, such a document is written as soon as its own Gateways are compiled.
        """
        grouped: dict[int | None, list[Key]] = {}
        for key in self._backlog:
            remembered = self.gateways.get(key)
            if remembered is not None:
                self.gateways.claim(key, remembered)
                grouped.setdefault(remembered.bucket, []).append(key)
        # The last one is taken first.
        order = sorted(grouped, key=lambda number: number in self._reduced)
        self._backlog = {key: None for number in order for key in grouped[number]}
        self._is_begun = True

    def _compile_touched(self, turn: "_Turn") -> set[int]:
        """Compile the Gateways of an event; return the buckets that this concerns."""
        for key in self._touched:
            self._backlog.pop(key, None)
            self._compile_one(turn, key)
        urgent = self._numbers(self._touched)
        self._touched.clear()
        for owner in self._claims:
            turn.settle_claim(owner)
            urgent.add(self.gateways.bucket_of(owner))
        self._claims.clear()
        return urgent

    def _compile_backlog(self, turn: "_Turn", pause: Pause) -> None:
        if not self._is_whole and self._awaited:
            waited_for = [key for key in self._backlog if self._number(key) in self._awaited]
            for key in waited_for:
                # To the end, where the next one is taken.
                self._backlog[key] = self._backlog.pop(key)
            self._reduced |= self._awaited
        done, before = 0, None
        while self._backlog:
            key = next(reversed(self._backlog))
            number = self._number(key)
            is_whole_document = number != before and before in self._reduced
            if pause.is_due(done) or (is_whole_document and pause.is_worth_it(done) and not self._is_whole):
                return
            done, before = done + 1, number
            del self._backlog[key]
            self._compile_one(turn, key)

    def _compile_one(self, turn: "_Turn", key: Key) -> None:
        remembered = self.gateways.get(key)
        if remembered is None:
            return
        former = self.gateways.claim(key, remembered)
        if former is not None:
            turn.settle_claim(former)
        remembered.is_stale = True
        if remembered.owner is not None:
            turn.settle_claim(remembered.owner)
        else:
            turn.compile(key, remembered)
            self.untell(key)

    def _fit(self, turn: "_Turn", urgent: set[int], pause: Pause) -> None:
        urgent = urgent | self._awaited
        waiting = self._numbers(self._backlog)
        if self._is_whole:
            ready = set(range(len(self.buckets))) - (waiting - urgent)
            self._awaited = set()
        else:
            # Without the Gateways that were never compiled, a document would take them out of force.
            ready = ((self._reduced - self._numbers(self._later)) | urgent) - waiting
            self._awaited = urgent & waiting
        for number in sorted(ready, key=lambda number: number not in urgent):
            bucket = self.buckets[number]
            if bucket.is_current:
                continue
            made, concerned = bucket.fit(turn.grounds)
            turn.work.documents += made
            if turn.work.documents > KEPT_PAYLOADS:
                bucket.payload = None
            self._untold.update(dict.fromkeys(concerned))
            if made and number not in urgent and (pause.events or pause.is_asked()):
                return

    def _tell(self, turn: "_Turn", pause: Pause) -> dict[Key, Verdict]:
        found: dict[Key, Verdict] = {}
        later: dict[Key, None] = {}
        done = 0
        # The Gateways of an event are the last ones.
        while self._untold and not pause.is_due(done):
            done += 1
            key, _ = self._untold.popitem()
            remembered = self.gateways.get(key)
            if remembered is None:
                continue
            if remembered.bucket is not None and not self.buckets[remembered.bucket].is_current:
                later[key] = None
                continue
            self._revouched.pop(key, None)
            verdict = shared_verdict(turn.verdict_on(key, remembered))
            if verdict != remembered.verdict:
                remembered.verdict = found[key] = verdict
            self.gateways.set_deadlines(key, turn.now, verdict)
        self._untold |= later
        self._revouch(turn, found, pause)
        return found

    def _revouch(self, turn: "_Turn", found: dict[Key, Verdict], pause: Pause) -> None:
        """Update the vouching of Gateways without other changes."""
        done = 0
        while self._revouched:
            if pause.is_due(done):
                return
            done += 1
            key, _ = self._revouched.popitem()
            remembered = self.gateways.get(key)
            if remembered is None or remembered.verdict is None or key in self._untold:
                continue
            vouching = turn.vouching_of(key, remembered)
            if vouching != remembered.verdict.vouching:
                remembered.verdict = found[key] = replace(remembered.verdict, vouching=vouching)

    def untell(self, key: Key) -> None:
        """Mark a Gateway for a new verdict."""
        self._untold[key] = None

    def _number(self, key: Key) -> int | None:
        remembered = self.gateways.get(key)
        return remembered.bucket if remembered is not None else None

    def _numbers(self, keys: Iterable[Key]) -> set[int]:
        return {number for key in keys if (number := self._number(key)) is not None}


class _Turn:
    """One compile.

    Args:
        registry: the registry to update.
        facts: the shared facts.
        now: the time, aware.
        work: counts the work.
    """

    def __init__(self, registry: IncrementalRegistry, facts: SharedFacts, now: datetime, work: Work) -> None:
        self.now = now
        self.work = work
        self.grounds = Grounds(Scopes(facts.trust.document), Scopes(facts.before))
        self._registry = registry
        self._gateways = registry.gateways
        self._facts = facts
        self._asked: set[str] = set()
        keys = AskedKeys(facts.keys.everywhere, facts.keys.by_namespace, self._asked)
        self._own_cups = OwnCUPS(facts.world.cups_names, facts.trust.document, now)
        self._around = Surroundings(facts.world, now, facts.defaults.lns_for, keys, self._own_cups)

    def compile(self, key: Key, remembered: RememberedGateway) -> Candidate[RegisteredGateway]:
        """Compile a Gateway, and record the dependencies of the result."""
        self._asked.clear()
        self._own_cups.note_anew()
        resource = remembered.resource
        held = self._gateways.held(resource.metadata.uid)
        if held is not None:
            share_texts(held, resource)
        remembered.candidate = compile_gateway(resource, held, self._around)
        remembered.is_stale = False
        remembered.keys = shared_keys(frozenset(self._asked))
        remembered.asked_own_cups = self._own_cups.was_asked
        until = min(self._own_cups.deadlines, default=None) if remembered.asked_own_cups else None
        self._gateways.let_in_until.set(key, until)
        self.work.gateways += 1
        return remembered.candidate

    def settle_claim(self, owner: Owner) -> None:
        """Decide which Gateway of a namespace has an EUI there, and compile it if that is not done yet."""
        bucket = self._registry.buckets[self._gateways.bucket_of(owner)]
        claimants = self._gateways.claimants(owner)
        if len(claimants) > 1:
            claimants.sort(key=self._precedence)
        first: RememberedGateway | None = None
        for key in claimants:
            remembered = self._gateways.get(key)
            assert remembered is not None  # noqa: S101 - what is gone claims nothing
            if first is None:
                first = remembered
                if remembered.is_stale or not remembered.is_owner:
                    remembered.is_owner = True
                    bucket.claim(owner, self.compile(key, remembered))
                continue
            remembered.is_owner = remembered.is_stale = remembered.asked_own_cups = False
            remembered.keys = frozenset()
            remembered.candidate = conflict(remembered.resource, owner[0], first.resource.key)
            self._gateways.let_in_until.set(key, None)
            self._registry.untell(key)
        if first is None:
            bucket.claim(owner, None)

    def verdict_on(self, key: Key, remembered: RememberedGateway) -> Verdict:
        """Return the verdict on a Gateway."""
        candidate, document, record = remembered.candidate, None, None
        owner, number = remembered.owner, remembered.bucket
        if remembered.is_owner and owner is not None and number is not None:
            bucket = self._registry.buckets[number]
            candidate, document, record = bucket.candidate_of(owner, key), bucket.name, bucket.record_of(owner, key)
        assert candidate is not None  # noqa: S101 - it was compiled before anything is told of it
        return gateway_verdict(candidate, record, document, self._facts.world, self._vouching(record))

    def vouching_of(self, key: Key, remembered: RememberedGateway) -> Vouching | None:
        """Return the vouching of a Gateway."""
        owner, number = remembered.owner, remembered.bucket
        if not remembered.is_owner or owner is None or number is None:
            return None
        return self._vouching(self._registry.buckets[number].record_of(owner, key))

    def _vouching(self, record: RegisteredGateway | None) -> Vouching | None:
        return self._facts.vouching_cas.of(record) if record is not None else None

    def _precedence(self, key: Key) -> tuple[datetime, bool, Key]:
        remembered = self._gateways.get(key)
        assert remembered is not None  # noqa: S101 - what is gone claims nothing
        return precedence(remembered.resource, self._gateways)
