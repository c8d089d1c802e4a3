"""Ask the CUPS pods for loaded generations, soon after a publish and every few seconds; hand over what they lack.

All pods are asked: one that terminates or is not ready may still serve connected gateways. A ready pod that does not
answer is logged once and asked again; the other pods count meanwhile.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NoReturn

from stationkeeper_operator.observing import asked_pods
from stationkeeper_operator.observing.asked_pods import AskedPods
from stationkeeper_operator.observing.cups_pods import CupsPod
from stationkeeper_operator.observing.enforcement import PodReport
from stationkeeper_operator.observing.handover import Handover
from stationkeeper_operator.observing.loaded import Loaded, LoadRefusal
from stationkeeper_operator.observing.pod_client import PodClient, PodError
from stationkeeper_operator.observing.pod_events import PodEvents
from stationkeeper_operator.observing.proof import Proof

STARTING_SECONDS = 1.0
"""The pause between two rounds while a pod waits to be told that its documents are the latest."""
HANDOVER_SECONDS = 4.0

_NOT_READY_SECONDS = 1.0


class LoadedReports:
    """The loop of one release.

    Args:
        pods: the pods to ask.
        proof: receives the reports.
        handover: hands missing documents over.
        events: records events on pods that refuse a document.
        outrun: told of the generations that each has in force.
    """

    def __init__(
        self,
        pods: AskedPods,
        proof: Proof,
        handover: Handover,
        events: PodEvents,
        outrun: Callable[[Mapping[str, int]], None] = lambda _generations: None,
    ) -> None:
        self._pods = pods
        self._proof = proof
        self._handover = handover
        self._events = events
        self._outrun = outrun
        self._reports: dict[str, PodReport] = {}
        self._some_start = False

    async def run(self, client: PodClient) -> NoReturn:
        """Ask until cancelled."""
        while True:
            await self._proof.due(STARTING_SECONDS if self._some_start else asked_pods.GATHER_SECONDS)
            pods = await self._pods.present() if self._pods.may_ask() else None
            if pods is None:
                continue
            self._forget_all_but({pod.uid for pod in pods})
            asked = [pod for pod in pods if pod.ready or pod.host]
            self._some_start = False
            reports = await asyncio.gather(*(self._report(client, pod) for pod in asked))
            self._proof.take_in(reports)

    def _forget_all_but(self, present: set[str]) -> None:
        self._handover.forget_all_but(present)
        self._events.forget_all_but(present)
        for uid in self._reports.keys() - present:
            del self._reports[uid]

    async def _report(self, client: PodClient, pod: CupsPod) -> PodReport:
        before = self._reports.get(pod.uid, PodReport(pod.name, buckets=pod.buckets))
        try:
            async with self._pods.slots:
                loaded = await self._loaded(client, pod)
        except PodError as error:
            if pod.serves:
                self._pods.say(pod.name, "loaded", str(error))
            may_serve = pod.ready or self._handover.told_lately(pod.uid)
            return replace(before, problem=str(error), ready=may_serve, ends=pod.ends)
        self._pods.say(pod.name, "loaded", "")
        refused = {name: _unless_same(before.refused.get(name), each) for name, each in loaded.refused.items()}
        report = PodReport(pod.name, loaded.generations, refused, ready=pod.ready, ends=pod.ends, buckets=pod.buckets)
        self._reports[pod.uid] = report
        self._outrun(report.generations)
        await self._events.tell_expiry(pod, loaded.server_certificate)
        await self._events.tell_waiting(pod, loaded.secrets_missing)
        for document, refusal in report.refused.items():
            if before.refused.get(document) != refusal:
                await self._events.tell_refusal(pod, document, refusal)
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
            self._pods.say(pod.name, "handover", str(error) or "it does not accept all documents in time")
            return loaded
        self._pods.say(pod.name, "handover", "")
        return await _loaded(client, pod) if taken else loaded


def _unless_same(before: LoadRefusal | None, now: LoadRefusal) -> LoadRefusal:
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
