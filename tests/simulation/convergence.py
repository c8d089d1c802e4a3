"""The properties that must hold some time after all faults have ended."""

import base64
from collections.abc import Iterator

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.published.documents import decode
from tests.simulation import fleet
from tests.simulation.api_server import ApiServer, Place, RefusedError
from tests.simulation.history import History, Key, Spec, takes_tokens
from tests.simulation.invariants import conditions_of
from tests.simulation.pods import Pod, secret_place
from tests.simulation.removals import Removals
from tests.simulation.uses import uses_of


class Convergence:
    """The convergence of one run.

    Args:
        history: what users applied.
        pods: those that let gateways in.
        removals: the removals from the Secrets, and their events.
        server: has what the operators wrote.
        is_full: whether the Secrets have no space for everything that users wrote.
    """

    def __init__(
        self,
        history: History,
        pods: list[Pod],
        removals: Removals,
        server: ApiServer,
        *,
        is_full: bool = False,
    ) -> None:
        self._history = history
        self._pods = pods
        self._removals = removals
        self._server = server
        self._is_full = is_full

    def wrong(self) -> Iterator[str]:
        """Return the violations; empty if there are none."""
        for pod in self._pods:
            if not pod.is_serving:
                yield f"{pod.name} does not serve"
                continue
            yield from self._unlike_secrets(pod)
            for plural in ("trustedcas", "gateways"):
                for key in self._history.specs[plural]:
                    yield from self._unlike_users(pod, plural, key)
        for plural in ("trustedcas", "gateways"):
            for key, spec in self._history.present(plural):
                yield from self._shown(plural, key, spec)
        yield from self._removals.untold()

    def _unlike_secrets(self, pod: Pod) -> Iterator[str]:
        assert pod.state is not None
        loaded = pod.state.generations
        for document in pod.documents:
            published = self._published(document)
            if published is None or published != loaded.get(document):
                yield f"{pod.name} has generation {loaded.get(document)} of {document}, {published} is published"

    def _published(self, document: str) -> int | None:
        try:
            encoded = (self._server.get(secret_place(document)).get("data") or {}).get(document, "")
            return decode(document, base64.b64decode(encoded)).header.generation
        except (RefusedError, StationkeeperError):
            return None

    def _unlike_users(self, pod: Pod, plural: str, key: Key) -> Iterator[str]:
        last = self._history.specs[plural][key][-1]
        since = last.since if last.until is None else last.until
        is_doubtful = plural == "gateways" and last.until is None and self._is_contested(key, last)
        for use in uses_of(plural, key):
            is_in = use.is_let_in(pod, key)
            allowed = use.is_allowed(self._history, key, last) if last.until is None else False
            if allowed is None or is_doubtful:
                # The last good state stays in force.
                continue
            if is_in and not allowed and not use.was_allowed(self._history, key, since):
                yield f"{pod.name} still lets {use.what} in by {plural} {key}"
            if allowed and not is_in and not self._is_full:
                yield f"{pod.name} does not let {use.what} in by {plural} {key}"

    def _is_contested(self, key: Key, spec: Spec) -> bool:
        """Return whether another Gateway of the namespace has the EUI, or had it when this one was refused for it."""
        eui = spec.spec["eui"]
        others = (each for other, each in self._history.present("gateways") if other[0] == key[0] and other != key)
        return any(each.spec["eui"] == eui for each in others)

    def _shown(self, plural: str, key: Key, spec: Spec) -> Iterator[str]:
        shown = {each["type"]: each for each in conditions_of(self._server.get(Place(plural, *key)))}
        for kind in ("Accepted", "Enforced"):
            condition = shown.get(kind)
            if condition is None or condition["observedGeneration"] != spec.generation:
                yield f"{plural} {key} shows no {kind} of its generation {spec.generation}"
            elif condition["status"] != "True" and self._must_hold(plural, key, spec, kind):
                yield f"{plural} {key} shows {kind} {condition['status']}: {condition['message']}"

    def _must_hold(self, plural: str, key: Key, spec: Spec, kind: str) -> bool:
        if self._is_full or key[0] not in fleet.NAMESPACES:
            return False
        if spec.spec.get("suspended"):
            return kind == "Enforced" and plural == "trustedcas"
        if plural == "trustedcas":
            return "certificates" in spec.spec or self._history.texts[key[0]][-1][1] is not None
        is_readable = not takes_tokens(spec.spec) or self._history.tokens[key[0]][-1][1] is not None
        return is_readable and not self._is_contested(key, spec)


def first(problems: list[str], most: int = 3) -> str:
    """Return the first problems as a text."""
    return "; ".join(problems[:most])
