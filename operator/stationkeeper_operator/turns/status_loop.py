"""Compare the status of each resource with the desired one, and pass a difference to the writer.

A status is merged only when it is compared or written, so each worker has at most one status in memory.

Only differences are written. Changes come before the backlog of a new leader. The namespaces share a limited rate and
take turns, so that a namespace with many writes delays no other one. The rate grows with the backlog, waits for the
watch, and falls if the API server asks for that. A judgement is written only to the judged generation of the resource.
Observations of gateways have their own queue and rate, so that they delay nothing else.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from stationkeeper_operator.api.fair_queue import FairQueue
from stationkeeper_operator.api.kubernetes_api import ApiError
from stationkeeper_operator.api.leadership import NotLeadingError
from stationkeeper_operator.api.rate_limit import BacklogRate
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.reporting.judgement import Judgement
from stationkeeper_operator.reporting.status_events import StatusEvents
from stationkeeper_operator.reporting.status_writer import StatusWriter
from stationkeeper_operator.resources.records import Key
from stationkeeper_operator.turns.batches import batches
from stationkeeper_operator.turns.known_resources import KnownResources
from stationkeeper_operator.turns.status_merge import StatusMerge

_WORKERS = 4
_RETRY_SECONDS = 2.0
_CONFLICT_SECONDS = 0.3
_CHECKS_BETWEEN_PAUSES = 10
_CHECKED_AT_ONCE = 1000
"""The number of resources to check before other tasks can run."""
_BACKLOG_SECONDS = 900.0
_MOST_A_SECOND = 250.0
_log = logging.getLogger("stationkeeper.operator.status_loop")


@dataclass(frozen=True)
class StatusRates:
    """The rates of status writes.

    Attributes:
        judged: the common rate of all writes of judgements.
        observed: the common rate of all writes of observations.
        sweep_seconds: the pause after which all statuses are compared again, because time alone changes a status.
    """

    judged: BacklogRate = field(default_factory=lambda: BacklogRate(50, _MOST_A_SECOND, _BACKLOG_SECONDS, burst=100))
    observed: BacklogRate = field(default_factory=lambda: BacklogRate(10, _MOST_A_SECOND, _BACKLOG_SECONDS, burst=10))
    sweep_seconds: float = 3600.0


class StatusLoop:
    """Keeps the statuses of all resources up to date.

    Args:
        writer: writes a status.
        resources: the known resources; receives each written status.
        events: records events on transitions.
        merge: merges the facts about a resource into its status.
        rates: the rates of the writes.
    """

    def __init__(
        self,
        writer: StatusWriter,
        resources: KnownResources,
        events: EventRecorder,
        merge: StatusMerge,
        rates: StatusRates | None = None,
    ) -> None:
        self._writer = writer
        self._resources = resources
        self._events = StatusEvents(events)
        self._merge = merge
        self._contention = merge.contention
        self._rates = rates or StatusRates()
        self._judged: dict[Key, Judgement] = {}
        self._judgements: FairQueue[Key] = FairQueue(_namespace)
        self._observations: FairQueue[Key] = FairQueue(_namespace)
        self._busy: set[Key] = set()
        self._work = asyncio.Event()
        self._served_twice: list[Key] = []

    @property
    def is_idle(self) -> bool:
        """Whether no status waits to be written."""
        return not (self._judgements or self._observations or self._busy)

    @property
    def waiting(self) -> int:
        """The number of statuses that wait to be compared, and written if they differ."""
        return len(self._judgements) + len(self._observations) + len(self._busy)

    def judge(
        self, judgements: Mapping[Key, Judgement], deleted: Iterable[Key] = (), *, is_change: bool | None = None
    ) -> None:
        """Take in judgements; the first ones of a leader are the backlog.

        Args:
            judgements: all changed judgements; unchanged ones are allowed.
            deleted: the resources that no longer exist.
            is_change: whether they come before the backlog; None: only if they are not the first ones.
        """
        if is_change is None:
            is_change = bool(self._judged)
        for key in deleted:
            self._judged.pop(key, None)
        for key, judgement in judgements.items():
            if self._judged.get(key) != judgement:
                self._judged[key] = judgement
                self._judgements.add((key,), urgent=is_change)
        self._work.set()

    def note_other_write(self, key: Key) -> None:
        """Compare the status of a resource again: another writer wrote it."""
        resource = self._resources.get(key)
        if key in self._judged and resource is not None and self._contention.note_other_write(resource):
            self._served_twice.append(key)
        if key in self._judged and key not in self._busy:
            self._judgements.add((key,))
            self._work.set()

    def recheck(self, keys: Iterable[Key]) -> None:
        """Compare these statuses again, even if a write is under way: the facts on them changed."""
        self._judgements.add(key for key in keys if key in self._judged)
        self._work.set()

    async def recheck_documents(self, documents: Collection[str]) -> None:
        """Compare again the statuses of all resources in the documents, and of those in no document."""
        carriers = {*documents, None}
        for batch in batches(self._judged.copy().items(), _CHECKED_AT_ONCE):
            self._judgements.add(
                (key for key, each in batch if not carriers.isdisjoint((each.verdict.document, *each.verdict.copies))),
                urgent=False,
            )
            self._work.set()
            await asyncio.sleep(0)

    def queue_observations(self, keys: Iterable[Key]) -> None:
        """Compare these statuses: there are new observations of CUPS."""
        self._observations.add(keys)
        self._work.set()

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(self._worker(self._judgements, self._rates.judged))
            group.create_task(self._worker(self._observations, self._rates.observed))
            group.create_task(self._sweep())

    @property
    def verdicts(self) -> Mapping[Key, Verdict]:
        """The present verdict on each resource; any thread may read it."""
        # `dict.copy` is one step for other threads; a loop over the dict itself could fail.
        return {key: each.verdict for key, each in self._judged.copy().items()}

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._rates.sweep_seconds)
            for batch in batches(list(self._judged), _CHECKED_AT_ONCE):
                self._judgements.add(batch, urgent=False)
                self._work.set()
                await asyncio.sleep(0)

    async def _worker(self, queue: FairQueue[Key], limit: BacklogRate) -> None:
        checks = 0
        while True:
            key = queue.take(self._busy)
            if key is None:
                self._work.clear()
                await self._work.wait()
                continue
            self._busy.add(key)
            try:
                await self._bring_up_to_date(key, queue, limit)
            finally:
                self._busy.discard(key)
                self._work.set()
            checks += 1
            if checks % _CHECKS_BETWEEN_PAUSES == 0:
                await asyncio.sleep(0)

    async def _bring_up_to_date(self, key: Key, queue: FairQueue[Key], limit: BacklogRate) -> None:
        judgement, resource = self._judged.get(key), self._resources.get(key)
        if judgement is None or resource is None or not judgement.is_about(resource):
            return
        await self._report_served_twice()
        if self._merge.desired(resource, judgement) == resource.status.value:
            return
        if seconds := self._contention.seconds_to_wait(resource):
            asyncio.get_running_loop().call_later(seconds, self._retry, queue, key)
            return
        await self._resources.wait_for_room()
        limit.expect(len(queue))
        await limit.wait()
        try:
            await self._write(key)
        except NotLeadingError:
            return
        except ApiError as error:
            if error.is_not_found:
                return
            if error.is_conflict:
                # The watch reports the other write; it may have done so during this write.
                asyncio.get_running_loop().call_later(_CONFLICT_SECONDS, self._retry, queue, key)
                return
            if error.is_overloaded:
                limit.slow_down(error.retry_after or _RETRY_SECONDS)
            fields = {"resource": "/".join(key), "detail": error}
            _log.warning("a status was not written, trying again", extra={"fields": fields})
            # Try again later, not here: a failing write must not delay the others.
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._retry, queue, key)

    def _retry(self, queue: FairQueue[Key], key: Key) -> None:
        queue.add((key,), urgent=False)
        self._work.set()

    async def _write(self, key: Key) -> None:
        judgement, before = self._judged.get(key), self._resources.get(key)
        if judgement is None or before is None or not judgement.is_about(before):
            return
        desired = self._merge.desired(before, judgement)
        after = await self._writer.write(before, desired)
        self._resources.take_in_write(after)
        if (seconds := self._merge.note_write(after)) is not None:
            asyncio.get_running_loop().call_later(seconds, self.recheck, (key,))
        level = logging.DEBUG if desired["conditions"] == before.status.value.get("conditions") else logging.INFO
        _log.log(level, "status", extra={"fields": _log_fields(key, judgement)})
        await self._events.report_changes(before, after, judgement.verdict)

    async def _report_served_twice(self) -> None:
        """Record the event once per namespace, on one of its resources."""
        while self._served_twice:
            resource = self._resources.get(self._served_twice.pop())
            fact = resource and self._contention.fact(resource)
            if resource and fact:
                await self._events.report_served_twice(resource, fact)


def _namespace(key: Key) -> str:
    return key.namespace


def _log_fields(key: Key, judgement: Judgement) -> dict[str, object]:
    return {
        "resource": "/".join(key),
        "accepted": judgement.verdict.accepted,
        "reason": judgement.verdict.reason,
        "published": judgement.published,
    }
