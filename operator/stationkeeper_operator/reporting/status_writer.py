"""Writes what became of each resource into its status.

Only what differs from the present status is written, changes before the backlog that a new leader finds, at a bounded
rate that the namespaces share: they take turns, so that one with very much to write holds up no other. The rate grows
with what there is to write, waits for the watch, and falls where the API server asks for that. A judgement is written
only to the very generation of the resource that was judged. What CUPS saw of gateways has a queue and a rate of its
own: however much that is, it holds up nothing else.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from stationkeeper_operator.api.fair_queue import FairQueue
from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi
from stationkeeper_operator.api.leadership import NotLeadingError
from stationkeeper_operator.api.rate_limit import BacklogRate
from stationkeeper_operator.api.resource_paths import resource_path
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.reporting.conditions import Fact, status_of
from stationkeeper_operator.reporting.contention import Contention
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.reporting.own_writes import OwnWrites
from stationkeeper_operator.reporting.status_events import StatusEvents
from stationkeeper_operator.resources.records import Key, Resource, decode_resource
from stationkeeper_operator.resources.status_manager import status_manager

_WORKERS = 4
_RETRY_SECONDS = 2.0
_CONFLICT_SECONDS = 0.3
_CHECKS_BETWEEN_PAUSES = 10
_BACKLOG_SECONDS = 900.0
_MOST_A_SECOND = 250.0
_log = logging.getLogger("stationkeeper.operator.status_writer")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of one generation of a resource.

    Attributes:
        uid, generation: of what was judged.
        verdict: on its spec.
        published: whether the Secret that carries it was written.
    """

    uid: str
    generation: int
    verdict: Verdict
    published: bool


@dataclass(frozen=True)
class Observed:
    """What is known of resources beside their specs.

    Attributes:
        fields: of the status, to be written now; one that is None is to go.
        written: told of each resource whose status was written.
        enforced: whether CUPS has loaded what was judged; None where that is not told.
    """

    fields: Callable[[Resource], Mapping[str, object]] = lambda _resource: {}
    written: Callable[[Resource], None] = lambda _resource: None
    enforced: Callable[[Resource, Verdict], Fact | None] = lambda _resource, _verdict: None


@dataclass(frozen=True)
class StatusRates:
    """How fast statuses are written.

    Attributes:
        judged: of the writes of what was judged, together.
        observed: of the writes of what was observed, together.
        sweep_seconds: after which all are compared once more, as time alone changes what a status says.
    """

    judged: BacklogRate = field(default_factory=lambda: BacklogRate(50, _MOST_A_SECOND, _BACKLOG_SECONDS, burst=100))
    observed: BacklogRate = field(default_factory=lambda: BacklogRate(10, _MOST_A_SECOND, _BACKLOG_SECONDS, burst=10))
    sweep_seconds: float = 3600.0


