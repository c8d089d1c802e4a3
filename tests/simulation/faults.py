"""The faults of a run, one at a time, each for some seconds.

A seed draws which kinds may happen at all, and how often. If every kind happened all the time, orders of events that
need only one or two faults and then some quiet would be rare.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

from tests.simulation.moments import Moments
from tests.simulation.pods import LATE_SECONDS, LATEST_SECONDS
from tests.simulation.scene import Scene
from tests.simulation.secret_faults import SecretFaults
from tests.simulation.upgrades import Upgrades

_LONGEST_SECONDS = 20.0
_RESTART_SECONDS = 0.5
_LINGERS_SECONDS = 5.0
_SHARE_ENABLED, _SHARE_RARE = 0.5, 0.1
_RARE = frozenset({"release_recounted", "api_away", "watch_loses", "pod_told_late"})
"""Kinds that take long, or that delay the end of the run."""
_KINDS = ("operator_", "requests_", "watch_", "list_", "clock_", "pod_", "api_", "secret_", "release_")
_PACES = (1.5, 3.0, 6.0)


class Faults:
    """The faults of one run.

    Args:
        run: the run that they act on.
        chance: draws them.
        disabled: kinds that never happen.

    Attributes:
        active: the kinds that are active or ended a few seconds ago, with their numbers.
        names: all kinds.
    """

    def __init__(self, run: Scene, chance: random.Random, disabled: frozenset[str] = frozenset()) -> None:
        self._run = run
        self._chance = chance
        self.active: dict[str, int] = {}
        parts = (self, Moments(run), SecretFaults(run), Upgrades(run))
        kinds: Mapping[str, Callable[[random.Random], Awaitable[None]]] = {
            name: getattr(part, name) for part in parts for name in dir(part) if name.startswith(_KINDS)
        }
        self.names = tuple(kinds)
        self._kinds = {
            name: kind
            for name, kind in kinds.items()
            if chance.random() < (_SHARE_RARE if name in _RARE else _SHARE_ENABLED) and name not in disabled
        }
        self._pace = chance.choice(_PACES)

    async def run(self, seconds: float) -> None:
        """Let faults happen for some time."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        tasks: list[asyncio.Task[None]] = []
        while loop.time() < ends and self._kinds:
            await asyncio.sleep(self._chance.expovariate(1 / self._pace))
            name, chance = self._chance.choice(list(self._kinds)), random.Random(self._chance.getrandbits(64))  # noqa: S311 - reproducible
            if self._run.is_left_out():
                continue
            self._run.outcome.counts[name] += 1
            tasks.append(loop.create_task(self._do(name, chance)))
        for task in tasks:
            await task

    async def _do(self, name: str, chance: random.Random) -> None:
        self._run.note(f"fault: {name}")
        self.active[name] = self.active.get(name, 0) + 1
        try:
            await self._kinds[name](chance)
        finally:
            self._run.loop.call_outside(_LINGERS_SECONDS, self._over, name)

    def _over(self, name: str) -> None:
        self.active[name] -= 1
        if not self.active[name]:
            del self.active[name]

    def end(self) -> None:
        """End all faults."""
        for replica in self._run.operators:
            replica.link.heal()
            if replica.process is None:
                self._run.start_operator(replica)
        for pod in self._run.pods.pods:
            pod.cut_from.clear()
            pod.kubelet_is_late = False

    async def _of_a_link(self, chance: random.Random, **faulty: float | bool | str) -> None:
        link = chance.choice(self._run.operators).link
        for name, value in faulty.items():
            setattr(link, name, value)
        await asyncio.sleep(seconds_of(chance))
        for name, value in faulty.items():
            setattr(link, name, type(value)())

    async def operator_killed(self, chance: random.Random) -> None:
        """A process ends at any await, and another one starts in its pod."""
        replica = chance.choice(self._run.operators)
        if replica.process is not None:
            self._run.kill_operator(replica)
            await asyncio.sleep(chance.choice((_RESTART_SECONDS, seconds_of(chance))))
            self._run.start_operator(replica)

    async def operator_frozen(self, chance: random.Random) -> None:
        """A process stops for a while."""
        frozen = chance.choice(self._run.operators).process
        if frozen is not None:
            self._run.loop.freeze(frozen)
            await asyncio.sleep(seconds_of(chance))
            self._run.loop.thaw(frozen)

    async def operator_cut_off(self, chance: random.Random) -> None:
        """An operator cannot reach the API server."""
        await self._of_a_link(chance, is_cut=True)

    async def requests_lost(self, chance: random.Random) -> None:
        """Requests do not arrive."""
        await self._of_a_link(chance, lost=0.3)

    async def requests_unanswered(self, chance: random.Random) -> None:
        """Requests are done, but their answers are lost."""
        await self._of_a_link(chance, unanswered=0.3)

    async def requests_slow(self, chance: random.Random) -> None:
        """Requests, answers and events take seconds; so a LIST is already old when it is read."""
        await self._of_a_link(chance, slow=0.3)

    async def list_expired(self, chance: random.Random) -> None:
        """The next page of a LIST is requested too late."""
        await self._of_a_link(chance, list_expires=0.5)

    async def watch_late(self, chance: random.Random) -> None:
        """Events are late, with another delay for each watch."""
        await self._of_a_link(chance, watch_lag=chance.choice((1.0, 5.0, 15.0)))

    async def watch_broken(self, chance: random.Random) -> None:
        """Watches break off, and continue from the same place."""
        await self._of_a_link(chance, watch_breaks=0.3)

    async def watch_repeats(self, chance: random.Random) -> None:
        """Events are shown again."""
        await self._of_a_link(chance, watch_repeats=0.5)

    async def watch_loses(self, chance: random.Random) -> None:
        """Events are never shown; the next LIST, perhaps minutes later, shows the result."""
        self._run.loses_events = True
        await self._of_a_link(chance, watch_loses=0.3)

    async def watch_gap(self, chance: random.Random) -> None:
        """The watch of one kind misses changes, and gets a 410."""
        await self._of_a_link(chance, watch_gap=chance.choice(("trustedcas", "gateways", "configmaps")))

    async def watch_expired(self, chance: random.Random) -> None:
        """Watches break off, and the history since then was dropped."""
        link = chance.choice(self._run.operators).link
        link.watch_breaks = 1.0
        link.watch_lag = 3.0
        await asyncio.sleep(chance.uniform(1.0, 8.0))
        self._run.server.forget_history()
        link.watch_breaks = link.watch_lag = 0.0

    async def api_away(self, chance: random.Random) -> None:
        """Nobody reaches the API server, neither operators nor kubelets; meanwhile a container restarts."""
        pods = self._run.pods.pods
        if not all(pod.is_serving for pod in pods):
            return
        links = [replica.link for replica in self._run.operators]
        for link in links:
            link.is_cut = True
        for pod in pods:
            pod.kubelet_is_late = True
        again = chance.choice(pods)
        self._run.pods.kill(again)
        self._run.pods.start(again)
        await asyncio.sleep(LATEST_SECONDS + 2.0)
        for link in links:
            link.is_cut = False
        for pod in pods:
            pod.kubelet_is_late = False

    async def clock_set(self, chance: random.Random) -> None:
        """A person sets the clock of an operator."""
        process = chance.choice(self._run.operators).process
        if process is not None:
            process.clock_ahead = chance.choice((-86400.0, -30.0, 30.0, 86400.0, -1767225600.0))

    async def pod_killed(self, chance: random.Random) -> None:
        """A container ends, and another one starts in its pod with the same volume."""
        pod = chance.choice(self._run.pods.pods)
        self._run.pods.kill(pod)
        await asyncio.sleep(chance.choice((_RESTART_SECONDS, seconds_of(chance))))
        if pod.process is None and pod in self._run.pods.pods:
            self._run.pods.start(pod)

    async def pod_replaced(self, chance: random.Random) -> None:
        """Another pod replaces one."""
        if len(self._run.pods.pods) == 3:
            pod = chance.choice(self._run.pods.pods)
            await self._run.pods.replace(pod, pod.buckets)

    async def pod_frozen(self, chance: random.Random) -> None:
        """A pod hangs."""
        frozen = chance.choice(self._run.pods.pods).process
        if frozen is not None:
            self._run.loop.freeze(frozen)
            await asyncio.sleep(seconds_of(chance))
            self._run.loop.thaw(frozen)

    async def pod_cut_off(self, chance: random.Random) -> None:
        """One operator, or both, cannot reach a pod."""
        pod = chance.choice(self._run.pods.pods)
        operators = [replica.identity for replica in self._run.operators]
        cut = chance.choice((operators, operators[:1], operators[1:]))
        pod.cut_from.update(cut)
        await asyncio.sleep(seconds_of(chance))
        pod.cut_from.difference_update(cut)

    async def pod_volume_old(self, chance: random.Random) -> None:
        """A kubelet refreshes late."""
        pod = chance.choice(self._run.pods.pods)
        pod.kubelet_is_late = True
        await asyncio.sleep(chance.uniform(1.0, LATE_SECONDS))
        pod.kubelet_is_late = False


def seconds_of(chance: random.Random) -> float:
    """Draw the length of a fault."""
    return chance.uniform(0.1, _LONGEST_SECONDS)
