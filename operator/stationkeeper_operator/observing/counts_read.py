"""Which counts of registry documents the CUPS pods read, as their labels say."""

import logging

from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi
from stationkeeper_operator.compiling.registry_counts import RegistryCounts
from stationkeeper_operator.observing.cups_pods import list_cups_pods

_log = logging.getLogger("stationkeeper.operator.counts_read")


class CountsRead:
    """Of one release.

    Args:
        api: of the cluster.
        namespace: of the release.
        configured: the count that the release asks for.

    Attributes:
        counts: as they were when last looked at.
    """

    def __init__(self, api: KubernetesApi, namespace: str, configured: int) -> None:
        self._api = api
        self._namespace = namespace
        self.counts = RegistryCounts(configured, None)

    async def look(self) -> bool:
        """Look at the pods; return whether they read other counts than before.

        Where they cannot be listed, nothing counts as unread.
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
