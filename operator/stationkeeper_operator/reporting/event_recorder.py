"""Write Kubernetes events on problems that need a person; `kubectl describe` shows them.

An event is recorded once. Nothing depends on an event: each namespace has a rate limit, events above it are dropped,
and a failed write is only logged. Events on removed trust are queued: the namespaces take turns in the queue, and
failed writes are tried again.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from stationkeeper_core.recently_used import RecentlyUsed
from stationkeeper_core.timestamps import rfc3339
from stationkeeper_operator.api.fair_queue import FairQueue
from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi, object_body, path_of
from stationkeeper_operator.api.leadership import NotLeadingError
from stationkeeper_operator.api.rate_limit import RateLimit
from stationkeeper_operator.api.resource_paths import GROUP_VERSION
from stationkeeper_operator.resources.records import Resource

COMPONENT = "stationkeeper-operator"

PER_SECOND = 2.0
BURST = 30

_MAX_MESSAGE = 1024
_MAX_NAME = 200
_SUFFIX_BYTES = 8
_MAX_NAMESPACES = 4096
_MAX_WAITING = 5_000
_QUEUED_A_SECOND, _QUEUED_BURST = 20.0, 50
_LINES_A_SECOND, _LINES = 0.2, 10
_RETRY_SECONDS = 2.0
# The namespace or the right no longer exists, or the API server will never accept the event.
_PERMANENT_FAILURES = {400, 403, 404, 405, 409, 413, 422}
_log = logging.getLogger("stationkeeper.operator.event_recorder")


@dataclass(frozen=True, eq=False)
class _QueuedEvent:
    """An event in the queue; `once` if the resource gets only one event with this reason."""

    involved: Mapping[str, str]
    body: Mapping[str, object]
    once: bool = False


class EventRecorder:
    """A writer of events.

    Args:
        api: the API client.
        instance: the name of this process.
        permit: called before each write; raises if the write is not allowed.
        limit: makes the rate limit of a namespace.
        queue_limit: the common rate limit of queued events.
    """

    def __init__(
        self,
        api: KubernetesApi,
        instance: str,
        permit: Callable[[], None],
        limit: Callable[[], RateLimit] = lambda: RateLimit(PER_SECOND, BURST),
        queue_limit: RateLimit | None = None,
    ) -> None:
        self._api = api
        self._instance = instance
        self._permit = permit
        self._limits: RecentlyUsed[str, RateLimit] = RecentlyUsed(limit, _MAX_NAMESPACES)
        self._queue_limit = queue_limit or RateLimit(_QUEUED_A_SECOND, _QUEUED_BURST)
        self._queue: FairQueue[_QueuedEvent] = FairQueue(lambda each: each.involved["namespace"])
        self._work = asyncio.Event()
        self._lines = RateLimit(_LINES_A_SECOND, _LINES)
        self._dropped = 0
        self._reported: set[str] = set()

    async def run(self) -> NoReturn:
        """Write queued events until cancelled."""
        while True:
            each = self._queue.take()
            if each is None:
                self._work.clear()
                await self._work.wait()
                continue
            await self._queue_limit.wait()
            await self._write_queued(each)

    def take_reported(self) -> Collection[str]:
        """Return the uids of the resources whose event with `once` needs no more attempt, since the last call.

        The event was written, by this process or an earlier one, or the API server refuses it for good.
        """
        reported, self._reported = self._reported, set()
        return reported

    def queue(self, resource: Resource, kind: str, reason: str, message: str, *, once: bool = False) -> None:
        """Queue an event that is written even after failures.

        Args:
            resource: the resource; it may be deleted.
            kind: `Normal` or `Warning`.
            reason: a CamelCase word.
            message: the text of the event.
            once: whether the resource gets only one such event, from any process; see `take_reported`.
        """
        involved = _involved(resource)
        if self._queue.waiting(involved["namespace"]) >= _MAX_WAITING:
            self._log_dropped(_shown(involved))
            return
        suffix = _fixed_suffix(involved["uid"], reason) if once else secrets.token_hex(_SUFFIX_BYTES)
        self._queue.add((_QueuedEvent(involved, self._body(involved, kind, reason, message, suffix), once),))
        self._work.set()

    async def _write_queued(self, each: _QueuedEvent) -> None:
        try:
            self._permit()
            await self._api.create(path_of("v1", each.involved["namespace"], "events"), each.body)
        except NotLeadingError:
            return
        except ApiError as error:
            fields = {"resource": _shown(each.involved), "reason": each.body["reason"], "detail": error}
            if error.status in _PERMANENT_FAILURES:
                self._mark_reported(each)
                if not (each.once and error.is_conflict):
                    _log.warning("an event was not written", extra={"fields": fields})
                return
            _log.warning("an event was not written, trying again", extra={"fields": fields})
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._retry, each)
        else:
            self._mark_reported(each)

    def _mark_reported(self, each: _QueuedEvent) -> None:
        if each.once:
            self._reported.add(each.involved["uid"])

    def _retry(self, each: _QueuedEvent) -> None:
        self._queue.add((each,))
        self._work.set()

    async def warning(self, resource: Resource, reason: str, message: str) -> None:
        """Record that `resource` needs an action."""
        await self._record(_involved(resource), "Warning", reason, message)

    async def normal(self, resource: Resource, reason: str, message: str) -> None:
        """Record that `resource` no longer has a problem."""
        await self._record(_involved(resource), "Normal", reason, message)

    async def pod_warning(self, namespace: str, name: str, uid: str, reason: str, message: str) -> None:
        """Record that a CUPS pod needs an action."""
        involved = {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": uid}
        await self._record(involved, "Warning", reason, message)

    async def _record(self, involved: Mapping[str, str], kind: str, reason: str, message: str) -> None:
        shown = _shown(involved)
        if not self._limits[involved["namespace"]].take():
            self._log_dropped(shown)
            return
        self._permit()
        path = path_of("v1", involved["namespace"], "events")
        try:
            body = self._body(involved, kind, reason, message, secrets.token_hex(_SUFFIX_BYTES))
            await self._api.create(path, body)
        except ApiError as error:
            fields = {"resource": shown, "reason": reason, "detail": error}
            _log.warning("an event was not written", extra={"fields": fields})

    def _log_dropped(self, shown: str) -> None:
        """Log a dropped event, within a budget, so that many events do not fill the log."""
        self._dropped += 1
        if self._lines.take():
            fields = {"resource": shown, "dropped": self._dropped}
            _log.warning("too many events in a namespace, some were dropped", extra={"fields": fields})
            self._dropped = 0

    def _body(
        self, involved: Mapping[str, str], kind: str, reason: str, message: str, suffix: str
    ) -> dict[str, object]:
        now = rfc3339(datetime.now(UTC))
        name = f"{involved['name'][:_MAX_NAME].rstrip('.-')}.{suffix}"
        return object_body(
            "v1",
            "Event",
            {"name": name, "namespace": involved["namespace"]},
            involvedObject=dict(involved),
            type=kind,
            reason=reason,
            message=message[:_MAX_MESSAGE],
            source={"component": COMPONENT},
            reportingComponent=COMPONENT,
            reportingInstance=self._instance[:128],
            firstTimestamp=now,
            lastTimestamp=now,
            count=1,
        )


def _fixed_suffix(uid: str, reason: str) -> str:
    return hashlib.sha256(f"{uid} {reason}".encode()).hexdigest()[: 2 * _SUFFIX_BYTES]


def _shown(involved: Mapping[str, str]) -> str:
    return f"{involved['kind']}/{involved['namespace']}/{involved['name']}"


def _involved(resource: Resource) -> dict[str, str]:
    metadata = resource.metadata
    return {
        "apiVersion": GROUP_VERSION,
        "kind": resource.key.kind,
        "namespace": metadata.namespace,
        "name": metadata.name,
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
    }
