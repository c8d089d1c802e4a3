"""One run: a release with two operators and three CUPS pods, users, faults, and an end in peace."""

import asyncio
import logging
import random
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from stationkeeper_core.published.operator_proof import OperatorCertificate
from stationkeeper_core.setting_values import Address
from stationkeeper_operator.api.leadership import Leadership
from stationkeeper_operator.runtime import Operator
from stationkeeper_operator.settings import Settings
from stationkeeper_operator.watching.reports import Report
from tests.operator_key import OperatorPair, make_operator_pair
from tests.simulation.api_client import Link, SimulatedApi
from tests.simulation.api_server import ApiServer, Change, Place
from tests.simulation.faults import Faults
from tests.simulation.fleet import EPOCH, RELEASE
from tests.simulation.history import History
from tests.simulation.invariants import Invariants
from tests.simulation.kopf_watch import SimulatedWatch
from tests.simulation.loop import WORLD, Process, SimulatedLoop, process
from tests.simulation.pods import DOCUMENTS, REFRESH_SECONDS, Pod, Pods, SimulatedPodClient, secret_place
from tests.simulation.users import Users

ACTIVE_SECONDS = 40.0
CONVERGE_SECONDS = 150.0
REST_SECONDS = 30.0


@dataclass
class Outcome:
    """How a run ended.

    Attributes:
        seed: of the run.
        failure: what did not hold; empty where all held.
        trace: what happened, in order.
        counts: of faults and of what users did.
        seconds: of virtual time.
        steps: of the loop.
        events: how many deeds of users and faults were drawn.
    """

    seed: int
    failure: str = ""
    trace: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    steps: int = 0
    events: int = 0


@dataclass(eq=False)
class OperatorReplica:
    """A pod of the operator.

    Attributes:
        identity: in the Lease; of the pod, so that a process that follows another has the same.
        process: the present one; None while none runs.
        link: its way to the API server.
    """

    identity: str
    link: Link
    process: Process | None = None


