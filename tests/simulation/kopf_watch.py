"""kopf in the operator's process, with the behaviour that the operator depends on.

kopf's LIST requests no object, see `stationkeeper_operator.watching.watch`; kopf watches from the version of this LIST.
A watch that breaks off continues from the same place. After 410, kopf lists again, and does not report the changes
between.
"""

import asyncio
from collections.abc import Callable
from typing import NoReturn

from stationkeeper_operator.api.kubernetes_api import ApiError
from stationkeeper_operator.api.resource_paths import RESOURCES, resource_path
from stationkeeper_operator.resources.records import decode_resource
from stationkeeper_operator.watching.reports import BegunReport, RelistReport, Report, ResourceReport
from tests.simulation.api_client import SimulatedApi
from tests.simulation.api_server import Place

_PAUSES = (0.2, 0.5, 1.0, 2.0, 3.0)


class SimulatedWatch:
    """The simulated watch of one operator.

    Args:
        api: the API server as this process sees it.
        report: receives the reports.
    """

    is_healthy = True
    shows_statuses = True

    def __init__(self, api: SimulatedApi, report: Callable[[Report], None]) -> None:
        self._api = api
        self._report = report
        self._to_begin = set(RESOURCES)

    async def run(self) -> NoReturn:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind in RESOURCES:
                group.create_task(self._follow(kind))
        raise AssertionError("a watch ended")

    async def _follow(self, kind: str) -> NoReturn:
        place, version, failures = Place.of(resource_path(kind, None)), "", 0
        while True:
            try:
                if not version:
                    version = await self._api.version()
                    self._began(kind)
                async for change in self._api.follow(place, int(version)):
                    failures = 0
                    if change is not None:
                        version = str(max(change.version, int(version)))
                        resource = decode_resource(kind, change.object)
                        self._report(ResourceReport(resource, deleted=change.kind == "DELETED"))
            except ApiError as error:
                if error.is_gone:
                    version = ""
                await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1

    def _began(self, kind: str) -> None:
        self._report(RelistReport())
        if self._to_begin:
            self._to_begin.discard(kind)
            if not self._to_begin:
                self._report(BegunReport())
