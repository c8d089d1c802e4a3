"""Faults at the moment when an operator sends a request; a random time seldom meets that moment."""

import asyncio
import random
from collections.abc import Callable

from tests.simulation.api_server import Place
from tests.simulation.pods import Pod
from tests.simulation.scene import OperatorReplica, Scene

_WAITS_SECONDS = 12.0
_LEASE_SECONDS = 15.0
_KINDS = ("secrets", "secrets", "status", "events", "leases")


class Moments:
    """The moments of one run.

    Args:
        run: the run that they act on.
    """

    def __init__(self, run: Scene) -> None:
        self._run = run

    async def operator_killed_sending(self, chance: random.Random) -> None:
        """An operator ends right after it sent a write that arrives late; another process starts in its pod."""

        def then(replica: OperatorReplica) -> None:
            self._run.kill_operator(replica)
            self._run.loop.call_outside(chance.choice((0.5, 3.0)), self._run.start_operator, replica)

        await self._at_a_write(chance, then, chance.uniform(0.0, 8.0))

    async def operator_frozen_sending(self, chance: random.Random) -> None:
        """An operator stops right after it sent a write that arrives late, until its Lease has ended."""

        def then(replica: OperatorReplica) -> None:
            frozen = replica.process
            if frozen is not None:
                self._run.loop.freeze(frozen)
                seconds = _LEASE_SECONDS + chance.uniform(0.0, 10.0)
                self._run.loop.call_outside(seconds, self._run.loop.thaw, frozen)

        await self._at_a_write(chance, then, chance.choice((0.0, chance.uniform(0.0, 25.0))))

    async def requests_held(self, chance: random.Random) -> None:
        """A write arrives late."""
        await self._at_a_write(chance, lambda _replica: None, chance.uniform(0.0, 12.0))

    async def operator_meets_a_user(self, chance: random.Random) -> None:
        """Users act while a write is under way: they renew references, remove resources, and allow again."""

        def then(_replica: OperatorReplica) -> None:
            for _ in range(chance.randrange(1, 4)):
                self._run.loop.call_outside(chance.uniform(0.0, 2.0), self._run.users.act)

        await self._at_a_write(chance, then, chance.uniform(0.0, 2.0))

    async def pod_told_late(self, chance: random.Random) -> None:
        """The message that a pod is up to date is delayed with its leader; the next leader cannot reach that pod."""
        met = asyncio.Event()

        def on_tell(identity: str, pod: Pod) -> None:
            if not met.is_set():
                met.set()
                self._hold_back(chance, identity, pod)

        self._run.client.on_tell = on_tell
        if chance.random() < 0.7:
            # The pod has the documents of its start, and knows no later ones.
            pods = self._run.pods
            again = chance.choice(pods.pods)
            pods.kill(again)
            pods.start(again)
        try:
            async with asyncio.timeout(_WAITS_SECONDS):
                await met.wait()
        except TimeoutError:
            met.set()
            return
        await asyncio.sleep(_LEASE_SECONDS + 15.0)

    def _hold_back(self, chance: random.Random, identity: str, pod: Pod) -> None:
        run, seconds = self._run, _LEASE_SECONDS + chance.uniform(0.0, 8.0)
        others = {replica.identity for replica in run.operators} - {identity}
        frozen = next(replica.process for replica in run.operators if replica.identity == identity)
        if frozen is not None:
            run.loop.freeze(frozen)
            run.loop.call_outside(seconds, run.loop.thaw, frozen)
        pod.cut_from |= others
        run.loop.call_outside(seconds + 5.0, pod.cut_from.difference_update, others)
        for _ in range(4):
            run.loop.call_outside(chance.uniform(0.0, 12.0), run.users.act)

    async def _at_a_write(self, chance: random.Random, then: Callable[[OperatorReplica], None], seconds: float) -> None:
        """Act when an operator sends its next write of a kind, which arrives after `seconds`."""
        kind, met = chance.choice(_KINDS), asyncio.Event()

        def watcher(replica: OperatorReplica) -> Callable[[str, Place], float | None]:
            def on_request(method: str, place: Place) -> float | None:
                if method == "GET" or kind not in {place.plural, place.subresource} or met.is_set():
                    return None
                met.set()
                then(replica)
                return seconds

            return on_request

        for replica in self._run.operators:
            replica.link.on_request = watcher(replica)
        try:
            async with asyncio.timeout(_WAITS_SECONDS):
                await met.wait()
        except TimeoutError:
            met.set()
