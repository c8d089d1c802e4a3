"""What kopf tells, as records; nothing is decided here."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import kopf

from stationkeeper_operator.api.resource_paths import GROUP, RESOURCES, VERSION
from stationkeeper_operator.resources import Resource, decode_resource

DELETED = "DELETED"


@dataclass(frozen=True)
class ResourceReport:
    """A resource is so, or was deleted.

    Attributes:
        resource: the object, with the resourceVersion of what happened.
        deleted: whether it was.
    """

    resource: Resource
    deleted: bool


@dataclass(frozen=True)
class RelistReport:
    """kopf begins, or begins again, to watch a collection; it does not tell what happened in it before.

    Attributes:
        path: of the collection.
    """

    path: str


Report = ResourceReport | RelistReport
Login = Callable[[], Awaitable[kopf.AiohttpSession]]


def registry_of_handlers(login: Login, report: Callable[[Report], None]) -> kopf.OperatorRegistry:
    """The handlers, in a registry of their own.

    Args:
        login: makes a session when kopf needs one.
        report: takes what was told.
    """
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry, id="login", backoff=2.0)
    async def _login(**_: Any) -> kopf.AiohttpSession:
        return await login()

    for kind, plural in RESOURCES.items():
        kopf.on.event(GROUP, VERSION, plural, registry=registry, id=plural)(_resource_handler(kind, report))
    return registry


def _resource_handler(kind: str, report: Callable[[Report], None]) -> Callable[..., Awaitable[None]]:
    async def handle(event: Mapping[str, Any], **_: Any) -> None:
        resource = decode_resource(kind, event["object"])
        report(ResourceReport(resource, deleted=event["type"] == DELETED))

    return handle
