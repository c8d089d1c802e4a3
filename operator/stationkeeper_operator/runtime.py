"""The whole operator: when each part runs, and what starts it.

The watch and LISTs always feed the store, so that a follower is warm. The watch begins before the first LIST, so that
no change is lost between them. Only the leader takes turns and writes. Its first turn waits for a LIST that is not
older than its leadership: otherwise it would treat resources that its store lacks as deleted, and would keep resources
that the earlier leader has removed.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, NoReturn

from stationkeeper_core.record_types import prepare_record_types
from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.kubernetes_credentials import Credentials
from stationkeeper_operator.api.leadership import Candidate, NotLeadingError
from stationkeeper_operator.api.lease_thread import LeaseThread
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.metrics import Metrics, ResourceMetrics
from stationkeeper_operator.process.free_memory import release_free_memory
from stationkeeper_operator.process.health import serve_health
from stationkeeper_operator.process.short_collections import short_collections
from stationkeeper_operator.publishing.generation_floor import GenerationFloor
from stationkeeper_operator.reporting.watch_lag import MOST_UNSEEN, WatchLag
from stationkeeper_operator.resources.records import Key
from stationkeeper_operator.settings import Settings
from stationkeeper_operator.term import LeaderTerm, SharedParts
from stationkeeper_operator.turns.known_resources import KnownResources
from stationkeeper_operator.turns.listing import RESYNC_SECONDS, RETRY_SECONDS, Listing, until_done
from stationkeeper_operator.turns.reconciler import Turn
from stationkeeper_operator.watching.reference_reader import FEW, ReferenceReader
from stationkeeper_operator.watching.reference_watch import ReferenceWatch
from stationkeeper_operator.watching.reports import BegunReport, RelistReport, Report, ResourceWatch, WatchEndedError
from stationkeeper_operator.watching.resource_store import ResourceStore
from stationkeeper_operator.watching.resync import Resync
from stationkeeper_operator.watching.store_results import Change

VERIFY_SECONDS = 10.0

_LONGEST_RETRY_SECONDS = 15.0
_PAST_DEADLINE_SECONDS = 1.0
_RELEASE_SECONDS = 2.0
_CLOCK_SET_SECONDS = 2.0
_log = logging.getLogger("stationkeeper.operator")


def _now() -> datetime:
    return datetime.now(UTC)


async def operate(settings: Settings, stop: asyncio.Event) -> None:
    """Run the operator until `stop` is set, then release the Lease.

    Raises:
        CredentialsError: there are no credentials for the API server.
        OSError: the health address cannot be bound.
        RuntimeError: a part ended that must not end; start the process again.
    """
    # kopf takes a second to load, and is not needed if a folder replaces the API server.
    from stationkeeper_operator.watching.watch import Watch  # noqa: PLC0415

    watch = partial(Watch, settings.kubeconfig, settings.watch_namespaces)
    async with KubernetesApi(Credentials(settings.kubeconfig)) as api:
        operator = Operator(settings, api, watch, partial(_lead, settings))
        with short_collections():
            async with serve_health(settings.health, operator.is_healthy, operator.is_ready, operator.metrics):
                await operator.run(stop)


def _lead(settings: Settings, changed: Callable[[], None]) -> Candidate:
    def connect() -> KubernetesApi:
        return KubernetesApi(Credentials(settings.kubeconfig))

    return LeaseThread(connect, settings.namespace, settings.identity, changed=changed)


def _count_tasks(loop: asyncio.AbstractEventLoop) -> int:
    return len(asyncio.all_tasks(loop))


class Operator:
    """The parts of one process, connected.

    Args:
        settings: of the process.
        api: the API client.
        watch: makes the watch of the resources; gets the report function, which may be called in any thread.
        lead: makes the candidate for the Lease; gets the function to call, in this event loop, at its begin and end.
        now: returns the time of the machine's clock, aware.

    Attributes:
        metrics: the metrics of this process.
    """

    def __init__(
        self,
        settings: Settings,
        api: KubernetesApi,
        watch: Callable[[Callable[[Report], None]], ResourceWatch],
        lead: Callable[[Callable[[], None]], Candidate],
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._now = now
        namespaces = settings.watch_namespaces
        self._settings = settings
        self._store = ResourceStore()
        self._leadership = lead(self._leadership_changed)
        self._watch = watch(self._report_from_thread)
        self.metrics = Metrics()
        self._term: LeaderTerm | None = None
        self._term_changed = asyncio.Event()
        self.metrics.statuses_waiting.set_function(lambda: self._term.statuses_waiting if self._term else 0)
        self.metrics.add(ResourceMetrics(self._verdicts, self._store.get, now))
        self._reader = ReferenceReader(api, self._store.references, namespaces)
        self._resync = Resync(api, self._store, self._reader, namespaces)
        lag = self._lag = WatchLag(most=MOST_UNSEEN if self._watch.shows_statuses else None)
        self._listing = Listing(self._resync, lag, self._listed)
        self._known = KnownResources(self._store, lag=lag)
        self._changes = self._known.changes
        self._shared = SharedParts(settings, api, self._known, self._reader, GenerationFloor(), self.metrics, now)
        self._references = ReferenceWatch(
            *(api, self._store.references, self._reader, namespaces),
            changed=self._known.note_reference,
            broken=self._listing.wake,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_settled = False
        self._listed_at = float("-inf")
        self._leading_since = float("inf")
        self._judged_ahead = self._ahead()
        self._alarm: asyncio.TimerHandle | None = None

    def is_healthy(self) -> bool:
        """Return whether the process must not be restarted."""
        return self._watch.is_healthy

    def is_ready(self) -> bool:
        """Return whether a first complete LIST was taken in."""
        return self._listing.is_complete.is_set()

    async def run(self, stop: asyncio.Event) -> None:
        """Run all parts until `stop` is set.

        Raises:
            RuntimeError: a part ended by itself.
        """
        prepare_record_types()
        self._loop = asyncio.get_running_loop()
        self.metrics.tasks.set_function(partial(_count_tasks, self._loop))
        parts = (self._leadership.run, self._run_terms, self._list, self._watch_all, self._turns, self._verify)
        tasks = [asyncio.create_task(part(), name=part.__name__) for part in parts]
        stopped = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                raise RuntimeError(f"{task.get_name()} ended") from task.exception()
        finally:
            await self._shut_down([*tasks, stopped])

    async def _shut_down(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        # A compile of very many Gateways takes half a minute, and the process waits for its thread: make it end early.
        self._changes.wake(urgent=True)
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._leadership.release()
        except TimeoutError:
            _log.warning("the Lease was not released in time")
        await asyncio.wait(tasks, timeout=_RELEASE_SECONDS)
        _log.info("stopped")

    def _report_from_thread(self, report: Report) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take_in, report)

    def _take_in(self, report: Report) -> None:
        if isinstance(report, RelistReport):
            self._listing.wake()
        elif isinstance(report, BegunReport):
            self._listing.watch_begun.set()
            self._lag.begin()
        else:
            change = self._known.take_in_report(report)
            if change is Change.STATUS and self._term is not None:
                self._term.note_other_write(report.resource.key)

    def _leadership_changed(self) -> None:
        self._term, self._leading_since = None, float("inf")
        # The objects of the ended term are garbage now.
        gc.unfreeze()
        self._is_settled = False
        self._term_changed.set()
        self.metrics.leading.set(self._leadership.is_leading)
        if self._leadership.is_leading:
            self._leading_since = time.monotonic()
            self._term = self._new_term(self._leadership.term)
            if self._may_take_turns():
                self._changes.wake(urgent=True)
            else:
                self._listing.require()

    def _new_term(self, name: str) -> LeaderTerm:
        def permit() -> None:
            # A write of an earlier term must not happen in a later one, which has read the Secrets again.
            if self._leadership.term != name:
                raise NotLeadingError
            self._leadership.require()

        return LeaderTerm(name, self._shared, permit, self._may_take_turns)

    async def _run_terms(self) -> None:
        """Run the parts of each term until the term ends."""
        while True:
            self._term_changed.clear()
            over = asyncio.create_task(self._term_changed.wait())
            running = {asyncio.create_task(self._term.run())} if self._term is not None else set()
            try:
                ended, _ = await asyncio.wait({over, *running}, return_when=asyncio.FIRST_COMPLETED)
                for task in ended - {over}:
                    raise RuntimeError("a part of the term ended") from task.exception()
            finally:
                for each in (over, *running):
                    each.cancel()
                await asyncio.wait({over, *running})

    def _verdicts(self) -> Mapping[Key, Verdict]:
        return self._term.verdicts if self._term is not None else {}

    def _may_take_turns(self) -> bool:
        return self._leadership.is_leading and self._listed_at >= self._leading_since

    async def _list(self) -> NoReturn:
        await self._listing.run(self._leadership.tried, self._references.begun)

    def _listed(self, change: Change, began: float) -> bool:
        """Take in the result of a LIST. Return whether another one is needed at once."""
        may_before = self._may_take_turns()
        self._listed_at = began
        self._known.note(change)
        if self._may_take_turns():
            self._changes.wake(urgent=not may_before)
            return False
        return self._leadership.is_leading

    async def _watch_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_resources())
            group.create_task(self._references.run())

    async def _watch_resources(self) -> NoReturn:
        while True:
            # kopf looks up the resources to watch only once: the definitions must exist.
            await until_done("probe", self._resync.probe)
            try:
                await self._watch.run()
            except WatchEndedError as error:
                _log.warning("the watch ended, beginning again", extra={"fields": {"detail": error}})
            await asyncio.sleep(RETRY_SECONDS)

    async def _turns(self) -> None:
        pause = RETRY_SECONDS
        while True:
            await self._changes.wait_until_due()
            term = self._term
            if term is None or not self._may_take_turns():
                continue
            self._judged_ahead = self._ahead()
            ended = await term.turn()
            if ended is not Turn.AGAIN and not self._is_settled:
                # With changes all the time, the first turns end early.
                self._is_settled = ended is Turn.DONE
                await asyncio.to_thread(release_free_memory)
            self.metrics.turns.labels(ended.value).inc()
            self._set_alarm(term.deadline)
            if ended is not Turn.AGAIN:
                pause = RETRY_SECONDS
                if ended is Turn.MORE:
                    self._changes.wake(urgent=True)
                continue
            await self._wake_after(pause)
            pause = min(pause * 2, _LONGEST_RETRY_SECONDS)

    def _set_alarm(self, deadline: datetime | None) -> None:
        """Schedule a turn for the next change by time alone: a certificate ends, or a CRL becomes overdue."""
        assert self._loop is not None  # noqa: S101 - set before any task runs
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if deadline is not None:
            seconds = (deadline - self._now()).total_seconds() + _PAST_DEADLINE_SECONDS
            # Wait at most until the next resync, which takes a turn anyway: a person may set the clock, and timers are
            # limited.
            if seconds < RESYNC_SECONDS:
                self._alarm = self._loop.call_later(max(seconds, RETRY_SECONDS), self._changes.wake)

    async def _wake_after(self, seconds: float) -> None:
        assert self._loop is not None  # noqa: S101 - set before any task runs
        self._loop.call_later(seconds, self._changes.wake)

    async def _verify(self) -> None:
        """Check what no watch shows: the clock, the published Secrets, and Secrets without their label."""
        while True:
            await asyncio.sleep(VERIFY_SECONDS)
            term = self._term
            if term is None or not self._may_take_turns():
                continue
            set_by = self._ahead() - self._judged_ahead
            if abs(set_by) > _CLOCK_SET_SECONDS:
                fields = {"seconds": round(set_by)}
                _log.warning("the clock was set; judging again everything that depends on it", extra={"fields": fields})
                self._changes.wake(urgent=True)
            await term.verify()
            if await self._reader.read(islice(self._store.references.unwatched, FEW)):
                self._changes.wake()

    def _ahead(self) -> float:
        """Return the seconds between the clock and the monotonic clock; they change only when the clock is set."""
        return self._now().timestamp() - time.monotonic()
