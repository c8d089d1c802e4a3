"""One run: a release with two operators and three CUPS pods, users, faults, and a quiet end."""

import asyncio
import gc
import logging
import random
import tempfile
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from stationkeeper_core.eui64 import parse_hex
from stationkeeper_core.published.operator_proof import OperatorCertificate
from stationkeeper_core.published.registry_layout import BUCKETS, TRUST, layout_of
from stationkeeper_core.setting_values import Address
from stationkeeper_operator.api.leadership import Leadership, Timing
from stationkeeper_operator.compiling.fitting.document_space import AUTHORITIES, TRUST_BOUNDS, Bound
from stationkeeper_operator.runtime import VERIFY_SECONDS, Operator
from stationkeeper_operator.settings import Settings
from stationkeeper_operator.watching.reports import Report
from tests.operator_key import OperatorPair, make_operator_pair
from tests.simulation.api_client import Link, SimulatedApi
from tests.simulation.api_server import ApiServer, Change, Place, Writer
from tests.simulation.convergence import Convergence, first
from tests.simulation.faults import Faults
from tests.simulation.fleet import EPOCH, NAMESPACES, RELEASE
from tests.simulation.history import History
from tests.simulation.invariants import Invariants
from tests.simulation.kopf_watch import SimulatedWatch
from tests.simulation.loop import WORLD, Process, SimulatedLoop, process
from tests.simulation.pods import REFRESH_SECONDS, Pod, Pods, SimulatedPodClient, secret_place
from tests.simulation.removals import Removals
from tests.simulation.scene import OperatorReplica, Outcome
from tests.simulation.users import Users, euis

ACTIVE_SECONDS = 40.0
CONVERGE_SECONDS = 150.0
RESYNC_SECONDS = 300.0
"""The seconds after which a LIST shows the result of lost events."""
REST_SECONDS = 15.0
_SHARE_FULL = 0.1
_FEW = Bound(most=4, share=1, shares=2, release_share=0)


