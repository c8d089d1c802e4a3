"""The page's view of a fleet, updated with one resource after the other. Pure: time is passed in.

`fleet_status` computes the state of a gateway or CA when its resource changes, and when time alone changes the state.
So no page needs to read every resource. Only the shown fields of a resource are stored, packed.
"""

import heapq
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from stationkeeper_core.published.observation import clean
from stationkeeper_operator.resources.packed_text import packed, unpacked
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA
from stationkeeper_tools.operating.fleet import FleetResource, ResourceName
from stationkeeper_tools.operating.fleet_status import (
    CALine,
    GatewayLine,
    GatewayState,
    UnregisteredGateway,
    ca_line,
    ca_of_last_visit,
    changes_at,
    gateway_line,
    unregistered_of,
)
from stationkeeper_tools.page.history import History
from stationkeeper_tools.page.queries import PAGE_SIZE, Query
from stationkeeper_tools.page.sorted_names import ObjectName, SortedNames
from stationkeeper_tools.page.status_changes import ChangeKind, StatusChange, changes_between

MAX_RECENT = 100
MOST_JUDGED = 200

_RECENT = frozenset({ChangeKind.CREATED, ChangeKind.SPEC, ChangeKind.ENFORCEMENT})
_SPARE_ALARMS = 1000


class Phase(StrEnum):
    """The progress of a resource into force."""

    NOT_ACCEPTED = "NotAccepted"
    WAITING = "Waiting"
    """It is not published yet."""
    PUBLISHED = "Published"
    """Not every ready CUPS pod has loaded it yet."""
    ENFORCED = "Enforced"


ON_THEIR_WAY = frozenset({Phase.WAITING, Phase.PUBLISHED})


@dataclass(frozen=True)
class Listed:
    """A part of a list.

    Attributes:
        lines: the gateways on this page.
        total: the number of gateways in the list.
        page, pages: the number of this page, and of all pages; both at least 1.
    """

    lines: Sequence[GatewayLine]
    total: int
    page: int
    pages: int


class _StoredResource(msgspec.Struct, frozen=True, gc=False):
    """A resource.

    Attributes:
        version: its resourceVersion.
        resource: spec, status and generation as packed JSON.
        line: its state.
        judged: when the state was computed, aware.
        phase: its progress into force.
        searched: for a Gateway, the text for searches, in lower case.
        trusted_ca: `namespace/name` of the TrustedCA of a Gateway's last certificate; empty for none.
    """

    version: str
    resource: bytes
    line: GatewayLine | CALine
    judged: datetime
    phase: Phase
    searched: str = ""
    trusted_ca: str = ""


