"""Ask the CUPS pods for their loaded generations, and hand over what they lack.

All pods are asked: one that terminates or is not ready may still serve connected gateways. A ready pod that does not
answer is logged once and asked again; the other pods count meanwhile.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from stationkeeper_operator.observing.asked_pods import AskedPods
from stationkeeper_operator.observing.cups_pods import CupsPod
from stationkeeper_operator.observing.handover import Handover
from stationkeeper_operator.observing.pod_client import PodClient, PodError
from stationkeeper_operator.observing.pod_events import PodEvent, PodEvents
from stationkeeper_operator.rollout.generation_report import Loaded, LoadRefusal
from stationkeeper_operator.rollout.step_fact import PodReport

HANDOVER_SECONDS = 4.0

_NOT_READY_SECONDS = 1.0


@dataclass(frozen=True)
class LoadedRound:
    """The result of asking all pods once.

    Attributes:
        reports: one of each pod.
        events: the events to record.
        some_start: whether a pod still waits for the message that its documents are the latest.
    """

    reports: Sequence[PodReport]
    events: Sequence[PodEvent]
    some_start: bool


class LoadedReports:
    """The reports of the pods of one release on their loaded documents.

    Args:
        pods: the pods to ask.
        handover: hands missing documents over.
        events: makes the events on pods.
    """

    def __init__(self, pods: AskedPods, handover: Handover, events: PodEvents) -> None:
        self._pods = pods
        self._handover = handover
        self._events = events
        self._reports: dict[str, PodReport] = {}
        self._some_start = False

    async def ask(self, client: PodClient, pods: Sequence[CupsPod]) -> LoadedRound:
        """Ask each pod once.

        Args:
            client: the client for the requests.
            pods: all existing pods.
        """
        self._keep_only({pod.uid for pod in pods})
        asked = [pod for pod in pods if pod.ready or pod.host]
        self._some_start = False
        events: list[PodEvent] = []
        reports = await asyncio.gather(*(self._report(client, pod, events) for pod in asked))
        return LoadedRound(reports, events, self._some_start)

    def _keep_only(self, present: set[str]) -> None:
        self._handover.keep_only(present)
        self._events.keep_only(present)
        for uid in self._reports.keys() - present:
            del self._reports[uid]

    async def _report(self, client: PodClient, pod: CupsPod, events: list[PodEvent]) -> PodReport:
        before = self._reports.get(pod.uid, PodReport(pod.name, buckets=pod.buckets))
        try:
            async with self._pods.slots:
                loaded = await self._loaded(client, pod)
        except PodError as error:
            if pod.serves:
                self._pods.report_problem(pod.name, "loaded", str(error))
            may_serve = pod.ready or self._handover.was_informed_lately(pod.uid)
            return replace(before, problem=str(error), ready=may_serve, ends=pod.ends)
        self._pods.report_problem(pod.name, "loaded", "")
        refused = {
            name: _earlier_if_same_reason(before.refused.get(name), each) for name, each in loaded.refused.items()
        }
        report = PodReport(
            pod.name,
            loaded.generations,
            refused,
            ready=pod.ready,
            ends=pod.ends,
            buckets=pod.buckets,
            kept=loaded.kept,
        )
        self._reports[pod.uid] = report
        events += self._events.of_expiry(pod, loaded.server_certificate)
        events += self._events.of_waiting(pod, loaded.secrets_missing)
        for document, refusal in report.refused.items():
            if before.refused.get(document) != refusal:
                events += self._events.of_refusal(pod, document, refusal)
        return report

    async def _loaded(self, client: PodClient, pod: CupsPod) -> Loaded:
        """Return the loaded generations of the pod, after the handover of the missing documents."""
        loaded = await _loaded(client, pod)
        if loaded.handover is not None and not loaded.handover.is_latest:
            self._some_start = True
        try:
            # A slow pod must not delay the next round of the others; it continues in that round.
            async with asyncio.timeout(HANDOVER_SECONDS):
                taken = await self._handover.bring_up_to_date(client, pod, loaded)
        except (PodError, TimeoutError) as error:
            self._pods.report_problem(pod.name, "handover", str(error) or "it does not accept all documents in time")
            return loaded
        self._pods.report_problem(pod.name, "handover", "")
        return await _loaded(client, pod) if taken else loaded


def _earlier_if_same_reason(before: LoadRefusal | None, now: LoadRefusal) -> LoadRefusal:
    """Return the earlier refusal if only its detail changed, so that not every status is written again."""
    return before if before is not None and before.reason == now.reason else now


async def _loaded(client: PodClient, pod: CupsPod) -> Loaded:
    """Return the loaded generations of the pod; one that is not ready gets a short timeout."""
    if pod.ready:
        return await client.loaded(pod)
    try:
        async with asyncio.timeout(_NOT_READY_SECONDS):
            return await client.loaded(pod)
    except TimeoutError:
        raise PodError("it does not answer in time") from None
