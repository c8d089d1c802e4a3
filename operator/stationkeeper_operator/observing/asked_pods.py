"""The CUPS pods that the operator asks: the list, the limit of parallel requests, and the log of problems."""

import asyncio
import logging
from collections.abc import Sequence

from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi
from stationkeeper_operator.observing.cups_pods import CupsPod, list_cups_pods

GATHER_SECONDS = 5.0
"""The pause between two rounds."""

_AT_ONCE = 16
_log = logging.getLogger("stationkeeper.operator.asked_pods")


class AskedPods:
    """The CUPS pods of one release.

    Args:
        api: the API client.
        namespace: the namespace of the release.

    Attributes:
        namespace: the argument.
        slots: the semaphore that a request to a pod holds.
    """

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api = api
        self.namespace = namespace
        self._problems: dict[tuple[str, str], str] = {}
        self.slots = asyncio.Semaphore(_AT_ONCE)

    async def present(self) -> Sequence[CupsPod] | None:
        """Return the pods; None if they cannot be listed."""
        try:
            pods = await list_cups_pods(self._api, self.namespace)
        except ApiError as error:
            self.report_problem("", "list", str(error))
            return None
        self.report_problem("", "list", "")
        names = {"", *(pod.name for pod in pods)}
        self._problems = {where: what for where, what in self._problems.items() if where[0] in names}
        return pods

    def report_problem(self, pod: str, what: str, problem: str) -> None:
        """Log a problem when it begins, changes or ends."""
        if self._problems.get((pod, what), "") == problem:
            return
        self._problems[pod, what] = problem
        fields = {"pod": pod, "what": what, "detail": problem}
        if problem:
            _log.warning("a request to a CUPS pod failed", extra={"fields": fields})
        else:
            _log.info("a CUPS pod answers again", extra={"fields": fields})
