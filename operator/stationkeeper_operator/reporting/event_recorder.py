"""Kubernetes events for what a person must act on; seen in `kubectl describe`.

Told once, when it happens. An event is only news, never needed for anything to work: under a flood they are dropped,
and a failure to write one is logged and nothing else.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from stationkeeper_core.timestamps import rfc3339
from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi, object_body, path_of
from stationkeeper_operator.api.rate_limit import RateLimit
from stationkeeper_operator.api.resource_paths import GROUP_VERSION
from stationkeeper_operator.resources import Resource

COMPONENT = "stationkeeper-operator"

_MAX_MESSAGE = 1024
_MAX_NAME = 200
_log = logging.getLogger("stationkeeper.operator.event_recorder")


class EventRecorder:
    """Writes events.

    Args:
        api: of the cluster.
        instance: which process this is.
        permit: called before each write; raises where it must not be done.
        limit: of all events together.
    """

    def __init__(
        self, api: KubernetesApi, instance: str, permit: Callable[[], None], limit: RateLimit | None = None
    ) -> None:
        self._api = api
        self._instance = instance
        self._permit = permit
        self._limit = limit or RateLimit(per_second=10, burst=50)

    async def warning(self, resource: Resource, reason: str, message: str) -> None:
        """Says that something has to be done about `resource`."""
        await self._record(_involved(resource), "Warning", reason, message)

    async def normal(self, resource: Resource, reason: str, message: str) -> None:
        """Says that it is well again."""
        await self._record(_involved(resource), "Normal", reason, message)

    async def pod_warning(self, namespace: str, name: str, uid: str, reason: str, message: str) -> None:
        """Says that something has to be done about a CUPS pod."""
        involved = {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": uid}
        await self._record(involved, "Warning", reason, message)

    async def _record(self, involved: Mapping[str, str], kind: str, reason: str, message: str) -> None:
        shown = f"{involved['kind']}/{involved['namespace']}/{involved['name']}"
        if not self._limit.take():
            _log.warning("too many events, one was dropped", extra={"fields": {"resource": shown}})
            return
        self._permit()
        path = path_of("v1", involved["namespace"], "events")
        try:
            await self._api.create(path, self._body(involved, kind, reason, message))
        except ApiError as error:
            fields = {"resource": shown, "reason": reason, "detail": error}
            _log.warning("an event was not written", extra={"fields": fields})

    def _body(self, involved: Mapping[str, str], kind: str, reason: str, message: str) -> dict[str, object]:
        now = rfc3339(datetime.now(UTC))
        name = f"{involved['name'][:_MAX_NAME].rstrip('.-')}.{secrets.token_hex(8)}"
        return object_body(
            "v1",
            "Event",
            {"name": name, "namespace": involved["namespace"]},
            involvedObject=dict(involved),
            type=kind,
            reason=reason,
            message=message[:_MAX_MESSAGE],
            source={"component": COMPONENT},
            reportingComponent=COMPONENT,
            reportingInstance=self._instance[:128],
            firstTimestamp=now,
            lastTimestamp=now,
            count=1,
        )


def _involved(resource: Resource) -> dict[str, str]:
    metadata = resource.metadata
    return {
        "apiVersion": GROUP_VERSION,
        "kind": resource.key.kind,
        "namespace": metadata.namespace,
        "name": metadata.name,
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
    }
