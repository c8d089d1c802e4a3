"""Has the kubelets refresh the Secrets in the CUPS pods at once, instead of after up to a minute.

A change of a pod's annotation makes its kubelet look at the pod again, its volumes included. Only an acceleration: a
failure is logged and nothing else.
"""

import asyncio
import logging

import msgspec

from stationkeeper_operator.api.kubernetes_api import METADATA_LIST, METADATA_ONLY, ApiError, KubernetesApi, path_of

ANNOTATION = "stationkeeper.io/published"
CUPS_PODS = "app.kubernetes.io/name=stationkeeper,app.kubernetes.io/component=cups"

_MAX_AT_ONCE = 8
_log = logging.getLogger("stationkeeper.operator.pod_nudge")


class _Metadata(msgspec.Struct):
    name: str


class _Pod(msgspec.Struct):
    metadata: _Metadata


class PodNudge:
    """The CUPS pods of one release.

    Args:
        api: of the cluster.
        namespace: of the release.
    """

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._slots = asyncio.Semaphore(_MAX_AT_ONCE)

    async def nudge(self, value: str) -> None:
        """Sets the annotation of each pod to `value`."""
        try:
            names = await self._pods()
        except (ApiError, msgspec.MsgspecError) as error:
            _log.warning("the CUPS pods cannot be listed", extra={"fields": {"detail": error}})
            return
        await asyncio.gather(*(self._patch(name, value) for name in names))

    async def _pods(self) -> list[str]:
        names: list[str] = []
        path = path_of("v1", self._namespace, "pods")
        async for page in self._api.pages(path, {"labelSelector": CUPS_PODS}, METADATA_LIST):
            names += [msgspec.json.decode(item, type=_Pod).metadata.name for item in page.items]
        return names

    async def _patch(self, name: str, value: str) -> None:
        body = {"metadata": {"annotations": {ANNOTATION: value}}}
        async with self._slots:
            try:
                await self._api.merge_patch(path_of("v1", self._namespace, "pods", name), body, METADATA_ONLY)
            except ApiError as error:
                if not error.is_not_found:
                    _log.warning("a CUPS pod was not nudged", extra={"fields": {"pod": name, "detail": error}})
