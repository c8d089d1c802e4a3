"""The page of a cluster, as a separate process."""

import asyncio
import contextlib
import gc
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.kubernetes_credentials import Credentials
from stationkeeper_tools.page.access import Access
from stationkeeper_tools.page.application import Shown, page_application
from stationkeeper_tools.page.cluster_feed import ClusterFeed
from stationkeeper_tools.page.fleet_view import FleetView
from stationkeeper_tools.page.history import History
from stationkeeper_tools.page.serving import PageAddress, serve_page


@dataclass(frozen=True)
class PageSettings:
    """The options of the page: content, address and users.

    Attributes:
        address: where the page is served.
        access: who may see it.
        kubeconfig: of the cluster; None for the ServiceAccount of the pod.
        context: of the kubeconfig; None for its current one.
        namespaces: the shown namespaces; none means all.
        check_ins: the number of missed daily check-ins after which a gateway is silent.
    """

    address: PageAddress
    access: Access
    kubeconfig: Path | None
    context: str | None
    namespaces: tuple[str, ...]
    check_ins: int


def _now() -> datetime:
    return datetime.now(UTC)


async def run_cluster_page(settings: PageSettings, stop: asyncio.Event) -> None:
    """Show the page until `stop` is set.

    Raises:
        CredentialsError: there are no credentials for the API server.
        OSError: the address cannot be bound.
        RuntimeError: a part ended that must never end.
    """
    view = FleetView(settings.check_ins, History())
    async with KubernetesApi(Credentials(settings.kubeconfig, settings.context)) as api:
        feed = ClusterFeed(api, view, settings.namespaces, _now)
        shown = Shown(view, lambda: feed.freshness, _now)
        async with serve_page(page_application(shown, settings.access), settings.address):
            tasks = [asyncio.create_task(part) for part in (feed.run(), stop.wait(), _freeze(feed))]
            try:
                done, _ = await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    each.result()
            finally:
                for each in tasks:
                    each.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.gather(*tasks, return_exceptions=True)


async def _freeze(feed: ClusterFeed) -> None:
    """After the first LIST, exclude the present objects from further garbage collections."""
    await feed.listed.wait()
    gc.collect()
    gc.freeze()
