"""Read from the CUPS pods, every few seconds, the gateways that they saw since the last time."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from stationkeeper_operator.api.rate_limit import RateLimit
from stationkeeper_operator.observing import asked_pods
from stationkeeper_operator.observing.asked_pods import AskedPods
from stationkeeper_operator.observing.cups_pods import CupsPod
from stationkeeper_operator.observing.observed_state import ObservedState
from stationkeeper_operator.observing.pod_client import PodClient, PodError
from stationkeeper_operator.reporting.status_writer import StatusWriter

COUNT_SECONDS = 15.0

_MAX_PAGES = 200
_PAGES_A_SECOND = 4.0
_READ_SECONDS = 5.0


@dataclass(frozen=True)
class _Cursor:
    instance: str = ""
    position: int = 0


class SeenPages:
    """The loop of one release.

    Args:
        pods: the pods to ask.
        state: receives the observations.
        status: is told whose status may change.
        now: the time, aware.
    """

    def __init__(
        self, pods: AskedPods, state: ObservedState, status: StatusWriter, now: Callable[[], datetime]
    ) -> None:
        self._pods = pods
        self._state = state
        self._status = status
        self._now = now
        self._cursors: dict[str, _Cursor] = {}
        self._rates: dict[str, RateLimit] = {}
        self._counted_at = float("-inf")

    async def run(self, client: PodClient) -> NoReturn:
        """Read until cancelled."""
        while True:
            await asyncio.sleep(asked_pods.GATHER_SECONDS)
            if not self._pods.may_ask():
                continue
            pods = await self._pods.present()
            if pods is not None:
                self._forget_all_but({pod.uid for pod in pods})
                await asyncio.gather(*(self._read_for_a_while(client, pod) for pod in pods if pod.serves))
            self._pass_on()

    def _pass_on(self) -> None:
        self._status.observe(self._state.due(self._now()))
        if time.monotonic() - self._counted_at >= COUNT_SECONDS:
            self._counted_at = time.monotonic()
            self._status.observe(self._state.count(self._now()))

    def _forget_all_but(self, present: set[str]) -> None:
        for known in (self._cursors, self._rates):
            for uid in known.keys() - present:
                del known[uid]

    async def _read_for_a_while(self, client: PodClient, pod: CupsPod) -> None:
        """Read for a limited time; a slow pod, or one with many observations, continues in the next round."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READ_SECONDS):
                await self._read(client, pod)

    async def _read(self, client: PodClient, pod: CupsPod) -> None:
        cursor = self._cursors.get(pod.uid, _Cursor())
        pages = self._rates.setdefault(pod.uid, RateLimit(_PAGES_A_SECOND, _MAX_PAGES))
        # The burst holds everything that a pod can remember; observations above the rate wait.
        while pages.take():
            try:
                async with self._pods.slots:
                    page = await client.observations(pod, cursor.position)
            except PodError as error:
                self._pods.say(pod.name, "seen", str(error))
                return
            self._pods.say(pod.name, "seen", "")
            if page.instance != cursor.instance and cursor.position:
                cursor = _Cursor(page.instance)
                continue
            self._status.observe(self._state.take_in(page.instance, page.observations, self._now()))
            cursor = self._cursors[pod.uid] = _Cursor(page.instance, page.cursor)
            if not page.more:
                return