class Run:
    """One run.

    Args:
        seed: draws all that happens.
        disabled: numbers of users' deeds and faults that are left out, for shrinking a failure.
    """

    def __init__(self, seed: int, disabled: frozenset[int] = frozenset()) -> None:
        self.outcome = Outcome(seed)
        self._chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._disabled = disabled
        self.loop = SimulatedLoop(self._fork())  # type: ignore[abstract] # what nobody calls is not there
        self.server = ApiServer()
        self.history = History()
        certificate = OperatorCertificate(_pair().certificate_pem)
        self.pods = Pods(self.loop, self.server, self._fork(), certificate, self._loaded)
        self._client = SimulatedPodClient(self.loop, self.pods, self._fork(), certificate, self._loaded)
        self.invariants = Invariants(self.history, self.pods.pods)
        self.invariants.current = self._current  # type: ignore[method-assign]
        self.operators = [OperatorReplica(f"operator-{number}", Link(self._fork())) for number in range(2)]
        self.server.on_change.append(self._changed)
        self._events = 0
        self._quiet_since = 0.0

    def _fork(self) -> random.Random:
        return random.Random(self._chance.getrandbits(64))  # noqa: S311 - reproducible, not secret

    def run(self) -> Outcome:
        """Run to the end."""
        with ExitStack() as stack:
            for target, value in self._replacements():
                stack.enter_context(mock.patch(target, value))
            logging.disable(logging.CRITICAL)
            try:
                self.loop.run(self._scenario())
            except AssertionError as failure:
                self.outcome.failure = str(failure) or type(failure).__name__
            finally:
                logging.disable(logging.NOTSET)
        self.outcome.seconds, self.outcome.steps = self.loop.time(), self.loop.steps
        self.outcome.events = self._events
        for replica in self.operators:
            self.outcome.counts.update(replica.link.drawn)
        return self.outcome

    def _replacements(self) -> list[tuple[str, Any]]:
        """Return what reads a clock, draws at random or opens sockets, and what takes its place."""
        return [
            ("random.uniform", self._fork().uniform),
            ("secrets.token_hex", lambda size: f"{self._chance.getrandbits(8 * size):0{2 * size}x}"),
            ("stationkeeper_operator.observing.gatherer.PodClient", lambda _token: self._client),
        ]

    async def _scenario(self) -> None:
        for document in DOCUMENTS:
            place = secret_place(document)
            self.server.create(Place("secrets", RELEASE), {"metadata": {"name": place.name}})
        users = Users(self.server, self._fork(), self._note_deed, self.is_left_out)
        users.begin()
        for replica in self.operators:
            self.start_operator(replica)
        self.pods.begin()
        faults = Faults(self, self._fork())
        acting = self.loop.spawn(WORLD, users.run(ACTIVE_SECONDS))
        failing = self.loop.spawn(WORLD, faults.run(ACTIVE_SECONDS))
        await acting
        await failing
        faults.end()
        self.note("all faults have ended")
        await self._converge()
        await self._rest()

    async def _converge(self) -> None:
        ends = self.loop.time() + CONVERGE_SECONDS
        while wrong := list(self.invariants.converged()):
            assert self.loop.time() < ends, f"after {CONVERGE_SECONDS:.0f} s in peace: {'; '.join(wrong[:3])}"
            await asyncio.sleep(1.0)
        self.note("converged")

    async def _rest(self) -> None:
        """In peace, nothing is written but the Lease."""
        # Until then a kubelet may still lay what was in a Secret before, which a pod refuses and an event tells.
        await asyncio.sleep(REFRESH_SECONDS + REST_SECONDS)
        self._quiet_since = self.loop.time()
        await asyncio.sleep(REST_SECONDS)
        self._quiet_since = 0.0
        wrong = list(self.invariants.converged())
        assert not wrong, f"in peace it did not last: {'; '.join(wrong[:3])}"

    def start_operator(self, replica: OperatorReplica) -> None:
        """Start a process of an operator's pod."""
        started = Process(f"{replica.identity}/{self.loop.steps}")
        replica.process = started
        api = SimulatedApi(self.loop, self.server, replica.link)

        def watch(report: Callable[[Report], None]) -> SimulatedWatch:
            return SimulatedWatch(api, report)

        def lead(changed: Callable[[], None]) -> Leadership:
            return Leadership(api, RELEASE, replica.identity, changed=changed)

        async def main() -> None:
            try:
                await Operator(_settings(replica.identity), api, watch, lead, now=_now).run(asyncio.Event())
            except Exception as error:
                text = "".join(traceback.format_exception(error))
                self.loop.fail(AssertionError(f"{replica.identity} ended by itself: {text}"))

        self.loop.spawn(started, main())

    def note(self, what: str) -> None:
        """Write a line of the trace."""
        self.outcome.trace.append(f"{self.loop.time():9.3f} {what}")

    def is_left_out(self) -> bool:
        """Whether the next deed or fault is left out, since a failure is being shrunk."""
        self._events += 1
        return self._events in self._disabled

    def _note_deed(self, what: str) -> None:
        self.outcome.counts[what] += 1
        self.note(f"user: {what}")

    def _changed(self, change: Change) -> None:
        if change.place.plural not in {"leases", "pods"}:
            self.note(f"api: {change.kind} {change.place.plural} {change.place.namespace}/{change.place.name}")
            if self._quiet_since:
                text = f"in peace, {change.place.plural} {change.place.namespace}/{change.place.name} was written"
                self.loop.fail(AssertionError(text))
        self.history.take_in(change)
        try:
            self.invariants.take_in(change)
        except AssertionError as failure:
            self.loop.fail(failure)

    def _loaded(self, pod: Pod) -> None:
        try:
            self.invariants.loaded(pod)
        except AssertionError as failure:
            self.loop.fail(failure)

    def _current(self, plural: str, key: tuple[str, str]) -> dict[str, Any] | None:
        return self.server.get(Place(plural, *key))


def _now() -> datetime:
    running = asyncio.get_running_loop()
    return EPOCH + timedelta(seconds=running.time() + process().clock_ahead)


@cache
def _pair() -> OperatorPair:
    return make_operator_pair()


@cache
def _files() -> tuple[Path, Path]:
    folder = Path(tempfile.mkdtemp(prefix="stationkeeper-simulation-"))
    token, key = folder / "token", folder / "key"
    token.write_text("a-token-of-the-simulation-that-is-long-enough")
    key.write_bytes(_pair().key_pem)
    return token, key


@cache
def _settings(identity: str) -> Settings:
    token, key = _files()
    return Settings(
        namespace=RELEASE,
        watch_namespaces=(),
        identity=identity,
        health=Address("127.0.0.1", 0),
        kubeconfig=None,
        internal_token=token,
        signing_key=key,
        log_level="ERROR",
    )
