"""The properties that must hold at every moment of a run, checked by real gateways and the pods' reports."""

import asyncio
import itertools
import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_tools.gateway_client import RefusedError, update_info
from tests.cups.client import get_internal
from tests.perturbation import fleet
from tests.perturbation.cups_pods import CupsPod
from tests.perturbation.fleet import Identities
from tests.perturbation.reference import Key, Reference
from tests.perturbation.statuses import Statuses

_PAUSE_SECONDS = 0.02
LET_IN = "let in"


class Question(NamedTuple):
    """A request of a gateway.

    Attributes:
        pod: the pod that it asks.
        root: the root of its certificate.
        eui: its number.
    """

    pod: CupsPod
    root: str
    eui: EUI64


class Checks:
    """The checks of one stage.

    Args:
        pods: the pods that gateways ask.
        identities: the certificates of the gateways.
        reference: what users applied.
        lock: held during a user's change.
        statuses: the followed statuses; they must call `enforced` and `removed` here.

    Attributes:
        findings: the violations, each once.
        asked: how often a gateway asked.
    """

    def __init__(
        self, pods: Sequence[CupsPod], identities: Identities, reference: Reference, lock: threading.RLock
    ) -> None:
        self._pods = pods
        self._identities = identities
        self._reference = reference
        self._lock = lock
        self.statuses: Statuses | None = None
        self._floors: dict[Key, int] = {}
        self._generations: dict[tuple[str, str], int] = {}
        self._done = threading.Event()
        self._chance = random.Random(0)  # noqa: S311 - which question comes next
        self._threads: list[threading.Thread] = []
        self.findings: list[str] = []
        self.asked = 0

    # -- reports of statuses and events

    def enforced(self, key: Key, uid: str, generation: int) -> None:
        """Take in that a status says `Enforced`: trust removed before that generation must not let a gateway in."""
        with self._lock:
            moment = self._reference.began(key, uid, generation)
            if moment is None:
                self.found(f"{'/'.join(key)} says Enforced of generation {generation}, which it never had")
                return
            self._floors[key] = max(moment, self._floors.get(key, 0))

    def removed(self, key: Key, uid: str) -> None:
        """Take in that an event says that a removal is enforced."""
        with self._lock:
            moment = self._reference.ended(key, uid)
            if moment is None:
                self.found(f"the removal of {'/'.join(key)} is told, and it is there")
                return
            self._floors[key] = max(moment, self._floors.get(key, 0))

    def found(self, what: str) -> None:
        """Record a violation."""
        if what not in self.findings:
            self.findings.append(what)

    # -- asking throughout a run

    def begin(self) -> None:
        """Let gateways ask from now on."""
        self._done.clear()
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._ask_on, self._look_on)]
        for each in self._threads:
            each.start()

    def end(self) -> None:
        """Stop the gateways."""
        self._done.set()
        for each in self._threads:
            each.join()

    def answer(self, question: Question) -> str:
        """Return `let in`, or the reason of the refusal."""
        self.asked += 1
        try:
            answer = update_info(question.pod.url, self._identities.of(question.root, question.eui), question.eui)
        except RefusedError as error:
            return str(error)
        except (OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        is_token = self._reference.token.encode() in answer.tc_credentials
        return LET_IN if is_token or question.root == fleet.BYSTANDER else "let in with an older token"

    def _ask_on(self) -> None:
        for pod in itertools.cycle(self._pods):
            if self._done.wait(_PAUSE_SECONDS):
                return
            self._bystander(pod)
            root, eui = self._next()
            self._ask_one(Question(pod, root, eui))

    def _bystander(self, pod: CupsPod) -> None:
        answer = self.answer(Question(pod, fleet.BYSTANDER, fleet.BYSTANDER_EUI))
        if answer != LET_IN:
            self.found(f"{pod.name} refuses the bystander, which nobody changed: {answer}")

    def _next(self) -> tuple[str, EUI64]:
        """Draw the next gateway; prefer one that must no longer be accepted."""
        pairs = list(itertools.product(fleet.ROOTS, fleet.EUIS))
        with self._lock:
            shut_out = [pair for pair in pairs if self._shut_out(*pair)]
        return self._chance.choice(shut_out if shut_out and self._chance.random() < 0.7 else pairs)

    def _ask_one(self, question: Question) -> None:
        pod, root, eui = question
        with self._lock:
            before, claimed, shut_out = self._reference.now, self._claimed(root, eui), self._shut_out(root, eui)
        answer = self.answer(question)
        is_in = answer.startswith(LET_IN)
        with self._lock:
            if is_in and shut_out and self._shut_out(root, eui):
                self.found(f"{pod.name} lets {format_hex(eui)} in by {root}: {shut_out}")
            if not is_in and claimed and self._reference.now == before:
                self.found(f"{pod.name} refuses {format_hex(eui)} by {root}, of which Enforced is shown: {answer}")

    def _shut_out(self, root: str, eui: EUI64) -> str:
        """Return the proof that such a gateway must be refused; empty if there is none."""
        for key, what in ((("trustedcas", _owner(root)), root), (_registrar(eui), format_hex(eui))):
            floor = self._floors.get(key)
            if floor is not None and not self._reference.allowed_since(key, what, floor):
                return f"{'/'.join(key)} was enforced after that was taken away"
        return ""

    def _claimed(self, root: str, eui: EUI64) -> bool:
        """Return whether statuses say that the resources that let a gateway in are enforced."""
        keys = ("trustedcas", _owner(root)), _registrar(eui)
        present = {
            (plural, name): spec
            for plural in ("trustedcas", "gateways")
            for name, spec in self._reference.present(plural)
        }
        for key, what in zip(keys, (root, format_hex(eui)), strict=True):
            spec, shown = present.get(key), self.statuses.shown.get(key) if self.statuses is not None else None
            if spec is None or shown is None or spec.uid != shown.uid or what not in spec.allows:
                return False
            if not all(shown.says(each, spec.generation) for each in ("Accepted", "Enforced")):
                return False
        return True

    def _look_on(self) -> None:
        while not self._done.wait(5 * _PAUSE_SECONDS):
            for pod in self._pods:
                with suppress(OSError, json.JSONDecodeError):
                    self._look(pod)

    def _look(self, pod: CupsPod) -> None:
        told = asyncio.run(get_internal(pod.internal_port, "/generation", pod.token))
        if told.status != 200:
            return
        for document, generation in told.json()["generations"].items():
            before = self._generations.get((pod.name, document), -1)
            if generation < before:
                self.found(f"{pod.name} went back from {before} to {generation} of {document}")
            self._generations[pod.name, document] = generation

    # -- the end of a run

    def settled(self, seconds: float) -> list[str]:
        """Wait, for that many seconds, until everything is as users applied it; return the differences that remain."""
        ends = time.monotonic() + seconds
        while True:
            wrong = list(self._wrong())
            if not wrong or time.monotonic() > ends:
                return wrong
            time.sleep(0.1)

    def _wrong(self) -> Iterator[str]:
        """Return what is not as users applied it: first in the statuses; only if these are right, in the pods."""
        wrong = list(self._not_shown())
        yield from wrong
        if wrong:
            return
        for pod, root, eui in itertools.product(self._pods, fleet.ROOTS, fleet.EUIS):
            answer = self.answer(Question(pod, root, eui))
            must = self._reference.lets_in(root, format_hex(eui))
            if must != (answer == LET_IN):
                yield f"{pod.name} must {'' if must else 'not '}let {format_hex(eui)} in by {root}: {answer}"

    def _not_shown(self) -> Iterator[str]:
        for plural in ("trustedcas", "gateways"):
            for name, spec in self._reference.present(plural):
                shown = self.statuses.shown.get((plural, name)) if self.statuses is not None else None
                if shown is None or shown.uid != spec.uid:
                    yield f"{plural}/{name} is not shown"
                    continue
                for condition in ("Accepted", "Enforced"):
                    says = shown.says if spec.allows or spec.secret else shown.speaks
                    if not says(condition, spec.generation):
                        yield f"{plural}/{name} shows {condition} {shown.conditions.get(condition)}"


def _owner(root: str) -> str:
    return root.rpartition("-")[0]


def _registrar(eui: EUI64) -> Key:
    return "gateways", next(name for name, euis in fleet.EUIS_OF.items() if eui in euis)
