"""Ask the CUPS pods of a release over their internal port, in two loops: loaded generations, and gateways seen."""

import asyncio
import logging
from pathlib import Path

from stationkeeper_operator.observing.loaded_reports import LoadedReports
from stationkeeper_operator.observing.pod_client import PodClient
from stationkeeper_operator.observing.seen_pages import SeenPages

_log = logging.getLogger("stationkeeper.operator.gatherer")


class Gatherer:
    """The two loops of one release.

    Args:
        token_file: the file with the token of the pods' internal port; None asks no pod.
        loaded: the loop for the loaded generations.
        seen: the loop for the gateways seen.
    """

    def __init__(self, token_file: Path | None, loaded: LoadedReports, seen: SeenPages) -> None:
        self._token_file = token_file
        self._loaded = loaded
        self._seen = seen

    async def run(self) -> None:
        """Gather until cancelled."""
        if self._token_file is None:
            _log.warning("the CUPS pods are not asked for their state: set --internal-token-file")
            await asyncio.Event().wait()
            return
        async with PodClient(self._token_file) as client, asyncio.TaskGroup() as group:
            group.create_task(self._loaded.run(client))
            group.create_task(self._seen.run(client))
