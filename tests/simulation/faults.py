"""What goes wrong in a run, one thing at a time, each for some seconds."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.simulation.api_server import Place
from tests.simulation.pods import secret_place

if TYPE_CHECKING:
    from tests.simulation.run import Run

_LONGEST_SECONDS = 20.0


class Faults:
    """Of one run.

    Args:
        run: what they happen to.
        chance: draws them.
    """

    def __init__(self, run: "Run", chance: random.Random) -> None:
        self._run = run
        self._chance = chance
        self._kinds: tuple[Callable[[], Awaitable[None]], ...] = (
            self.operator_killed,
            self.operator_frozen,
            self.operator_cut_off,
            self.requests_lost,
            self.answers_lost,
            self.requests_slow,
            self.watch_behind,
            self.watches_broken,
            self.history_dropped,
            self.clock_set,
            self.pod_killed,
            self.pod_frozen,
            self.pod_cut_off,
            self.kubelet_late,
            self.secret_replayed,
            self.secret_corrupted,
        )

    async def run(self, seconds: float) -> None:
        """Have faults happen for some time."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        tasks: list[asyncio.Task[None]] = []
        while loop.time() < ends:
            await asyncio.sleep(self._chance.expovariate(1 / 4.0))
            kind = self._chance.choice(self._kinds)
            if self._run.is_left_out():
                continue
            self._run.outcome.counts[kind.__name__] += 1
            tasks.append(loop.create_task(self._do(kind)))
        for task in tasks:
            await task

    async def _do(self, kind: Callable[[], Awaitable[None]]) -> None:
        self._run.note(f"fault: {kind.__name__}")
        await kind()

    def end(self) -> None:
        """Have everything work again."""
        for replica in self._run.operators:
            replica.link.is_cut = False
            replica.link.lost = replica.link.unanswered = replica.link.slow = 0.0
            replica.link.watch_lag = replica.link.watch_breaks = 0.0
            if replica.process is None:
                self._run.start_operator(replica)
        for pod in self._run.pods.pods:
            pod.is_cut = pod.kubelet_is_late = False

    def _seconds(self) -> float:
        return self._chance.uniform(0.1, _LONGEST_SECONDS)

    async def _for_a_while(self, begin: Callable[[], None], end: Callable[[], None]) -> None:
        begin()
        await asyncio.sleep(self._seconds())
        end()

    async def _of_a_link(self, field: str, value: float) -> None:
        link = self._chance.choice(self._run.operators).link
        await self._for_a_while(lambda: setattr(link, field, value), lambda: setattr(link, field, type(value)(0)))

    async def operator_killed(self) -> None:
        replica = self._chance.choice(self._run.operators)
        if replica.process is not None:
            replica.process.alive = False
            replica.process = None
            await asyncio.sleep(self._chance.choice((0.5, self._seconds())))
            if replica.process is None:
                self._run.start_operator(replica)

    async def operator_frozen(self) -> None:
        replica = self._chance.choice(self._run.operators)
        if replica.process is not None:
            frozen = replica.process
            self._run.loop.freeze(frozen)
            await asyncio.sleep(self._seconds())
            self._run.loop.thaw(frozen)

    async def operator_cut_off(self) -> None:
        await self._of_a_link("is_cut", True)

    async def requests_lost(self) -> None:
        await self._of_a_link("lost", 0.3)

    async def answers_lost(self) -> None:
        await self._of_a_link("unanswered", 0.3)

    async def requests_slow(self) -> None:
        await self._of_a_link("slow", 0.3)

    async def watch_behind(self) -> None:
        await self._of_a_link("watch_lag", 5.0)

    async def watches_broken(self) -> None:
        await self._of_a_link("watch_breaks", 0.3)

    async def history_dropped(self) -> None:
        self._run.server.forget_history()

    async def clock_set(self) -> None:
        replica = self._chance.choice(self._run.operators)
        if replica.process is not None:
            replica.process.clock_ahead = self._chance.choice((-86400.0, -30.0, 30.0, 86400.0, -1767225600.0))

    async def pod_killed(self) -> None:
        pod = self._chance.choice(self._run.pods.pods)
        self._run.pods.kill(pod)
        await asyncio.sleep(self._seconds())
        if pod.process is None:
            self._run.pods.start(pod)

    async def pod_frozen(self) -> None:
        pod = self._chance.choice(self._run.pods.pods)
        if pod.process is not None:
            frozen = pod.process
            self._run.loop.freeze(frozen)
            await asyncio.sleep(self._seconds())
            self._run.loop.thaw(frozen)

    async def pod_cut_off(self) -> None:
        pod = self._chance.choice(self._run.pods.pods)
        await self._for_a_while(lambda: setattr(pod, "is_cut", True), lambda: setattr(pod, "is_cut", False))

    async def kubelet_late(self) -> None:
        pod = self._chance.choice(self._run.pods.pods)
        await self._for_a_while(
            lambda: setattr(pod, "kubelet_is_late", True), lambda: setattr(pod, "kubelet_is_late", False)
        )

    async def secret_replayed(self) -> None:
        """Somebody puts an old value of a published Secret back."""
        place = secret_place(self._chance.choice(("trust", "registry-00")))
        before = self._run.server.get(place).get("data")
        await asyncio.sleep(self._seconds())
        if before:
            self._run.server.merge_patch(place, {"data": before})
            # What was removed is in there again, and is removed once more.
            self._run.invariants.may_be_told_again()

    async def secret_corrupted(self) -> None:
        """Somebody writes something else into a published Secret."""
        place: Place = secret_place(self._chance.choice(("trust", "registry-00")))
        name = place.name.removeprefix("stationkeeper-")
        self._run.server.merge_patch(place, {"data": {name: "bm90IGEgZG9jdW1lbnQ="}})
