"""List the CUPS pods with the address of their internal port."""

from dataclasses import dataclass

import msgspec

from stationkeeper_core.published.registry_layout import BUCKET_COUNTS, BUCKETS
from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi, path_of

CUPS_PODS = "app.kubernetes.io/name=stationkeeper,app.kubernetes.io/component=cups"
INTERNAL = "internal"
BUCKETS_LABEL = "stationkeeper.io/registry-buckets"
"""The label with the number of registry documents of a pod; without it (an older chart) the pod loads `BUCKETS`."""
DEFAULT_PORT = 8080

_OVER = {"Succeeded", "Failed"}


@dataclass(frozen=True)
class CupsPod:
    """One CUPS pod.

    Attributes:
        name, uid: the name and uid of the object.
        host: its IP address; empty before it has one.
        port: its internal port.
        ready: whether it has the condition Ready; also while it terminates.
        ends: whether it terminates; until its end it may serve connected gateways.
        buckets: the number of registry documents that it loads; 0 if its label cannot be read.
    """

    name: str
    uid: str
    host: str
    port: int
    ready: bool
    ends: bool = False
    buckets: int = BUCKETS

    @property
    def serves(self) -> bool:
        """Whether it gets new connections."""
        return self.ready and not self.ends


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    uid: str
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None


class _Port(msgspec.Struct, rename="camel"):
    container_port: int
    name: str = ""


class _Container(msgspec.Struct):
    ports: tuple[_Port, ...] | None = None


class _Spec(msgspec.Struct):
    containers: tuple[_Container, ...] = ()


class _Condition(msgspec.Struct):
    type: str
    status: str


class _Status(msgspec.Struct):
    pod_ip: str = msgspec.field(default="", name="podIP")
    phase: str = ""
    conditions: tuple[_Condition, ...] | None = None


class _Pod(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


async def list_cups_pods(api: KubernetesApi, namespace: str) -> tuple[CupsPod, ...]:
    """Return the CUPS pods of the release in `namespace` that have not ended, sorted by name.

    Raises:
        ApiError: the pods cannot be listed.
    """
    cups_pods: list[CupsPod] = []
    try:
        async for page in api.pages(path_of("v1", namespace, "pods"), {"labelSelector": CUPS_PODS}):
            pods = (msgspec.json.decode(item, type=_Pod) for item in page.items)
            cups_pods += [_cups_pod(pod) for pod in pods if pod.status.phase not in _OVER]
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ApiError(0, "MalformedAnswer", f"a pod cannot be decoded: {error}") from None
    return tuple(sorted(cups_pods, key=lambda each: each.name))


def _cups_pod(pod: _Pod) -> CupsPod:
    ports = (port for container in pod.spec.containers for port in container.ports or ())
    named = (port.container_port for port in ports if port.name == INTERNAL)
    ready = any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or ())
    return CupsPod(
        name=pod.metadata.name,
        uid=pod.metadata.uid,
        host=pod.status.pod_ip,
        port=next(named, DEFAULT_PORT),
        ready=ready,
        ends=pod.metadata.deletion_timestamp is not None,
        buckets=_buckets((pod.metadata.labels or {}).get(BUCKETS_LABEL, str(BUCKETS))),
    )


def _buckets(label: str) -> int:
    return next((each for each in BUCKET_COUNTS if str(each) == label), 0)
