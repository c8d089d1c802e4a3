"""Asks the CUPS pods of a release over their internal port, in two loops: what they have loaded, and what they saw."""

import asyncio
import logging
from pathlib import Path

from stationkeeper_operator.observing.loaded_reports import LoadedReports
from stationkeeper_operator.observing.pod_client import PodClient
from stationkeeper_operator.observing.seen_pages import SeenPages

_log = logging.getLogger("stationkeeper.operator.gatherer")


class Gatherer:
    """Of one release.

    Args:
        token_file: with the token of the pods' internal port; None asks nobody.
        loaded: asks what they have loaded.
        seen: asks which gateways they saw.
    """

    def __init__(self, token_file: Path | None, loaded: LoadedReports, seen: SeenPages) -> None:
        self._token_file = token_file
        self._loaded = loaded
        self._seen = seen

    async def run(self) -> None:
        """Gather until cancelled."""
        if self._token_file is None:
            _log.warning("the CUPS pods are not asked what they have loaded and seen: set --internal-token-file")
            await asyncio.Event().wait()
            return
        async with PodClient(self._token_file) as client, asyncio.TaskGroup() as group:
            group.create_task(self._loaded.run(client))
            group.create_task(self._seen.run(client))
