"""What must hold at every step of a run, and at its end."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.simulation import fleet
from tests.simulation.api_server import Change
from tests.simulation.history import History, Key
from tests.simulation.pods import Pod
from tests.simulation.users import BYSTANDER, BYSTANDER_EUI, NAMES, all_roots, euis

PLURALS = {"TrustedCA": "trustedcas", "Gateway": "gateways"}


class Invariants:
    """Of one run.

    Args:
        history: what users applied.
        pods: those that let gateways in.
        at: the version of the API server.
    """

    def __init__(self, history: History, pods: list[Pod]) -> None:
        self._history = history
        self._pods = pods
        self._floors: dict[tuple[str, Key], int] = {}
        self._told: Counter[tuple[str, str]] = Counter()
        self._terms: dict[str, list[str]] = {}

    def take_in(self, change: Change) -> None:
        """Check a change of the API server."""
        plural = change.place.plural
        if plural in self._history.specs and change.kind == "MODIFIED":
            self._status(change)
        elif plural == "events" and change.object["reason"] == "Enforced":
            self._removed(change.object)
        elif plural == "secrets":
            self._term(change)

    def loaded(self, pod: Pod) -> None:
        """Check a pod after it has put something in force, or begins to serve."""
        state = pod.state
        if state is None:
            return
        for document, generation in state.generations.items():
            before = pod.held.get(document, -1)
            assert generation >= before, f"{pod.name} went back from {before} to {generation} of {document}"
            pod.held[document] = generation
        if not pod.is_serving:
            return
        self._bystander(pod)
        for (plural, key), since in self._floors.items():
            self._not_let_in(pod, plural, key, since)

    def _bystander(self, pod: Pod) -> None:
        is_in = pod.trusts(BYSTANDER, BYSTANDER, fleet.der("bystander-root")) and pod.registers(
            BYSTANDER, BYSTANDER, BYSTANDER_EUI
        )
        if is_in:
            pod.knew_bystander = True
        assert is_in or not pod.knew_bystander, f"{pod.name} refuses the bystander, whom nobody changed"

    def _status(self, change: Change) -> None:
        metadata, key = change.object["metadata"], (change.place.namespace, change.place.name)
        before = {each["type"]: each for each in _conditions(change.before)}
        for condition in _conditions(change.object):
            if condition["type"] != "Enforced" or condition["status"] != "True" or before.get("Enforced") == condition:
                continue
            generation = condition["observedGeneration"]
            since = self._history.began(change.place.plural, key, metadata["uid"], generation)
            assert since is not None, f"{key} says Enforced of generation {generation}, which it never had"
            self._raise(change.place.plural, key, since)

    def _removed(self, event: dict[str, Any]) -> None:
        involved = event["involvedObject"]
        if "its removal was" not in event["message"]:
            return
        plural, key = PLURALS[involved["kind"]], (involved["namespace"], involved["name"])
        self._told[involved["kind"], involved["uid"]] += 1
        assert self._told[involved["kind"], involved["uid"]] == 1, f"the removal of {key} was told twice"
        since = self._history.ended(plural, key, involved["uid"])
        assert since is not None, f"the removal of {key} was told, and it is there"
        self._raise(plural, key, since)

    def _raise(self, plural: str, key: Key, since: int) -> None:
        """From now on, no pod lets in by what a resource said before a version."""
        self._floors[plural, key] = max(since, self._floors.get((plural, key), 0))
        for pod in self._pods:
            if pod.is_serving:
                self._not_let_in(pod, plural, key, since)

    def _not_let_in(self, pod: Pod, plural: str, key: Key, since: int) -> None:
        for what, is_in, may in _uses(self._history, pod, plural, key, since):
            assert may or not is_in, f"{pod.name} lets {what} in by {plural} {key}, which took that away before {since}"

    def _term(self, change: Change) -> None:
        """A Secret is never written for a term that had ended before."""
        term = (change.object["metadata"].get("annotations") or {}).get("stationkeeper.io/term", "")
        terms = self._terms.setdefault(change.place.name, [])
        if not terms or terms[-1] != term:
            assert term not in terms, f"{change.place.name} was written for the term {term!r} after {terms[-1]!r}"
            terms.append(term)

    def may_be_told_again(self) -> None:
        """Take in that somebody put removed resources back into a Secret, which says what is in force.

        Where the spec of such a resource cannot be taken just then, what was put back stays in force. A person who can
        write these Secrets can let in anybody, see the threat model.
        """
        self._told.clear()
        self._floors.clear()

    def converged(self) -> Iterator[str]:
        """Return what is not as it has to be once all faults have ended; nothing where all is well."""
        for pod in self._pods:
            if not pod.is_serving:
                yield f"{pod.name} does not serve"
                continue
            for plural in ("trustedcas", "gateways"):
                for key in self._history.specs[plural]:
                    yield from self._differs(pod, plural, key)
        for plural in ("trustedcas", "gateways"):
            for key, spec in self._history.present(plural):
                yield from self._shown(plural, key, spec.generation)

    def _differs(self, pod: Pod, plural: str, key: Key) -> Iterator[str]:
        for what, is_in, must, may in _final(self._history, pod, plural, key):
            if is_in and not may:
                yield f"{pod.name} still lets {what} in by {plural} {key}"
            if must and not is_in:
                yield f"{pod.name} does not let {what} in by {plural} {key}"

    def _shown(self, plural: str, key: Key, generation: int) -> Iterator[str]:
        shown = {each["type"]: each for each in _conditions(self.current(plural, key))}
        for kind in ("Accepted", "Enforced"):
            condition = shown.get(kind)
            if condition is None or condition["observedGeneration"] != generation:
                yield f"{plural} {key} shows no {kind} of its generation {generation}"

    def current(self, plural: str, key: Key) -> dict[str, Any] | None:
        """Return an object as it is; set by the run."""
        raise NotImplementedError


def _uses(history: History, pod: Pod, plural: str, key: Key, since: int) -> Iterator[tuple[str, bool, bool]]:
    """Return each use of a resource: what, whether the pod allows it, whether any spec since a version allows it."""
    namespace, name = key
    if plural == "trustedcas":
        for root in _roots(namespace, name):
            is_in = pod.trusts(namespace, name, fleet.der(root))
            yield root, is_in, is_in and history.trusts(key, fleet.pem(root), since)
    else:
        for eui in _euis(namespace):
            is_in = pod.registers(namespace, name, eui)
            yield eui, is_in, is_in and history.registers(key, eui, since)


def _final(history: History, pod: Pod, plural: str, key: Key) -> Iterator[tuple[str, bool, bool, bool]]:
    """Return each use of a resource: what, whether the pod allows it, whether it must, and whether it may."""
    last = history.specs[plural][key][-1]
    for what, is_in, may in _uses(history, pod, plural, key, last.since if last.until is None else last.until):
        must = may_now = last.until is None and not last.spec.get("suspended")
        if may_now and plural == "trustedcas" and "certificates" in last.spec:
            must = may_now = fleet.pem(what) in last.spec["certificates"]
        elif may_now and plural == "trustedcas":
            text = history.texts.get((key[0], "roots"), [(0, None)])[-1][1]
            # What was in force stays while its ConfigMap is missing; what never was cannot be.
            must, may_now = text is not None and fleet.pem(what) in text, text is None or fleet.pem(what) in text
        elif may_now:
            must = may_now = last.spec["eui"] == what
        yield what, is_in, must, may_now and (may or may_now)


def _roots(namespace: str, name: str) -> tuple[str, ...]:
    if namespace not in fleet.NAMESPACES or name not in NAMES:
        return ()
    return (*all_roots(namespace, name), *all_roots(namespace, "roots"))


def _euis(namespace: str) -> tuple[str, ...]:
    return euis(namespace) if namespace in fleet.NAMESPACES else ()


def _conditions(found: dict[str, Any] | None) -> list[dict[str, Any]]:
    return list(((found or {}).get("status") or {}).get("conditions") or ())
