"""Pass on the changes of a publish and of the pods' reports: to the statuses, the events, and the next round.

The rollout tracker is pure and calls no other room. This module passes its results on, in one direction: publishes and
reports, then the tracker, then the statuses and events.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

from stationkeeper_core.published.documents import Document
from stationkeeper_core.published.observation import Observation
from stationkeeper_operator.compiling.retention.document_changes import DocumentChanges
from stationkeeper_operator.compiling.world_changes import ResourceChange
from stationkeeper_operator.publishing.removal_annotation import Removed
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.resources.records import Key, Resource
from stationkeeper_operator.rollout.removal_events import RemovalEvent
from stationkeeper_operator.rollout.rollout_tracker import RolloutTracker, still_held
from stationkeeper_operator.rollout.step_fact import PodReport
from stationkeeper_operator.turns.batches import IN_ONE_GO, batches
from stationkeeper_operator.turns.status_loop import StatusLoop

QUICK_SECONDS = 0.2
HURRY_SECONDS = 10.0


class RolloutFlow:
    """The flow of one release.

    Args:
        tracker: computes the changes.
        statuses: receives the resources whose status may change.
        events: receives the events on removed trust.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        tracker: RolloutTracker,
        statuses: StatusLoop,
        events: EventRecorder,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tracker = tracker
        self._statuses = statuses
        self._events = events
        self._clock = clock
        self._wake = asyncio.Event()
        self._hurry_until = float("-inf")

    def take_in_resources(self, changes: Mapping[Key, ResourceChange]) -> None:
        """Take in the resources: the changes since the last call; at the first call, all."""
        self._tracker.take_in_resources(changes)

    def begin_turn(
        self, generations: Mapping[str, int], removed: Mapping[str, Sequence[Removed]] | None = None
    ) -> None:
        """Take in what is in force before a turn writes.

        Args:
            generations: by document.
            removed: the removals from each document without an event yet.
        """
        if self._tracker.begin_turn(generations, removed):
            self._wake.set()

    def removals_in(self, changes: DocumentChanges, present: Mapping[Key, Resource]) -> tuple[Removed, ...]:
        """Return the removals in a document that need an event after their proof; any thread may call it."""
        return self._tracker.removals_in(changes, present)

    async def published(
        self,
        changes: Mapping[str, DocumentChanges],
        generations: Mapping[str, int],
        copies: Mapping[str, int] | None = None,
    ) -> None:
        """Record that documents were written.

        Args:
            changes: the changes, by document.
            generations: the generations of the written documents.
            copies: the generations of the written copies in documents of another count.
        """
        now = self._clock()
        for keys in self._tracker.published(changes, generations, now):
            self._statuses.queue_observations(keys)
            await asyncio.sleep(0)
        for _ in self._tracker.published_copies(changes, copies or {}, now):
            await asyncio.sleep(0)
        if generations or copies:
            self._hurry_until = now + HURRY_SECONDS
            self._wake.set()

    async def note_unwritten(
        self, documents: Collection[str], before: Mapping[str, Document], after: Mapping[str, Document]
    ) -> None:
        """Record which documents a turn could not write."""
        unchanged = await asyncio.to_thread(still_held, documents, before, after) if documents else {}
        self._tracker.note_unwritten(documents, unchanged, [each for each in documents if each not in before])

    async def record_removals(self, after: Mapping[str, Document], present: Mapping[Key, Resource]) -> None:
        """Record the events on removed trust since the last call.

        Args:
            after: the present contents, by document.
            present: all resources.
        """
        await self._record(self._tracker.removals(after, present))

    async def wait_until_due(self, pace: float) -> None:
        """Wait until the pods must be asked: at once after a publish, then often, later every `pace` seconds."""
        hurries = self._clock() < self._hurry_until and not self._tracker.is_settled
        with contextlib.suppress(TimeoutError):
            # `asyncio.wait_for` of Python 3.11 forgets a cancellation that comes with the end of what it waits for.
            async with asyncio.timeout(QUICK_SECONDS if hurries else pace):
                await self._wake.wait()
        self._wake.clear()

    async def reported(self, reports: Sequence[PodReport]) -> None:
        """Take in the reports of all pods."""
        changes = self._tracker.reported(reports, self._clock())
        for batch in batches(changes.resources, IN_ONE_GO):
            self._statuses.recheck(ref.key for ref in batch)
            await asyncio.sleep(0)
        if changes.documents:
            await self._statuses.recheck_documents(changes.documents)
        for names in batches(changes.to_check, IN_ONE_GO):
            await self._record(self._tracker.proven(names))
            await asyncio.sleep(0)

    def visited(self, instance: str, observations: Iterable[Observation], now: datetime) -> None:
        """Take in what a pod saw; see `RolloutTracker.visited`."""
        self._statuses.queue_observations(self._tracker.visited(instance, observations, now))

    def refresh(self, now: datetime) -> None:
        """Queue the statuses in which the time of the last visit is old."""
        self._statuses.queue_observations(self._tracker.due(now))

    async def count(self, now: datetime) -> None:
        """Count the gateways of each TrustedCA again."""
        for _ in self._tracker.counting(now):
            await asyncio.sleep(0)
        self._statuses.queue_observations(self._tracker.authorities())

    async def _record(self, events: Iterable[RemovalEvent | None]) -> None:
        for each in events:
            if each is not None:
                self._events.queue(each.resource, each.kind, each.reason, each.message, once=each.is_last)
            await asyncio.sleep(0)