class FleetView:
    """The view of one process.

    Args:
        check_ins: the number of missed daily check-ins after which a gateway is silent.
        history: stores the changes.

    Attributes:
        check_ins: as given.
        history: as given.
        recent: the newest changes of the state in force, with their resources, the newest first.
    """

    def __init__(self, check_ins: int, history: History) -> None:
        self.check_ins = check_ins
        self.history = history
        self.recent: list[tuple[ResourceName, StatusChange]] = []
        self._stored: dict[str, dict[ObjectName, _StoredResource]] = {TRUSTED_CA: {}, GATEWAY: {}}
        self._states = {state: SortedNames() for state in GatewayState}
        self._cas = SortedNames()
        self._phases = {kind: {phase: SortedNames() for phase in Phase} for kind in (TRUSTED_CA, GATEWAY)}
        self._due: list[tuple[datetime, ResourceName]] = []
        self._alarms: dict[ResourceName, datetime] = {}
        self._unregistered: dict[ResourceName, tuple[UnregisteredGateway, ...]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._stored.values()))

    def version(self, key: ResourceName) -> str | None:
        """Return the resourceVersion of a known resource; None if it is not known."""
        stored = self._stored[key.kind].get(_name(key))
        return stored.version if stored is not None else None

    def names(self, kind: str, namespace: str | None) -> Iterator[ResourceName]:
        """Yield the names of the resources of a kind, in a namespace, or in all if None."""
        return (ResourceName(kind, *each) for each in self._stored[kind] if namespace in {None, each.namespace})

    def put(self, resource: FleetResource, version: str, now: datetime, *, is_first: bool = False) -> None:
        """Add or replace a resource.

        Args:
            resource: as `shown_resource` returns it.
            version: its resourceVersion.
            now: the time, aware.
            is_first: whether it is from the first LIST; then it does not count as a change.
        """
        key, before = resource.key, self.resource(resource.key)
        if before is not None or not is_first:
            self._note(key, changes_between(before, resource, now))
        self._store(key, _stored_resource(resource, version, now, self.check_ins))
        if key.kind == TRUSTED_CA:
            self._unregistered[key] = tuple(unregistered_of(resource))

    def remove(self, key: ResourceName, now: datetime) -> None:
        """Remove a deleted resource."""
        if _name(key) in self._stored[key.kind]:
            self._remove_from_lists(key)
            del self._stored[key.kind][_name(key)]
            self._unregistered.pop(key, None)
            self._alarms.pop(key, None)
            self.history.forget(key)
            self._note_recent(key, StatusChange(now, ChangeKind.DELETED, "it was deleted"))

    def tick(self, now: datetime, most: int = MOST_JUDGED) -> bool:
        """Update the states that time alone has changed.

        Args:
            now: the time, aware.
            most: the maximum number of alarms to handle.

        Returns:
            Whether more alarms are due: after an outage, very many gateways become silent at once.
        """
        for _ in range(most):
            if not self._due or self._due[0][0] > now:
                return False
            at, key = heapq.heappop(self._due)
            if self._alarms.get(key) == at:
                del self._alarms[key]
                self._judge_again(key, now)
        return True

    def resource(self, key: ResourceName) -> FleetResource | None:
        """Return the shown fields of a resource; None if it is not known."""
        stored = self._stored[key.kind].get(_name(key))
        if stored is None:
            return None
        spec, status, generation = msgspec.json.decode(unpacked(stored.resource))
        return FleetResource(key, spec, status, generation)

    def counts(self) -> dict[GatewayState, int]:
        """Return how many gateways are in each state."""
        return {state: len(names) for state, names in self._states.items()}

    def gateway(self, name: ObjectName) -> GatewayLine | None:
        """Return the state of a gateway; None if it is not known."""
        stored = self._stored[GATEWAY].get(name)
        return stored.line if stored is not None and isinstance(stored.line, GatewayLine) else None

    def gateways(self, query: Query, size: int = PAGE_SIZE) -> Listed:
        """Return one page of the gateways that match a query, sorted by state, namespace and name."""
        states = [self._states[query.state]] if query.state else list(self._states.values())
        if query.search or query.trusted_ca:
            found = [name for names in states for name in self._fitting(names, query)]
            return self._page(len(found), found[size * (query.page - 1) :], query.page, size)
        if query.namespace:
            found = [name for names in states for name in names.of(query.namespace)]
            return self._page(len(found), found[size * (query.page - 1) :], query.page, size)
        first, part = size * (query.page - 1), list[ObjectName]()
        for names in states:
            part += names.part(max(first, 0), size - len(part)) if first < len(names) else []
            first -= len(names)
        return self._page(sum(map(len, states)), part, query.page, size)

    def cas(self) -> list[CALine]:
        """Return the state of each CA, sorted by namespace and name."""
        lines = (self._stored[TRUSTED_CA][name].line for name in self._cas)
        return [line for line in lines if isinstance(line, CALine)]

    @property
    def unregistered_count(self) -> int:
        """The number of gateways that could be registered."""
        return sum(map(len, self._unregistered.values()))

    def unregistered(self) -> list[UnregisteredGateway]:
        """Return the gateways that could be registered, the one with the latest request first."""
        listed = (each for unregistered in self._unregistered.values() for each in unregistered)
        return sorted(listed, key=lambda each: each.last_seen, reverse=True)

    def phases(self, kind: str) -> dict[Phase, int]:
        """Return the number of resources of a kind in each phase."""
        return {phase: len(names) for phase, names in self._phases[kind].items()}

    def in_phase(self, kind: str, phase: Phase, most: int) -> list[ResourceName]:
        """Return up to `most` resources of a kind in a phase."""
        return [ResourceName(kind, *name) for name in self._phases[kind][phase].part(0, most)]

    def _fitting(self, names: SortedNames, query: Query) -> Iterator[ObjectName]:
        search, trusted_ca, gateways = query.search, query.trusted_ca, self._stored[GATEWAY]
        for name in names.of(query.namespace) if query.namespace else names:
            stored = gateways[name]
            if search in stored.searched and (not trusted_ca or trusted_ca == stored.trusted_ca):
                yield name

    def _page(self, total: int, rest: Sequence[ObjectName], page: int, size: int) -> Listed:
        lines = [line for name in rest[:size] if (line := self.gateway(name)) is not None]
        return Listed(lines, total, page, max(1, -(-total // size)))

    def _judge_again(self, key: ResourceName, now: datetime) -> None:
        stored = self._stored[key.kind].get(_name(key))
        if stored is None:
            return
        at = changes_at(stored.line, stored.judged, self.check_ins)
        if at is not None and at > now:
            # It came again since the alarm was set.
            self._set_alarm(key, at)
            return
        resource = self.resource(key)
        if resource is not None:
            line = _line(resource, now, self.check_ins)
            self._store(key, msgspec.structs.replace(stored, line=line, judged=now))

    def _store(self, key: ResourceName, stored: _StoredResource) -> None:
        name, before = _name(key), self._stored[key.kind].get(_name(key))
        if before is None or _place_of(before) != _place_of(stored):
            self._remove_from_lists(key)
            self._phases[key.kind][stored.phase].add(name)
            (self._states[stored.line.state] if isinstance(stored.line, GatewayLine) else self._cas).add(name)
        self._stored[key.kind][name] = stored
        at = changes_at(stored.line, stored.judged, self.check_ins)
        if at is not None:
            self._set_alarm(key, at)

    def _set_alarm(self, key: ResourceName, at: datetime) -> None:
        """Set the alarm of a resource; each has one alarm, and an alarm that is too early sets the next one."""
        if key not in self._alarms or at < self._alarms[key]:
            self._alarms[key] = at
            heapq.heappush(self._due, (at, key))
            if len(self._due) > 2 * len(self._alarms) + _SPARE_ALARMS:
                self._due = sorted((each, known) for known, each in self._alarms.items())

    def _remove_from_lists(self, key: ResourceName) -> None:
        name, before = _name(key), self._stored[key.kind].get(_name(key))
        if before is not None:
            self._phases[key.kind][before.phase].discard(name)
            (self._states[before.line.state] if isinstance(before.line, GatewayLine) else self._cas).discard(name)

    def _note(self, key: ResourceName, changes: Iterable[StatusChange]) -> None:
        listed = list(changes)
        self.history.add(key, listed)
        for each in listed:
            if each.kind in _RECENT:
                self._note_recent(key, each)

    def _note_recent(self, key: ResourceName, change: StatusChange) -> None:
        self.recent.insert(0, (key, change))
        del self.recent[MAX_RECENT:]


def phase_of(resource: FleetResource) -> Phase:
    """Return the progress of a resource into force."""
    if resource.condition("Accepted").get("status") == "False":
        return Phase.NOT_ACCEPTED
    for kind, phase in (("Enforced", Phase.ENFORCED), ("Published", Phase.PUBLISHED)):
        if resource.condition(kind).get("status") == "True":
            return phase
    return Phase.WAITING


def _stored_resource(resource: FleetResource, version: str, now: datetime, check_ins: int) -> _StoredResource:
    text = msgspec.json.encode((resource.spec, resource.status, resource.generation))
    line, phase = _line(resource, now, check_ins), phase_of(resource)
    if not isinstance(line, GatewayLine):
        return _StoredResource(version, packed(text), line, now, phase)
    known = (resource.status.get(name, "") for name in ("model", "station"))
    searched = " ".join((line.eui, f"{line.namespace}/{line.name}", *known)).lower()
    return _StoredResource(
        version, packed(text), line, now, phase, searched, sys.intern(clean(ca_of_last_visit(resource), 600))
    )


def _line(resource: FleetResource, now: datetime, check_ins: int) -> GatewayLine | CALine:
    if resource.key.kind == GATEWAY:
        return gateway_line(resource, now, check_ins)
    return ca_line(resource, now)


def _name(key: ResourceName) -> ObjectName:
    return ObjectName(key.namespace, key.name)


def _place_of(stored: _StoredResource) -> tuple[object, ...]:
    return (stored.phase, stored.line.state if isinstance(stored.line, GatewayLine) else None)
