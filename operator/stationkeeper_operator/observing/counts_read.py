"""The counts of registry documents that the CUPS pods read, by their labels."""

import logging

from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi
from stationkeeper_operator.compiling.registry_counts import RegistryCounts
from stationkeeper_operator.observing.cups_pods import list_cups_pods

_log = logging.getLogger("stationkeeper.operator.counts_read")


class CountsRead:
    """The counts of one release.

    Args:
        api: the API client.
        namespace: the namespace of the release.
        configured: the configured count of the release.

    Attributes:
        counts: the counts at the last update.
    """

    def __init__(self, api: KubernetesApi, namespace: str, configured: int) -> None:
        self._api = api
        self._namespace = namespace
        self.counts = RegistryCounts(configured, None)

    async def update(self) -> bool:
        """Read the labels of the pods; return whether the counts changed.

        If the pods cannot be listed, every count is treated as read.
        """
        try:
            pods = await list_cups_pods(self._api, self._namespace)
        except ApiError as error:
            _log.warning("the CUPS pods cannot be listed", extra={"fields": {"detail": error}})
            read = None
        else:
            found = frozenset(pod.buckets for pod in pods)
            # A pod whose label cannot be read may read any of them.
            read = found if 0 not in found else None
        before, self.counts = self.counts, RegistryCounts(self.counts.configured, read)
        return self.counts != before
