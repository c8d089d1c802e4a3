"""Ask all CUPS pods of a release in rounds: for their loaded generations, and for the gateways that they saw."""

import asyncio
import contextlib
from collections.abc import Callable

from stationkeeper_core.published.observation import ObservationPage
from stationkeeper_operator.observing.asked_pods import AskedPods
from stationkeeper_operator.observing.cups_pods import CupsPod
from stationkeeper_operator.observing.loaded_reports import LoadedReports, LoadedRound
from stationkeeper_operator.observing.pod_client import PodClient
from stationkeeper_operator.observing.seen_pages import SeenPages

_READ_SECONDS = 5.0


class PodRounds:
    """The rounds of one release.

    Args:
        pods: the pods to ask.
        loaded: asks for loaded generations.
        seen: asks for gateways seen.
    """

    def __init__(self, pods: AskedPods, loaded: LoadedReports, seen: SeenPages) -> None:
        self._pods = pods
        self._loaded = loaded
        self._seen = seen

    @property
    def namespace(self) -> str:
        """The namespace of the pods."""
        return self._pods.namespace

    async def loaded(self, client: PodClient) -> LoadedRound | None:
        """Ask each pod once for its loaded generations; return None if the pods cannot be listed.

        Args:
            client: the client for the requests.
        """
        pods = await self._pods.present()
        return None if pods is None else await self._loaded.ask(client, pods)

    async def seen(self, client: PodClient, take: Callable[[ObservationPage], None]) -> None:
        """Read from each pod that gets connections the gateways that it saw; do nothing if the pods cannot be listed.

        Args:
            client: the client for the requests.
            take: called with each page.
        """
        pods = await self._pods.present()
        if pods is None:
            return
        self._seen.keep_only([pod.uid for pod in pods])
        await asyncio.gather(*(self._read_for_a_while(client, pod, take) for pod in pods if pod.serves))

    async def _read_for_a_while(self, client: PodClient, pod: CupsPod, take: Callable[[ObservationPage], None]) -> None:
        """Read for a limited time; a slow pod, or one with many observations, continues in the next round."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READ_SECONDS):
                async for page in self._seen.read(client, pod):
                    take(page)
