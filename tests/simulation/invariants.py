"""The properties that must hold at every step of a run."""

from collections.abc import Callable
from typing import Any

from stationkeeper_core.errors import Reason
from tests.simulation import fleet
from tests.simulation.api_server import Change, Place, Writer
from tests.simulation.history import History, Key, Spec
from tests.simulation.pods import LATE_SECONDS, REFRESH_SECONDS, Pod
from tests.simulation.removals import Removals
from tests.simulation.users import BYSTANDER, BYSTANDER_EUI
from tests.simulation.uses import uses_of

GUARDED = frozenset({"secrets", "events", "trustedcas", "gateways"})
"""The collections that only the leader writes."""
_KUBELET_SECONDS = REFRESH_SECONDS + LATE_SECONDS
"""The seconds after which a kubelet has refreshed a volume at the latest."""
_UNSEEN_SECONDS = 5.0
_LEASE = Place("leases", fleet.RELEASE, "stationkeeper-operator")


class Invariants:
    """The invariants of one run.

    Args:
        history: what users applied.
        pods: those that let gateways in.
        removals: the removals from the Secrets, and their events.
        now: returns the time of the run.
    """

    def __init__(self, history: History, pods: list[Pod], removals: Removals, now: Callable[[], float]) -> None:
        self._history = history
        self._pods = pods
        self._removals = removals
        self._now = now
        self._floors: dict[tuple[str, Key], tuple[int, float]] = {}
        self._lagging: list[Pod] = []
        self._lease: dict[str, Any] = {}
        self._acted = -1
        self._marked: dict[str, int] = {}

    def sends(self, identity: str, method: str, place: Place) -> Writer | None:
        """Check that an operator may send a request; return the writer, None if it writes nothing of users."""
        if method == "GET" or place.plural not in GUARDED:
            return None
        holder = self._lease.get("holderIdentity")
        assert holder == identity, f"{identity} writes to {place.plural} while {holder} holds the Lease"
        return Writer(identity, self._lease.get("leaseTransitions") or 0)

    def take_in(self, change: Change) -> None:
        """Check a change of the API server."""
        lagging, self._lagging = self._lagging, []
        for pod in lagging:
            self.loaded(pod)
        plural = change.place.plural
        if change.place == _LEASE:
            self._lease = change.object["spec"]
            return
        if plural == "secrets" and change.place.namespace == fleet.RELEASE:
            if change.writer is None:
                self._changed_by_others()
            self._removals.take_in(change)
        if change.writer is not None:
            self._term(change, change.writer)
        if plural in self._history.specs and change.kind == "MODIFIED":
            self._status(change)
        elif plural == "events" and change.object["reason"] == "Enforced":
            self._removed(change.object)

    def loaded(self, pod: Pod) -> None:
        """Check a pod after it has put something in force, or has begun to serve."""
        state = pod.state
        if state is None:
            return
        for document, generation in state.generations.items():
            before = pod.held.get(document, -1)
            assert generation >= before, f"{pod.name} went back from {before} to {generation} of {document}"
            pod.held[document] = generation
        seen = (state.trust, state.snapshot, pod.is_serving)
        if not pod.is_serving or pod.checked == seen:
            return
        self._bystander(pod)
        if any(self._waits_for_kubelet(pod, proven) for _, proven in self._floors.values()):
            self._lagging.append(pod)
        else:
            pod.checked = seen
        for (plural, key), (since, proven) in self._floors.items():
            if not self._waits_for_kubelet(pod, proven):
                self._not_let_in(pod, plural, key, since)

    def _waits_for_kubelet(self, pod: Pod, proven: float) -> bool:
        """Return whether a pod may still lack what was proven at a time.

        A pod that no operator reached since its start serves the documents of its volume after a while. A kubelet needs
        some time for what was published meanwhile (docs/adr/0010-the-operator-hands-documents-over.md).
        """
        if pod.state is None or pod.state.is_latest.is_set():
            return False
        return pod.started < proven and self._now() - proven < _KUBELET_SECONDS

    def _bystander(self, pod: Pod) -> None:
        is_in = pod.trusts(BYSTANDER, BYSTANDER, "bystander-root") and pod.registers(
            BYSTANDER, BYSTANDER, BYSTANDER_EUI
        )
        if is_in:
            pod.knew_bystander = True
        assert is_in or not pod.knew_bystander, f"{pod.name} refuses the bystander, although it never changed"

    def _status(self, change: Change) -> None:
        metadata, key = change.object["metadata"], (change.place.namespace, change.place.name)
        before = {each["type"]: each for each in conditions_of(change.before)}
        for condition in conditions_of(change.object):
            held = before.get(condition["type"])
            if held == condition:
                continue
            spec = self._spec_of(change.place.plural, key, metadata["uid"], condition, held)
            if spec is None:
                continue
            if condition["type"] == "Accepted":
                self._accepted(change.place.plural, key, spec, condition)
            elif condition["type"] == "Enforced" and condition["status"] == "True":
                self._raise(change.place.plural, key, spec.since)

    def _spec_of(
        self, plural: str, key: Key, uid: str, condition: dict[str, Any], held: dict[str, Any] | None
    ) -> Spec | None:
        """Return the spec that a condition is about; it must be a spec of the resource, and not an older one."""
        generation = condition.get("observedGeneration")
        if generation is None:
            return None
        was = (held or {}).get("observedGeneration") or 0
        assert generation >= was, f"{key} said {condition['type']} of generation {was}, and says it of {generation} now"
        found = self._history.spec(plural, key, uid, generation)
        assert found is not None, f"{key} says {condition['type']} of generation {generation}, which it never had"
        return found

    def _accepted(self, plural: str, key: Key, spec: Spec, condition: dict[str, Any]) -> None:
        """Check that a status says only what was true at some moment since its spec existed."""
        is_suspended, says = bool(spec.spec.get("suspended")), condition["reason"] == Reason.SUSPENDED
        if condition["status"] == "True":
            assert not is_suspended, f"{key} is suspended and says that it is accepted"
            is_known = plural == "gateways" or self._history.texts_of(key[0], spec, spec.since)
            assert is_known, f"{key} is accepted, and what it names was never there"
        elif says:
            assert is_suspended, f"{key} says that it is suspended, and is not"

    def _removed(self, event: dict[str, Any]) -> None:
        involved = event["involvedObject"]
        if "its removal was" not in event["message"]:
            return
        plural, key, since = self._removals.told(involved)
        self._raise(plural, key, since)

    def _raise(self, plural: str, key: Key, since: int) -> None:
        """Let no pod accept, from now on, what a resource allowed only before a version."""
        if since > self._floors.get((plural, key), (-1, 0.0))[0]:
            self._floors[plural, key] = since, self._now()
        for pod in self._pods:
            if not pod.is_serving:
                continue
            # An operator that could not reach it may not have seen that it serves now.
            if self._now() - pod.since < _UNSEEN_SECONDS and self._waits_for_kubelet(pod, self._now()):
                self._lagging.append(pod)
                pod.checked = None
            else:
                self._not_let_in(pod, plural, key, since)

    def _not_let_in(self, pod: Pod, plural: str, key: Key, since: int) -> None:
        for use in uses_of(plural, key):
            assert not use.is_let_in(pod, key) or use.was_allowed(self._history, key, since), (
                f"{pod.name} lets {use.what} in by {plural} {key}, which took that away before {since}"
            )

    def _term(self, change: Change, writer: Writer) -> None:
        """Check that nothing is written for an ended term, after a later one relies on what it read."""
        where = f"{change.place.plural} {change.place.namespace}/{change.place.name}"
        if change.place.plural == "secrets":
            assert writer.term >= self._acted, f"{where} was written for term {writer.term} after {self._acted} acted"
            before = (change.before or {}).get("data")
            if change.object.get("data") == before:
                return
        elif change.place.plural != "events":
            last = self._marked.get(change.object["metadata"]["uid"], -1)
            assert writer.term >= last, f"{where} was written for term {writer.term} after {last}"
            self._marked[change.object["metadata"]["uid"]] = writer.term
        self._acted = max(self._acted, writer.term)

    def _changed_by_others(self) -> None:
        """Take in that another person changed a Secret, which defines what is in force.

        If the spec of a resource is unusable at that moment, the restored record stays in force. A person who can write
        these Secrets can let anybody in, see the threat model.
        """
        self._floors.clear()


def conditions_of(found: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the conditions in the status of an object."""
    return list(((found or {}).get("status") or {}).get("conditions") or ())
