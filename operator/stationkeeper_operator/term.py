"""One term of leadership: the state of publishing, judging, observing and proving while the Lease is held.

It begins when the Lease is won, and is dropped when the Lease is lost: another leader may write meanwhile, so its state
must not be used again. The watch of the cluster lives as long as the process, and is an argument.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi
from stationkeeper_operator.api.leadership import NotLeadingError
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.metrics import Metrics
from stationkeeper_operator.observing.asked_pods import AskedPods
from stationkeeper_operator.observing.counts_read import CountsRead
from stationkeeper_operator.observing.handover import Handover
from stationkeeper_operator.observing.loaded_reports import LoadedReports
from stationkeeper_operator.observing.pod_events import PodEvents
from stationkeeper_operator.observing.pod_rounds import PodRounds
from stationkeeper_operator.observing.seen_pages import SeenPages
from stationkeeper_operator.publishing.generation_floor import GenerationFloor
from stationkeeper_operator.publishing.publisher import Publisher, SupersededError
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.reporting.status_writer import StatusWriter
from stationkeeper_operator.resources.records import Key
from stationkeeper_operator.rollout.rollout_tracker import RolloutTracker
from stationkeeper_operator.settings import Settings
from stationkeeper_operator.turns.compilation import Compilation
from stationkeeper_operator.turns.known_resources import KnownResources
from stationkeeper_operator.turns.reconciler import Reconciler, Turn
from stationkeeper_operator.turns.rollout_flow import RolloutFlow
from stationkeeper_operator.turns.rollout_loop import RolloutLoop
from stationkeeper_operator.turns.status_loop import StatusLoop
from stationkeeper_operator.turns.status_merge import StatusMerge
from stationkeeper_operator.watching.reference_reader import ReferenceReader

_PREPARE_SECONDS = 0.02
"""The pause between two preparations: each then takes in few resources, so that it needs no thread."""
_PREPARE_IDLE_SECONDS = 0.2
_log = logging.getLogger("stationkeeper.operator.term")


@dataclass(frozen=True)
class SharedParts:
    """The parts of the operator that all its terms share.

    Attributes:
        settings: the settings of the process.
        api: the API client.
        known: the known resources of the cluster, and the changes that wait for a turn.
        reader: reads named objects that were never read.
        floor: the floor for new generations, in any term.
        metrics: the metrics of the process.
        now: returns the time, aware.
    """

    settings: Settings
    api: KubernetesApi
    known: KnownResources
    reader: ReferenceReader
    floor: GenerationFloor
    metrics: Metrics
    now: Callable[[], datetime]


class LeaderTerm:
    """One term.

    Args:
        name: its unique name.
        shared: the parts of the operator that outlive the term.
        permit: called before each write; raises if this term is over.
        may_act: returns whether the store is not older than this term, so that turns may be taken.
    """

    def __init__(self, name: str, shared: SharedParts, permit: Callable[[], None], may_act: Callable[[], bool]) -> None:
        settings, api, known, now = shared.settings, shared.api, shared.known, shared.now
        token_file = settings.internal_token
        self._changes = known.changes
        self._store = known.store
        self._may_act = may_act
        self._compiler_is_used = asyncio.Lock()
        self._publisher = Publisher(
            api, settings.namespace, permit, lambda: int(now().timestamp() * 1000), lambda: name, shared.floor
        )
        tracker = RolloutTracker(known.get, settings.namespace, asks=token_file is not None)
        self._events = EventRecorder(api, settings.identity, permit)
        self._statuses = StatusLoop(
            StatusWriter(api, permit, settings.namespace),
            known,
            self._events,
            StatusMerge(settings.namespace, now, tracker),
        )
        flow = RolloutFlow(tracker, self._statuses, self._events)
        pods = AskedPods(api, settings.namespace)
        handover = Handover(settings.signing_key, lambda: self._publisher.values, permit)
        self._rollout = RolloutLoop(
            PodRounds(pods, LoadedReports(pods, handover, PodEvents(now)), SeenPages(pods)),
            flow,
            self._events,
            token_file=token_file,
            may_ask=lambda: may_act() and tracker.is_known,
            now=now,
            note_pod_generations=self._note_pod_generations,
        )
        self._counts_read = CountsRead(api, settings.namespace, settings.buckets)
        self._compilation = Compilation(
            *(settings.namespace, settings.cups_names, known, shared.reader, shared.metrics),
            lambda: self._counts_read.counts,
            permit,
        )
        self._reconciler = Reconciler(
            self._compilation, publisher=self._publisher, status=self._statuses, flow=flow, now=now
        )

    @property
    def deadline(self) -> datetime | None:
        """The time of the next turn if nothing changes before, aware; None for never."""
        return self._reconciler.deadline

    @property
    def verdicts(self) -> Mapping[Key, Verdict]:
        """The present verdict on each resource."""
        return self._statuses.verdicts

    @property
    def statuses_waiting(self) -> int:
        """The number of statuses that wait to be compared, and written if they differ."""
        return self._statuses.waiting

    def note_other_write(self, key: Key) -> None:
        """Compare the status of a resource again: another writer wrote it."""
        self._statuses.note_other_write(key)

    async def run(self) -> None:
        """Write statuses and events, ask the pods and check compiled plans, until cancelled."""
        async with asyncio.TaskGroup() as group:
            check = self._compilation.check
            for part in (self._prepare, self._statuses.run, self._events.run, self._rollout.run, check.run):
                group.create_task(part(), name=part.__qualname__)

    async def _prepare(self) -> None:
        """Prepare the first turn while all resources are listed: read the documents, and take in what is listed.

        After a failure, the first turn does all of it.
        """
        try:
            await self._counts_read.update()
            if self._may_act():
                await self._publisher.in_force(self._counts_read.counts.needed)
            while not self._may_act():
                was_changed = await self._prepare_once()
                await asyncio.sleep(_PREPARE_SECONDS if was_changed else _PREPARE_IDLE_SECONDS)
        except (ApiError, NotLeadingError, SupersededError) as error:
            fields = {"detail": f"{type(error).__name__} {error}".strip()}
            _log.info("the published documents are not read yet", extra={"fields": fields})

    async def _prepare_once(self) -> bool:
        """Prepare with the resources known so far; return whether some were new."""
        if self._store.is_empty:
            # Large documents take a second to decode; before the LIST, that would delay the start of the watch.
            return False
        async with self._compiler_is_used:
            return await self._reconciler.prepare()

    async def turn(self) -> Turn:
        """Take a turn; a failure is logged, and the next turn completes the work."""
        self._publisher.mark_reported(self._events.take_reported())
        try:
            if self._counts_read.counts.read is None:
                await self._counts_read.update()
            async with self._compiler_is_used:
                return await self._reconciler.turn()
        except SupersededError:
            self._changes.wake(urgent=True)
        except NotLeadingError:
            # If it only was not certain for a moment, the term goes on, and the changes still wait.
            return Turn.AGAIN
        except ApiError as error:
            _log.warning("the turn failed, trying again", extra={"fields": {"detail": error}})
            return Turn.AGAIN
        return Turn.DONE

    async def verify(self) -> None:
        """Check what no watch shows: the counts that the pods read, and the published Secrets."""
        if await self._counts_read.update():
            self._changes.wake(urgent=True)
        try:
            unchanged = await self._publisher.is_unchanged()
        except ApiError as error:
            _log.warning("the published Secrets cannot be read", extra={"fields": {"detail": error}})
            return
        if unchanged:
            unchanged = await self._delete_reported()
        if not unchanged:
            self._changes.wake(urgent=True)

    async def _delete_reported(self) -> bool:
        """Delete the removals that have their event; return whether each Secret was as this process left it."""
        self._publisher.mark_reported(self._events.take_reported())
        try:
            if await self._publisher.delete_reported():
                # An unused document may have been kept only for these notes.
                self._changes.wake()
        except SupersededError:
            return False
        except (ApiError, NotLeadingError) as error:
            _log.info("noted removals with an event are not deleted yet", extra={"fields": {"detail": str(error)}})
        return True

    def _note_pod_generations(self, generations: Mapping[str, int]) -> None:
        if self._publisher.note_pod_generations(generations):
            self._changes.wake(urgent=True)
