"""What kopf tells, as records; nothing is decided here.

Secrets and ConfigMaps that no resource names are let go at once, undecoded.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import kopf

from stationkeeper_operator.api.resource_paths import GROUP, REFERENCED, RESOURCES, VERSION
from stationkeeper_operator.resources import (
    Reference,
    ReferencedObject,
    Resource,
    decode_referenced,
    decode_resource,
)

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
class ReferencedReport:
    """A named Secret or ConfigMap is so, or left what is watched: deleted, or only its label removed.

    Attributes:
        reference: which object.
        found: None where it left.
    """

    reference: Reference
    found: ReferencedObject | None


@dataclass(frozen=True)
class RelistReport:
    """kopf lists a collection, as it begins, or begins again, to watch; it tells what is there, not what is gone."""


Report = ResourceReport | ReferencedReport | RelistReport
Login = Callable[[], Awaitable[kopf.AiohttpSession]]


def registry_of_handlers(
    login: Login, report: Callable[[Report], None], is_named: Callable[[Reference], bool]
) -> kopf.OperatorRegistry:
    """The handlers, in a registry of their own.

    Args:
        login: makes a session when kopf needs one.
        report: takes what was told.
        is_named: whether a resource names that Secret or ConfigMap.
    """
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry, id="login", backoff=2.0)
    async def _login(**_: Any) -> kopf.AiohttpSession:
        return await login()

    for kind, plural in RESOURCES.items():
        kopf.on.event(GROUP, VERSION, plural, registry=registry, id=plural)(_resource_handler(kind, report))
    for kind, plural in REFERENCED.items():
        handler = _referenced_handler(kind, report, is_named)
        kopf.on.event("", "v1", plural, registry=registry, id=plural)(handler)
    return registry


def _resource_handler(kind: str, report: Callable[[Report], None]) -> Callable[..., Awaitable[None]]:
    async def handle(event: Mapping[str, Any], **_: Any) -> None:
        resource = decode_resource(kind, event["object"])
        report(ResourceReport(resource, deleted=event["type"] == DELETED))

    return handle


def _referenced_handler(
    kind: str, report: Callable[[Report], None], is_named: Callable[[Reference], bool]
) -> Callable[..., Awaitable[None]]:
    async def handle(event: Mapping[str, Any], **_: Any) -> None:
        metadata = event["object"]["metadata"]
        reference = Reference(kind, metadata["namespace"], metadata["name"])
        if is_named(reference):
            gone = event["type"] == DELETED
            report(ReferencedReport(reference, None if gone else decode_referenced(kind, event["object"])))

    return handle
