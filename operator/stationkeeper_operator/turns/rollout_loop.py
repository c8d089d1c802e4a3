"""Ask the CUPS pods of a release over their internal port, in two loops: loaded generations, and gateways seen.

All answers of the pods go to the flow. The pods are asked soon after a publish, and every few seconds.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from stationkeeper_core.published.observation import ObservationPage
from stationkeeper_operator.api.leadership import NotLeadingError
from stationkeeper_operator.observing import asked_pods
from stationkeeper_operator.observing.pod_client import PodClient
from stationkeeper_operator.observing.pod_events import PodEvent
from stationkeeper_operator.observing.pod_rounds import PodRounds
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.turns.rollout_flow import RolloutFlow

STARTING_SECONDS = 1.0
"""The pause between two rounds while a pod waits for the message that its documents are the latest."""
COUNT_SECONDS = 15.0

_log = logging.getLogger("stationkeeper.operator.rollout_loop")


class RolloutLoop:
    """The two loops of one release.

    Args:
        rounds: asks the pods.
        flow: takes in the answers.
        events: records events on pods.
        token_file: the file with the token of the pods' internal port; None asks no pod.
        may_ask: returns whether this process leads and knows the resources.
        now: the time, aware.
        note_pod_generations: called with the generations that a pod has, or had before a restart, by document.
    """

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        rounds: PodRounds,
        flow: RolloutFlow,
        events: EventRecorder,
        *,
        token_file: Path | None,
        may_ask: Callable[[], bool],
        now: Callable[[], datetime],
        note_pod_generations: Callable[[Mapping[str, int]], None] = lambda _generations: None,
    ) -> None:
        self._token_file = token_file
        self._rounds = rounds
        self._flow = flow
        self._events = events
        self._may_ask = may_ask
        self._now = now
        self._note_pod_generations = note_pod_generations
        self._counted_at = float("-inf")

    async def run(self) -> None:
        """Ask until cancelled."""
        if self._token_file is None:
            _log.warning("the CUPS pods are not asked for their state: set --internal-token-file")
            await asyncio.Event().wait()
            return
        async with PodClient(self._token_file) as client, asyncio.TaskGroup() as group:
            group.create_task(self._follow_loaded(client))
            group.create_task(self._follow_seen(client))

    async def _follow_loaded(self, client: PodClient) -> NoReturn:
        some_start = False
        while True:
            await self._flow.wait_until_due(STARTING_SECONDS if some_start else asked_pods.GATHER_SECONDS)
            asked = await self._rounds.loaded(client) if self._may_ask() else None
            if asked is None:
                continue
            some_start = asked.some_start
            for report in asked.reports:
                if not report.problem:
                    self._note_pod_generations({**report.kept, **report.generations})
            await self._flow.reported(asked.reports)
            for event in asked.events:
                await self._record(event)

    async def _record(self, event: PodEvent) -> None:
        pod = event.pod
        with contextlib.suppress(NotLeadingError):
            await self._events.pod_warning(self._rounds.namespace, pod.name, pod.uid, event.reason, event.message)

    async def _follow_seen(self, client: PodClient) -> NoReturn:
        while True:
            await asyncio.sleep(asked_pods.GATHER_SECONDS)
            if not self._may_ask():
                continue
            await self._rounds.seen(client, self._take_in)
            self._flow.refresh(self._now())
            if time.monotonic() - self._counted_at >= COUNT_SECONDS:
                self._counted_at = time.monotonic()
                await self._flow.count(self._now())

    def _take_in(self, page: ObservationPage) -> None:
        self._flow.visited(page.instance, page.observations, self._now())
