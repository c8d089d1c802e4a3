"""Asks the CUPS pods: soon after a publish what they have loaded, and every few seconds that and whom they saw.

What a pod lacks is handed to it in the same round.

All are asked what they have loaded: one that ends, or is not ready, may still serve whoever is connected. A ready one
that does not answer is said once in the log, and is asked again; the others count meanwhile.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from stationkeeper_core.timestamps import rfc3339
from stationkeeper_core.x509.expiry import Stage, stage_of
from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi
from stationkeeper_operator.api.leadership import NotLeadingError
from stationkeeper_operator.api.rate_limit import RateLimit
from stationkeeper_operator.observing.cups_pods import CupsPod, list_cups_pods
from stationkeeper_operator.observing.enforcement import POD_CANNOT_LOAD, PodReport
from stationkeeper_operator.observing.handover import Handover
from stationkeeper_operator.observing.loaded import Loaded, LoadRefusal, ServerCertificate
from stationkeeper_operator.observing.observed_state import ObservedState
from stationkeeper_operator.observing.pod_client import PodClient, PodError
from stationkeeper_operator.observing.proof import Proof
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.reporting.status_writer import StatusWriter

GATHER_SECONDS = 5.0
STARTING_SECONDS = 1.0
"""Between two rounds while a pod waits for the word that what it holds is the latest."""
COUNT_SECONDS = 15.0
HANDOVER_SECONDS = 4.0
SERVER_CERTIFICATE_EXPIRING = "ServerCertificateExpiring"
WAITING = "WaitsForSecret"
WAITING_SECONDS = 10.0

_MAX_PAGES = 200
_PAGES_A_SECOND = 4.0
_EVENTS_OF_A_POD = 20
_EVENTS_OF_A_POD_A_SECOND = 1 / 300
_READ_SECONDS = 5.0
_NOT_READY_SECONDS = 1.0
_AT_ONCE = 16
_log = logging.getLogger("stationkeeper.operator.gatherer")


@dataclass(frozen=True)
class _Cursor:
    instance: str = ""
    position: int = 0


class Gatherer:
    """Of one release.

    Args:
        api: of the cluster.
        namespace: of the release.
        token_file: with the token of the pods' internal port; None asks nobody.
        proof: takes what the pods have loaded.
        state: takes whom they saw.
        status: told whose status may change.
        events: for pods that refuse to load.
        handover: of what they lack.
        may_gather: whether this process leads and knows the resources.
        now: the time, aware.
    """

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        api: KubernetesApi,
        namespace: str,
        token_file: Path | None,
        *,
        proof: Proof,
        state: ObservedState,
        status: StatusWriter,
        events: EventRecorder,
        handover: Handover,
        may_gather: Callable[[], bool],
        now: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._token_file = token_file
        self._proof = proof
        self._state = state
        self._status = status
        self._events = events
        self._handover = handover
        self._may_gather = may_gather
        self._now = now
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._cursors: dict[str, _Cursor] = {}
        self._reports: dict[str, PodReport] = {}
        self._expiring: dict[str, tuple[datetime, Stage | None]] = {}
        self._waiting: dict[str, tuple[str, float]] = {}
        self._problems: dict[tuple[str, str], str] = {}
        self._pages: dict[str, RateLimit] = {}
        self._pod_events: dict[str, RateLimit] = {}
        self._counted_at = float("-inf")
        self._some_start = False

    async def run(self) -> None:
        """Gathers until cancelled."""
        if self._token_file is None:
            _log.warning("the CUPS pods are not asked what they have loaded and seen: set --internal-token-file")
            await asyncio.Event().wait()
            return
        async with PodClient(self._token_file) as client, asyncio.TaskGroup() as group:
            group.create_task(self._watch_what_is_loaded(client))
            group.create_task(self._gather_what_was_seen(client))

    async def _watch_what_is_loaded(self, client: PodClient) -> None:
        while True:
            await self._proof.due(STARTING_SECONDS if self._some_start else GATHER_SECONDS)
            if not self._may_gather():
                continue
            pods = await self._pods()
            if pods is None:
                continue
            asked = [pod for pod in pods if pod.ready or pod.host]
            self._some_start = False
            reports = await asyncio.gather(*(self._report(client, pod) for pod in asked))
            self._proof.take_in(reports)

    async def _gather_what_was_seen(self, client: PodClient) -> None:
        while True:
            await asyncio.sleep(GATHER_SECONDS)
            if not self._may_gather():
                continue
            pods = await self._pods() or ()
            await asyncio.gather(*(self._read_for_a_while(client, pod) for pod in pods if pod.serves))
            self._status.observe(self._state.due(self._now()))
            if time.monotonic() - self._counted_at >= COUNT_SECONDS:
                self._counted_at = time.monotonic()
                self._status.observe(self._state.count(self._now()))

    async def _pods(self) -> Sequence[CupsPod] | None:
        """None where they cannot be listed."""
        try:
            pods = await list_cups_pods(self._api, self._namespace)
        except ApiError as error:
            self._say("", "list", str(error))
            return None
        self._say("", "list", "")
        present = {pod.uid for pod in pods}
        self._handover.forget_all_but(present)
        of_pods = (self._cursors, self._reports, self._expiring, self._waiting, self._pages, self._pod_events)
        for known in of_pods:
            for uid in known.keys() - present:
                del known[uid]
        names = {"", *(pod.name for pod in pods)}
        self._problems = {where: what for where, what in self._problems.items() if where[0] in names}
        return pods

    async def _report(self, client: PodClient, pod: CupsPod) -> PodReport:
        before = self._reports.get(pod.uid, PodReport(pod.name, buckets=pod.buckets))
        try:
            async with self._slots:
                loaded = await self._loaded(client, pod)
        except PodError as error:
            if pod.serves:
                self._say(pod.name, "loaded", str(error))
            return replace(before, problem=str(error), ready=pod.ready, ends=pod.ends)
        self._say(pod.name, "loaded", "")
        refused = {name: _unless_same(before.refused.get(name), each) for name, each in loaded.refused.items()}
        report = PodReport(pod.name, loaded.generations, refused, ready=pod.ready, ends=pod.ends, buckets=pod.buckets)
        self._reports[pod.uid] = report
        await self._tell_expiry(pod, loaded.server_certificate)
        await self._tell_waiting(pod, loaded.secrets_missing)
        for document, refusal in report.refused.items():
            if before.refused.get(document) != refusal:
                await self._tell_refusal(pod, document, refusal)
        return report

    async def _loaded(self, client: PodClient, pod: CupsPod) -> Loaded:
        """Return what the pod has loaded, once it was handed what it lacks."""
        loaded = await _loaded(client, pod)
        if loaded.handover is not None and not loaded.handover.is_latest:
            self._some_start = True
        try:
            # One that is slow must not keep the others waiting for the next round; it goes on then.
            async with asyncio.timeout(HANDOVER_SECONDS):
                taken = await self._handover.bring_up_to_date(client, pod, loaded)
        except (PodError, TimeoutError) as error:
            self._say(pod.name, "handover", str(error) or "it does not take all in time")
            return loaded
        self._say(pod.name, "handover", "")
        return await _loaded(client, pod) if taken else loaded

    async def _tell_refusal(self, pod: CupsPod, document: str, refusal: LoadRefusal) -> None:
        message = f"{document} is not loaded, the last good state stays in force: {refusal.reason}: {refusal.detail}"
        await self._tell(pod, POD_CANNOT_LOAD, message)

    async def _tell_waiting(self, pod: CupsPod, secrets_missing: str) -> None:
        """Once for what a pod lacks for a while: what is applied all at once comes within seconds."""
        if not secrets_missing:
            self._waiting.pop(pod.uid, None)
            return
        what, told_from = self._waiting.get(pod.uid, ("", time.monotonic() + WAITING_SECONDS))
        if what == secrets_missing or time.monotonic() < told_from:
            self._waiting[pod.uid] = what, told_from
            return
        self._waiting[pod.uid] = secrets_missing, told_from
        await self._tell(
            pod, WAITING, f"no gateway can connect to it before these Secrets are there: {secrets_missing}"
        )

    async def _tell_expiry(self, pod: CupsPod, certificate: ServerCertificate | None) -> None:
        """Once per stage of each certificate."""
        if certificate is None or certificate.not_after.tzinfo is None:
            return
        begin = certificate.not_before if certificate.not_before and certificate.not_before.tzinfo else None
        stage = stage_of(begin, certificate.not_after, self._now())
        told = self._expiring.get(pod.uid)
        self._expiring[pod.uid] = (certificate.not_after, stage)
        if stage is None or told == (certificate.not_after, stage):
            return
        end = rfc3339(certificate.not_after)
        message = f"{stage}: the server's certificate ends at {end}, no gateway connects after that; renew its Secret"
        await self._tell(pod, SERVER_CERTIFICATE_EXPIRING, message)

    async def _tell(self, pod: CupsPod, reason: str, message: str) -> None:
        """Within a budget of the pod: one that was taken over can say something else each time."""
        budget = self._pod_events.setdefault(pod.uid, RateLimit(_EVENTS_OF_A_POD_A_SECOND, _EVENTS_OF_A_POD))
        if budget.take():
            with contextlib.suppress(NotLeadingError):
                await self._events.pod_warning(self._namespace, pod.name, pod.uid, reason, message)

    async def _read_for_a_while(self, client: PodClient, pod: CupsPod) -> None:
        """A pod that is slow, or has very much to tell, goes on in the next round."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READ_SECONDS):
                await self._read(client, pod)

    async def _read(self, client: PodClient, pod: CupsPod) -> None:
        cursor = self._cursors.get(pod.uid, _Cursor())
        pages = self._pages.setdefault(pod.uid, RateLimit(_PAGES_A_SECOND, _MAX_PAGES))
        # All that a pod can remember fits into the burst; what comes faster than the rate afterwards waits.
        while pages.take():
            try:
                async with self._slots:
                    page = await client.observations(pod, cursor.position)
            except PodError as error:
                self._say(pod.name, "seen", str(error))
                return
            self._say(pod.name, "seen", "")
            if page.instance != cursor.instance and cursor.position:
                cursor = _Cursor(page.instance)
                continue
            self._status.observe(self._state.take_in(page.instance, page.observations, self._now()))
            cursor = self._cursors[pod.uid] = _Cursor(page.instance, page.cursor)
            if not page.more:
                return

    def _say(self, pod: str, what: str, problem: str) -> None:
        """Log a problem when it begins, changes or ends."""
        if self._problems.get((pod, what), "") == problem:
            return
        self._problems[pod, what] = problem
        fields = {"pod": pod, "what": what, "detail": problem}
        if problem:
            _log.warning("a CUPS pod does not tell", extra={"fields": fields})
        else:
            _log.info("a CUPS pod tells again", extra={"fields": fields})


def _unless_same(before: LoadRefusal | None, now: LoadRefusal) -> LoadRefusal:
    """A detail that changes alone is no news: it would have the status of every resource written anew."""
    return before if before is not None and before.reason == now.reason else now


async def _loaded(client: PodClient, pod: CupsPod) -> Loaded:
    """What the pod has loaded; one that is not ready must not hold up the proof of the others."""
    if pod.ready:
        return await client.loaded(pod)
    try:
        async with asyncio.timeout(_NOT_READY_SECONDS):
            return await client.loaded(pod)
    except TimeoutError:
        raise PodError("it does not answer in time") from None
