"""What kopf does in the operator's process, as far as the operator depends on it.

kopf lists a collection page by page, tells each object, and watches from the version of that list. A watch that breaks
off goes on from where it was; after 410 everything is listed again. It tells nothing of what was deleted between.
"""

import asyncio
from collections.abc import Callable
from typing import NoReturn

import msgspec

from stationkeeper_operator.api.kubernetes_api import ApiError
from stationkeeper_operator.api.resource_paths import RESOURCES, resource_path
from stationkeeper_operator.resources import decode_resource
from stationkeeper_operator.watching.reports import RelistReport, Report, ResourceReport
from tests.simulation.api_client import SimulatedApi
from tests.simulation.api_server import Place

_PAUSES = (0.2, 0.5, 1.0, 2.0, 3.0)


class SimulatedWatch:
    """Of one operator.

    Args:
        api: the API server as this process sees it.
        report: takes what happened.
    """

    is_healthy = True

    def __init__(self, api: SimulatedApi, report: Callable[[Report], None]) -> None:
        self._api = api
        self._report = report

    async def run(self) -> NoReturn:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind in RESOURCES:
                group.create_task(self._follow(kind))
        raise AssertionError("a watch ended")

    async def _follow(self, kind: str) -> NoReturn:
        path, version, failures = resource_path(kind, None), "", 0
        while True:
            try:
                if not version:
                    version = await self._list(kind, path)
                async for change in self._api.follow(Place.of(path), int(version)):
                    failures = 0
                    if change is not None:
                        resource = decode_resource(kind, change.object)
                        version = str(change.version)
                        self._report(ResourceReport(resource, deleted=change.kind == "DELETED"))
            except ApiError as error:
                if error.is_gone:
                    version = ""
                await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1

    async def _list(self, kind: str, path: str) -> str:
        version = ""
        self._report(RelistReport())
        async for page in self._api.pages(path):
            version = page.resource_version
            for item in page.items:
                self._report(ResourceReport(decode_resource(kind, msgspec.json.decode(item)), deleted=False))
                await asyncio.sleep(0)
        return version
