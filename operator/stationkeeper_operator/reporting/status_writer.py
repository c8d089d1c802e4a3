"""Write a given status, unless the resource changed after the status was made."""

from collections.abc import Callable, Mapping

from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.merge_patch import merge_patch
from stationkeeper_operator.api.resource_paths import resource_path
from stationkeeper_operator.resources.records import Resource, decode_resource
from stationkeeper_operator.resources.status_manager import status_manager


class StatusWriter:
    """The writer of one release.

    Args:
        api: the API client.
        permit: called before each write; raises if the write is not allowed.
        release: the namespace of the release.
    """

    def __init__(self, api: KubernetesApi, permit: Callable[[], None], release: str) -> None:
        self._api = api
        self._permit = permit
        self._manager = status_manager(release)

    async def write(self, before: Resource, desired: Mapping[str, object]) -> Resource:
        """Write a status.

        Args:
            before: the resource with its present status.
            desired: the complete new status.

        Returns:
            The resource with the new status.

        Raises:
            NotLeadingError: this process no longer holds the Lease.
            ApiError: it is not written; a conflict if the resource changed, or is another one of the same name.
        """
        self._permit()
        # The uid makes a recreated resource of the same name a conflict; the version makes each later write a conflict,
        # so that a leader that was frozen here does not overwrite a later leader's status.
        condition = {"uid": before.metadata.uid, "resourceVersion": before.metadata.resource_version}
        body = {"metadata": condition, "status": merge_patch(before.status.value, desired)}
        path = resource_path(*before.key, "status")
        return decode_resource(before.key.kind, await self._api.merge_patch(path, body, manager=self._manager))