class Run:
    """One run.

    Args:
        seed: draws all that happens.
        left_out: numbers of users' deeds and faults that are left out, for shrinking a failure.

    Attributes:
        outcome: how it ends.
        loop, server, pods, client, users, operators: its parts.
        buckets: the count of registry documents that the release is configured with.
        loses_events: whether a watch may not have shown something.
    """

    def __init__(self, seed: int, left_out: frozenset[int] = frozenset()) -> None:
        self.outcome = Outcome(seed)
        self._chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._left_out = left_out
        self.loop = SimulatedLoop(self._fork())  # type: ignore[abstract] # the missing methods are never called
        self.server = ApiServer()
        history = self._history = History()
        certificate = OperatorCertificate(_pair().certificate_pem)
        self.pods = Pods(self.loop, self.server, self._fork(), certificate, self._loaded)
        self.client = SimulatedPodClient(self.loop, self.pods, self._fork(), certificate, self._loaded)
        removals = Removals(history)
        self._invariants = Invariants(history, self.pods.pods, removals, self.loop.time)
        self._is_full = self._chance.random() < _SHARE_FULL
        self._convergence = Convergence(history, self.pods.pods, removals, self.server, is_full=self._is_full)
        self.operators = [OperatorReplica(f"operator-{number}", Link(self._fork())) for number in range(2)]
        self.users = Users(self.server, self._fork(), self._note_deed, self.is_left_out)
        self._faults = Faults(self, self._fork())
        self.server.on_change.append(self._changed)
        self.buckets = BUCKETS
        self.loses_events = False
        self._events = 0
        self._quiet_since = 0.0

    def _fork(self) -> random.Random:
        return random.Random(self._chance.getrandbits(64))  # noqa: S311 - reproducible, not secret

    def run(self) -> Outcome:
        """Run to the end."""
        # Collect the objects of killed processes now: their collection closes them, which must not happen during
        # another run.
        gc.collect()
        gc.disable()
        with ExitStack() as stack:
            stack.callback(gc.enable)
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
        self.outcome.events, self.outcome.kinds = self._events, frozenset(self._faults.names)
        for replica in self.operators:
            self.outcome.counts.update(replica.link.drawn)
        return self.outcome

    def _replacements(self) -> list[tuple[str, Any]]:
        """Return the functions that read a clock, draw at random or open sockets, with their replacements."""
        return [
            ("random.uniform", self._fork().uniform),
            ("gc.freeze", lambda: None),
            ("gc.unfreeze", lambda: None),
            ("secrets.token_hex", lambda size: f"{self._chance.getrandbits(8 * size):0{2 * size}x}"),
            ("stationkeeper_operator.turns.rollout_loop.PodClient", lambda _token: self.client),
            (
                "stationkeeper_operator.compiling.trust.trust_compiler.TRUST_BOUNDS",
                tuple(_FEW if self._is_full and each is AUTHORITIES else each for each in TRUST_BOUNDS),
            ),
        ]

    async def _scenario(self) -> None:
        for document in layout_of(self.buckets).documents:
            place = secret_place(document)
            self.server.create(Place("secrets", RELEASE), {"metadata": {"name": place.name}})
        self.users.begin()
        for replica in self.operators:
            self.start_operator(replica)
        self.pods.begin()
        acting = self.loop.spawn(WORLD, self.users.run(ACTIVE_SECONDS))
        failing = self.loop.spawn(WORLD, self._faults.run(ACTIVE_SECONDS))
        await acting
        await failing
        self._faults.end()
        self.note("all faults have ended")
        await self._converge()
        await self._rest()

    async def _converge(self) -> None:
        seconds = CONVERGE_SECONDS + (RESYNC_SECONDS if self.loses_events else 0.0)
        ends = self.loop.time() + seconds
        while wrong := list(self._convergence.wrong()):
            assert self.loop.time() < ends, f"after {seconds:.0f} s in peace: {first(wrong)}"
            await asyncio.sleep(2.0)
        self.note("converged")

    async def _rest(self) -> None:
        """Check that without faults and users, only the Lease is written."""
        # Until then a kubelet may still write an older Secret, which a pod refuses and an event reports; and after a
        # leader that was frozen at the end, the next one may delete notes of removals at its first verification.
        await asyncio.sleep(REFRESH_SECONDS + 5.0 + Timing().duration + VERIFY_SECONDS)
        self._quiet_since = self.loop.time()
        await asyncio.sleep(REST_SECONDS)
        self._quiet_since = 0.0
        wrong = list(self._convergence.wrong())
        assert not wrong, f"in peace it did not last: {first(wrong)}"

    def published_places(self) -> list[Place]:
        """Return the Secrets that may have data of users, first the one of the trust."""
        layout = layout_of(self.buckets)
        numbers = [parse_hex(eui) for namespace in NAMESPACES for eui in euis(namespace)]
        registry = {layout.document_of(number) for number in numbers if number is not None}
        return [secret_place(document) for document in (TRUST, *sorted(registry))]

    def kill_operator(self, replica: OperatorReplica) -> None:
        """End the process of an operator's pod, if there is one."""
        if replica.process is not None:
            replica.process.alive = False
            replica.process = None

    def start_operator(self, replica: OperatorReplica) -> None:
        """Start a process of an operator's pod, if there is none."""
        if replica.process is not None:
            return
        started = Process(f"{replica.identity}/{self.loop.steps}")
        replica.process = started
        settings = _settings(replica.identity, self.buckets)

        def sends(method: str, place: Place) -> Writer | None:
            try:
                return self._invariants.sends(replica.identity, method, place)
            except AssertionError as failure:
                self.loop.fail(failure)
                raise

        api = SimulatedApi(self.loop, self.server, replica.link, sends)

        def watch(report: Callable[[Report], None]) -> SimulatedWatch:
            return SimulatedWatch(api, report)

        def lead(changed: Callable[[], None]) -> Leadership:
            return Leadership(api, RELEASE, replica.identity, changed=changed)

        async def main() -> None:
            try:
                await Operator(settings, api, watch, lead, now=_now).run(asyncio.Event())
            except Exception as error:
                text = "".join(traceback.format_exception(error))
                self.loop.fail(AssertionError(f"{replica.identity} ended by itself: {text}"))

        self.loop.spawn(started, main())

    def note(self, what: str) -> None:
        """Write a line of the trace."""
        self.outcome.trace.append(f"{self.loop.time():9.3f} {what}")

    def is_left_out(self) -> bool:
        """Return whether the next deed or fault is left out, since a failure is being shrunk."""
        self._events += 1
        return self._events in self._left_out

    def _note_deed(self, what: str) -> None:
        self.outcome.counts[what] += 1
        self.note(f"user: {what}")

    def _changed(self, change: Change) -> None:
        if change.place.plural not in {"leases", "pods"}:
            self.note(f"api: {change.kind} {change.place.plural} {change.place.namespace}/{change.place.name}")
            if self._quiet_since:
                text = f"in peace, {change.place.plural} {change.place.namespace}/{change.place.name} was written"
                self.loop.fail(AssertionError(text))
        self.outcome.coverage.changed(self._faults.active, change)
        self._history.take_in(change)
        try:
            self._invariants.take_in(change)
        except AssertionError as failure:
            self.loop.fail(failure)

    def _loaded(self, pod: Pod) -> None:
        self.outcome.coverage.add(self._faults.active, "pod loads")
        try:
            self._invariants.loaded(pod)
        except AssertionError as failure:
            self.loop.fail(failure)


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
def _settings(identity: str, buckets: int) -> Settings:
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
        buckets=buckets,
    )
