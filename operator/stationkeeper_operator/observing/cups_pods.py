"""Which CUPS pods there are, and where their internal port is."""

from dataclasses import dataclass

import msgspec

from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi, path_of
from stationkeeper_operator.publishing.pod_nudge import CUPS_PODS

INTERNAL = "internal"
DEFAULT_PORT = 8080


@dataclass(frozen=True)
class CupsPod:
    """One pod.

    Attributes:
        name, uid: of the object.
        host: its IP address; empty before it has one.
        port: its internal port.
        serves: whether it is ready and not about to end.
    """

    name: str
    uid: str
    host: str
    port: int
    serves: bool


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    uid: str
    deletion_timestamp: str | None = None


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
    conditions: tuple[_Condition, ...] | None = None


class _Pod(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


async def list_cups_pods(api: KubernetesApi, namespace: str) -> tuple[CupsPod, ...]:
    """All CUPS pods of the release in `namespace`, sorted by name.

    Raises:
        ApiError: they cannot be listed.
    """
    found: list[CupsPod] = []
    try:
        async for page in api.pages(path_of("v1", namespace, "pods"), {"labelSelector": CUPS_PODS}):
            found += [_cups_pod(msgspec.json.decode(item, type=_Pod)) for item in page.items]
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ApiError(0, "MalformedAnswer", f"a pod cannot be decoded: {error}") from None
    return tuple(sorted(found, key=lambda each: each.name))


def _cups_pod(pod: _Pod) -> CupsPod:
    ports = (port for container in pod.spec.containers for port in container.ports or ())
    named = (port.container_port for port in ports if port.name == INTERNAL)
    ready = any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or ())
    return CupsPod(
        name=pod.metadata.name,
        uid=pod.metadata.uid,
        host=pod.status.pod_ip,
        port=next(named, DEFAULT_PORT),
        serves=ready and pod.metadata.deletion_timestamp is None,
    )
