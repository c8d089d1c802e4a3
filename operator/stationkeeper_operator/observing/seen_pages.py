"""Read from a CUPS pod the gateways that it saw since the last time."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from stationkeeper_core.published.observation import ObservationPage
from stationkeeper_operator.api.rate_limit import RateLimit
from stationkeeper_operator.observing.asked_pods import AskedPods
from stationkeeper_operator.observing.cups_pods import CupsPod
from stationkeeper_operator.observing.pod_client import PodClient, PodError

_MAX_PAGES = 200
_PAGES_A_SECOND = 4.0


@dataclass(frozen=True)
class _Cursor:
    instance: str = ""
    position: int = 0


class SeenPages:
    """The observations of the pods of one release, page by page.

    Args:
        pods: the pods to ask.
    """

    def __init__(self, pods: AskedPods) -> None:
        self._pods = pods
        self._cursors: dict[str, _Cursor] = {}
        self._rates: dict[str, RateLimit] = {}

    def keep_only(self, present: Collection[str]) -> None:
        """Drop the pods that no longer exist.

        Args:
            present: the uids of the existing pods.
        """
        for known in (self._cursors, self._rates):
            for uid in known.keys() - set(present):
                del known[uid]

    async def read(self, client: PodClient, pod: CupsPod) -> AsyncIterator[ObservationPage]:
        """Yield pages of what a pod saw since the last call; a page counts when the caller asks for the next one.

        Args:
            client: the client for the requests.
            pod: the pod.
        """
        cursor = self._cursors.get(pod.uid, _Cursor())
        pages = self._rates.setdefault(pod.uid, RateLimit(_PAGES_A_SECOND, _MAX_PAGES))
        # The burst holds everything that a pod can remember; observations above the rate wait.
        while pages.take():
            try:
                async with self._pods.slots:
                    page = await client.observations(pod, cursor.position)
            except PodError as error:
                self._pods.report_problem(pod.name, "seen", str(error))
                return
            self._pods.report_problem(pod.name, "seen", "")
            if page.instance != cursor.instance and cursor.position:
                cursor = _Cursor(page.instance)
                continue
            yield page
            cursor = self._cursors[pod.uid] = _Cursor(page.instance, page.cursor)
            if not page.more:
                return
