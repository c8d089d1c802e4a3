"""Keep the registry documents up to date: compile only the Gateways that a change concerns, and their documents."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from stationkeeper_core.published.documents import Document, RegisteredGateway, RegistryDocument
from stationkeeper_core.published.registry_layout import RegistryLayout
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.compiling.gateways.eui_claims import Grounds
from stationkeeper_operator.compiling.gateways.gateway_compiler import CompileContext, compile_gateway
from stationkeeper_operator.compiling.gateways.own_cups import OwnCUPS
from stationkeeper_operator.compiling.gateways.registry_compiler import conflict, precedence
from stationkeeper_operator.compiling.incremental.bucket_memory import BucketMemory, Owner
from stationkeeper_operator.compiling.incremental.compile_work import Work
from stationkeeper_operator.compiling.incremental.facts_change import FactsChange
from stationkeeper_operator.compiling.incremental.gateway_memory import GatewayMemory, RememberedGateway, share_texts
from stationkeeper_operator.compiling.incremental.pause import Pause
from stationkeeper_operator.compiling.incremental.recording_keys import RecordingKeys, shared_keys
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
        self._changed: dict[Key, None] = {}
        self._claims: dict[Owner, None] = {}
        self._backlog: dict[Key, None] = {}
        self._stale_verdicts: dict[Key, None] = {}
        self._stale_vouching: dict[Key, None] = {}
        # Until each Gateway was compiled once: Gateways to compile again, those of events, documents with reductions.
        self._compile_again: dict[Key, None] = {}
        self._event_documents: set[int] = set()
        self._event_gateways: list[Key] = []
        self._reduced: set[int] = set()
        self._facts: SharedFacts | None = None
        self._due_at: datetime | None = None
        self._is_begun = self._has_compiled_all = False

    @property
    def has_compiled_all(self) -> bool:
        """Whether every Gateway was compiled at least once."""
        return self._has_compiled_all

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to compile."""
        waiting = (self._changed, self._claims, self._backlog, self._stale_verdicts, self._stale_vouching)
        return not any(waiting) and all(each.is_current for each in self.buckets)

    def take_in(self, key: Key, resource: Gateway | None) -> None:
        """Add or replace a Gateway; remove it if `resource` is None, because it is deleted or being deleted."""
        if resource is not None:
            remembered = self.gateways.put(key, resource)
            (self._changed if self._is_begun else self._backlog)[key] = None
            if not self._is_begun and resource.spec is not None:  # else it depends on the record in force
                self.gateways.claim(key, remembered)
            return
        owner = self.gateways.remove(key)
        for each in (self._changed, self._backlog, self._compile_again, self._stale_verdicts, self._stale_vouching):
            each.pop(key, None)
        if owner is not None:
            self._claims[owner] = None

    def replace_resource(self, key: Key, resource: Gateway) -> None:
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
            self.buckets[self.gateways.bucket_of(owner)].replace_resource(owner, remembered.candidate)

    def mark_gateways_naming(self, reference: Reference) -> None:
        """Mark the Gateways that name a changed Secret or ConfigMap for a compile; at first, all are marked anyway."""
        self._changed.update(dict.fromkeys(self.gateways.naming(reference) if self._is_begun else ()))

    def set_in_force(self, in_force: Mapping[str, Document]) -> set[str]:
        """Set the documents in force; return the keys that gateways of other namespaces have now."""
        keys: set[str] = set()
        for bucket in self.buckets:
            document = in_force.get(bucket.name)
            change = bucket.set_in_force(document if isinstance(document, RegistryDocument) else None)
            concerned, changed = self.gateways.set_in_force(change)
            keys |= changed
            if self._is_begun:  # At first, no Gateway is compiled twice before each was compiled once.
                (self._backlog if self._has_compiled_all else self._compile_again).update(dict.fromkeys(concerned))
        return keys

    def set_facts(self, facts: SharedFacts) -> None:
        """Set the shared facts, and mark the Gateways that their changes affect."""
        before, self._facts = self._facts, facts
        if before is None or before is facts:
            return
        change = FactsChange(before, facts)
        if change.scopes_changed:
            for bucket in self.buckets:
                bucket.mark_contested_stale()
        if not change.affects_nothing:
            concerned = (
                key
                for key, each in self.gateways
                if change.affects(each.resource, each.keys, checked_own_cups=each.checked_own_cups)
            )
            self._backlog.update(dict.fromkeys(concerned))
        if change.vouching_changed:
            self._stale_vouching.update(dict.fromkeys(key for key, _ in self.gateways))

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
        assert facts is not None  # noqa: S101 - they are set first
        turn = _Turn(self, facts, now, work)
        if not self._is_begun:
            self._group_backlog()
        if now != self._due_at:
            # A deadline at this moment stays due until the moment is over; compile its Gateways once in this moment.
            self._changed.update(dict.fromkeys(self.gateways.due(now)))
            self._due_at = now
        changed, self._event_gateways = [*self._event_gateways, *self._changed], []
        urgent = self._compile_changed(turn)
        pause = Pause(interrupted, len(changed) if urgent else 0)
        self._compile_backlog(turn, pause)
        if not (self._has_compiled_all or self._backlog):
            self._has_compiled_all = True
            self._backlog, self._compile_again = self._compile_again, {}
        self._fit(turn, urgent, pause)
        if not self._has_compiled_all:
            self._event_gateways = changed
            return {}
        for key in changed:
            if key in self._stale_verdicts:
                del self._stale_verdicts[key]
                self._stale_verdicts[key] = None
        return self._update_verdicts(turn, pause)

    def _group_backlog(self) -> None:
        """Sort the backlog by document, with the documents in which something may be taken away first.

        After a restart, such a document is written as soon as its own Gateways are compiled.
        """
        for number, bucket in enumerate(self.buckets):
            if any(record_may_be_reduced(each, self.gateways.of_uid(each.uid)) for each in bucket.in_force):
                self._reduced.add(number)
        grouped: dict[int | None, list[Key]] = {}
        for key in self._backlog:
            if (remembered := self.gateways.get(key)) is not None:
                if remembered.resource.spec is None:
                    self.gateways.claim(key, remembered)
                grouped.setdefault(remembered.bucket, []).append(key)
        # The compile takes the last one first.
        order = sorted(grouped, key=lambda number: number in self._reduced)
        self._backlog = {key: None for number in order for key in grouped[number]}
        self._is_begun = True

    def _compile_changed(self, turn: "_Turn") -> set[int]:
        """Compile the Gateways of events; return the numbers of the documents that this affects."""
        for key in self._changed:
            self._backlog.pop(key, None)
            self._compile_one(turn, key)
        urgent = self._numbers(self._changed)
        self._changed.clear()
        for owner in self._claims:
            turn.settle_claim(owner)
            urgent.add(self.gateways.bucket_of(owner))
        self._claims.clear()
        return urgent

    def _compile_backlog(self, turn: "_Turn", pause: Pause) -> None:
        if not self._has_compiled_all and self._event_documents:
            for key in [each for each in self._backlog if self._number(each) in self._event_documents]:
                # Move it to the end, where the compile takes the next one.
                self._backlog[key] = self._backlog.pop(key)
            self._reduced |= self._event_documents
        done, before = 0, None
        while self._backlog:
            key, _ = self._backlog.popitem()  # `next(reversed(...))` would step over all keys that were deleted there.
            number = self._number(key)
            is_whole_document = number != before and before in self._reduced
            if pause.is_due(done) or (is_whole_document and pause.has_done_enough(done) and not self._has_compiled_all):
                self._backlog[key] = None
                return
            done, before = done + 1, number
            self._compile_one(turn, key)

    def _compile_one(self, turn: "_Turn", key: Key) -> None:
        remembered = self.gateways.get(key)
        if remembered is None:
            return
        former = self.gateways.claim(key, remembered)
        if former is not None:
            turn.settle_claim(former)
        elif key in turn.conflicting:  # It was decided with the others of its EUI, which may be very many.
            return
        remembered.is_stale = True
        if remembered.owner is not None:
            turn.settle_claim(remembered.owner)
        else:
            turn.compile(key, remembered)
            self.mark_verdict_stale(key)

    def _fit(self, turn: "_Turn", urgent: set[int], pause: Pause) -> None:
        urgent = urgent | self._event_documents
        waiting = self._numbers(self._backlog)
        if self._has_compiled_all:
            ready = set(range(len(self.buckets))) - (waiting - urgent)
            self._event_documents = set()
        else:
            # Without the Gateways that were never compiled, a document would take them out of force.
            ready = ((self._reduced - self._numbers(self._compile_again)) | urgent) - waiting
            self._event_documents = urgent & waiting
        for number in sorted(ready, key=lambda number: number not in urgent):
            bucket = self.buckets[number]
            if bucket.is_current:
                continue
            made, concerned = bucket.fit(turn.grounds)
            turn.work.documents += made
            if turn.work.documents > KEPT_PAYLOADS:
                bucket.payload = None
            self._stale_verdicts.update(dict.fromkeys(concerned))
            if made and number not in urgent and (pause.events or pause.change_waits()):
                return

    def _update_verdicts(self, turn: "_Turn", pause: Pause) -> dict[Key, Verdict]:
        verdicts, not_current, done = dict[Key, Verdict](), dict[Key, None](), 0
        # The Gateways of events are at the end, where the next one is taken.
        while self._stale_verdicts and not pause.is_due(done):
            done += 1
            key, _ = self._stale_verdicts.popitem()
            remembered = self.gateways.get(key)
            if remembered is None:
                continue
            if remembered.bucket is not None and not self.buckets[remembered.bucket].is_current:
                not_current[key] = None
                continue
            self._stale_vouching.pop(key, None)
            verdict = shared_verdict(turn.verdict_on(key, remembered))
            if verdict != remembered.verdict:
                remembered.verdict = verdicts[key] = verdict
            self.gateways.set_deadlines(key, turn.now, verdict)
        self._stale_verdicts |= not_current
        self._update_vouching(turn, verdicts, pause)
        return verdicts

    def _update_vouching(self, turn: "_Turn", verdicts: dict[Key, Verdict], pause: Pause) -> None:
        """Update the vouching of Gateways that have no other change."""
        done = 0
        while self._stale_vouching:
            if pause.is_due(done):
                return
            done += 1
            key, _ = self._stale_vouching.popitem()
            remembered = self.gateways.get(key)
            if remembered is None or remembered.verdict is None or key in self._stale_verdicts:
                continue
            vouching = turn.vouching_of(key, remembered)
            if vouching != remembered.verdict.vouching:
                remembered.verdict = verdicts[key] = replace(remembered.verdict, vouching=vouching)

    def mark_verdict_stale(self, key: Key) -> None:
        """Mark a Gateway for a new verdict."""
        self._stale_verdicts[key] = None

    def _number(self, key: Key) -> int | None:
        remembered = self.gateways.get(key)
        return remembered.bucket if remembered is not None else None

    def _numbers(self, keys: Iterable[Key]) -> set[int]:
        return {number for key in keys if (number := self._number(key)) is not None}