class StatusWriter:
    """Keeps the status of all resources right.

    Args:
        api: of the cluster.
        resources: as they are known; told of each status that was written.
        events: for transitions.
        permit: called before each write; raises where it must not be done.
        now: the time, aware.
        release: the namespace of the release.
        observed: what else is known; asked whenever a status is compared.
        rates: how fast they are written.
    """

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        api: KubernetesApi,
        resources: OwnWrites,
        events: EventRecorder,
        *,
        permit: Callable[[], None],
        now: Callable[[], datetime],
        release: str,
        observed: Observed | None = None,
        rates: StatusRates | None = None,
    ) -> None:
        self._api = api
        self._resources = resources
        self._events = StatusEvents(events)
        self._permit = permit
        self._now = now
        self._manager = status_manager(release)
        self._contention = Contention(release)
        self._observed = observed or Observed()
        self._rates = rates or StatusRates()
        self._judged: dict[Key, Judgement] = {}
        self._judgements: FairQueue[Key] = FairQueue(_namespace)
        self._observations: FairQueue[Key] = FairQueue(_namespace)
        self._busy: set[Key] = set()
        self._work = asyncio.Event()
        self._served_twice: list[Key] = []

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to be written."""
        return not (self._judgements or self._observations or self._busy)

    @property
    def waiting(self) -> int:
        """How many statuses are to be compared, and written where they differ."""
        return len(self._judgements) + len(self._observations) + len(self._busy)

    def judge(
        self, judgements: Mapping[Key, Judgement], gone: Iterable[Key] = (), *, is_news: bool | None = None
    ) -> None:
        """Take over judgements; the first ones of a leader are the backlog.

        Args:
            judgements: those that are others than before, and any that are not.
            gone: the resources that do not exist any more.
            is_news: whether they come before the backlog; None: unless they are the first.
        """
        if is_news is None:
            is_news = bool(self._judged)
        for key in gone:
            self._judged.pop(key, None)
        for key, judgement in judgements.items():
            if self._judged.get(key) != judgement:
                self._judged[key] = judgement
                self._judgements.add((key,), urgent=is_news)
        self._work.set()

    def look_again(self, key: Key) -> None:
        """Has the status of a resource compared once more: somebody wrote to it."""
        resource = self._resources.get(key)
        if key in self._judged and resource is not None and self._contention.notice(resource):
            self._served_twice.append(key)
        if key in self._judged and key not in self._busy:
            self._judgements.add((key,))
            self._work.set()

    def recheck(self, keys: Iterable[Key]) -> None:
        """Has the status of these compared once more, even if it is being written: what is known of them changed."""
        self._judgements.add(key for key in keys if key in self._judged)
        self._work.set()

    def look_again_at(self, documents: Collection[str]) -> None:
        """Has the status of all resources compared once more that one of the documents carries, or that none does."""
        carriers = {*documents, None}
        carried = (
            key
            for key, each in self._judged.items()
            if not carriers.isdisjoint((each.verdict.document, *each.verdict.copies))
        )
        self._judgements.add(carried, urgent=False)
        self._work.set()

    def observe(self, keys: Iterable[Key]) -> None:
        """Has the status of these compared, as there is news of what CUPS saw of them."""
        self._observations.add(keys)
        self._work.set()

    async def run(self) -> None:
        """Writes until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(self._worker(self._judgements, self._rates.judged))
            group.create_task(self._worker(self._observations, self._rates.observed))
            group.create_task(self._sweep())

    @property
    def verdicts(self) -> Mapping[Key, Verdict]:
        """The present verdict on each resource."""
        return {key: each.verdict for key, each in self._judged.items()}

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._rates.sweep_seconds)
            self._judgements.add(self._judged, urgent=False)
            self._work.set()

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
        if judgement is None or resource is None or not _is_about(judgement, resource):
            return
        await self._tell_served_twice()
        if self._desired(resource, judgement) == resource.status.value:
            return
        if seconds := self._contention.wait(resource):
            asyncio.get_running_loop().call_later(seconds, self._retry, queue, key)
            return
        await self._resources.room()
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
                # The watch tells what was written; it may have told so already, while this write was under way.
                asyncio.get_running_loop().call_later(_CONFLICT_SECONDS, self._retry, queue, key)
                return
            if error.is_overloaded:
                limit.slow_down(error.retry_after or _RETRY_SECONDS)
            fields = {"resource": "/".join(key), "detail": error}
            _log.warning("a status was not written, trying again", extra={"fields": fields})
            # Later, and not here: what cannot be written holds up nothing else.
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._retry, queue, key)

    def _retry(self, queue: FairQueue[Key], key: Key) -> None:
        queue.add((key,), urgent=False)
        self._work.set()

    async def _write(self, key: Key) -> None:
        judgement, before = self._judged.get(key), self._resources.get(key)
        if judgement is None or before is None or not _is_about(judgement, before):
            return
        desired = self._desired(before, judgement)
        path = resource_path(*key, "status")
        self._permit()
        # With the uid, a resource of the same name that was created meanwhile is a conflict; with the version, whatever
        # was written since, so that a leader which was frozen here does not write over a later leader's word.
        condition = {"uid": judgement.uid, "resourceVersion": before.metadata.resource_version}
        changes = _merge_patch(before.status.value, desired)
        answer = await self._api.merge_patch(path, {"metadata": condition, "status": changes}, manager=self._manager)
        after = decode_resource(key.kind, answer)
        self._resources.take_in(after)
        self._observed.written(after)
        if (settled := self._contention.wrote(key)) is not None:
            asyncio.get_running_loop().call_later(settled, self.recheck, (key,))
        level = logging.DEBUG if desired["conditions"] == before.status.value.get("conditions") else logging.INFO
        _log.log(level, "status", extra={"fields": _log_fields(key, judgement)})
        await self._events.tell(before, after, judgement.verdict)

    async def _tell_served_twice(self) -> None:
        """Once for a namespace, on one of its resources."""
        while self._served_twice:
            resource = self._resources.get(self._served_twice.pop())
            fact = resource and self._contention.fact(resource)
            if resource and fact:
                await self._events.tell_served_twice(resource, fact)

    def _desired(self, resource: Resource, judgement: Judgement) -> dict[str, object]:
        enforced = self._observed.enforced(resource, judgement.verdict)
        fields = self._observed.fields(resource)
        contested = self._contention.fact(resource)
        return status_of(resource, judgement.verdict, judgement.published, "", self._now(), enforced, fields, contested)


def _namespace(key: Key) -> str:
    return key.namespace


def _merge_patch(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, object]:
    """Return what makes `after` of `before`, as RFC 7396 merges: a field that goes is null, in objects inside too."""
    gone: dict[str, object] = dict.fromkeys(before.keys() - after.keys())
    for name, value in after.items():
        held = before.get(name)
        gone[name] = _merge_patch(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return gone


def _is_about(judgement: Judgement, resource: Resource) -> bool:
    metadata = resource.metadata
    return (judgement.uid, judgement.generation) == (metadata.uid, metadata.generation)


def _log_fields(key: Key, judgement: Judgement) -> dict[str, object]:
    return {
        "resource": "/".join(key),
        "accepted": judgement.verdict.accepted,
        "reason": judgement.verdict.reason,
        "published": judgement.published,
    }
