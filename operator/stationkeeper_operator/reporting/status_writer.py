"""Write a given status, unless the resource changed after the status was made."""

from collections.abc import Callable, Mapping

from stationkeeper_operator.api.kubernetes_api import KubernetesApi
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
        body = {"metadata": condition, "status": _merge_patch(before.status.value, desired)}
        path = resource_path(*before.key, "status")
        return decode_resource(before.key.kind, await self._api.merge_patch(path, body, manager=self._manager))


def _merge_patch(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, object]:
    """Return the RFC 7396 merge patch from `before` to `after`; a removed field is null, in nested objects too."""
    patch: dict[str, object] = dict.fromkeys(before.keys() - after.keys())
    for name, value in after.items():
        held = before.get(name)
        patch[name] = _merge_patch(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return patch