class _Turn:
    """One compile.

    Args:
        registry, facts: the registry to update, and the shared facts.
        now: the time, aware.
        work: counts the work.

    Attributes:
        conflicting: the Gateways whose EUI was given to an older one in this compile.
    """

    def __init__(self, registry: IncrementalRegistry, facts: SharedFacts, now: datetime, work: Work) -> None:
        self.now = now
        self.work = work
        self.conflicting: set[Key] = set()
        self.grounds = Grounds(Scopes(facts.trust.document), Scopes(facts.before))
        self._registry = registry
        self._gateways = registry.gateways
        self._facts = facts
        self._looked_up: set[str] = set()
        keys = RecordingKeys(facts.keys.everywhere, facts.keys.by_namespace, self._looked_up)
        self._own_cups = OwnCUPS(facts.world.cups_names, facts.trust.document, now)
        self._context = CompileContext(facts.world, now, facts.defaults.lns_for, keys, self._own_cups)

    def compile(self, key: Key, remembered: RememberedGateway) -> Candidate[RegisteredGateway]:
        """Compile a Gateway, and record the dependencies of the result."""
        self._looked_up.clear()
        self._own_cups.clear_dependencies()
        resource = remembered.resource
        in_force = self._gateways.record_in_force(resource.metadata.uid)
        if in_force is not None:
            share_texts(in_force, resource)
        remembered.candidate = compile_gateway(resource, in_force, self._context)
        remembered.is_stale = False
        remembered.keys = shared_keys(frozenset(self._looked_up))
        remembered.checked_own_cups = self._own_cups.was_used
        until = min(self._own_cups.deadlines, default=None) if remembered.checked_own_cups else None
        self._gateways.own_cups_valid_until.set(key, until)
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
            assert remembered is not None  # noqa: S101 - a removed Gateway claims nothing
            if first is None:
                first = remembered
                if remembered.is_stale or not remembered.is_owner:
                    remembered.is_owner = True
                    bucket.claim(owner, self.compile(key, remembered))
                self.conflicting.discard(key)
                continue
            self.conflicting.add(key)
            remembered.is_owner = remembered.is_stale = remembered.checked_own_cups = False
            remembered.keys = frozenset()
            remembered.candidate = conflict(remembered.resource, owner[0], first.resource.key)
            self._gateways.own_cups_valid_until.set(key, None)
            self._registry.mark_verdict_stale(key)
        if first is None:
            bucket.claim(owner, None)

    def verdict_on(self, key: Key, remembered: RememberedGateway) -> Verdict:
        """Return the verdict on a Gateway."""
        candidate, document, record = remembered.candidate, None, None
        owner, number = remembered.owner, remembered.bucket
        if remembered.is_owner and owner is not None and number is not None:
            bucket = self._registry.buckets[number]
            candidate, document, record = bucket.candidate_of(owner, key), bucket.name, bucket.record_of(owner, key)
        assert candidate is not None  # noqa: S101 - it was compiled before its verdict is read
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
        assert remembered is not None  # noqa: S101 - a removed Gateway claims nothing
        return precedence(remembered.resource, self._gateways)
