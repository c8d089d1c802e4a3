"""Convert kopf's events into reports, without decisions."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import kopf

from stationkeeper_operator.api.resource_paths import GROUP, RESOURCES, VERSION
from stationkeeper_operator.resources.records import decode_resource
from stationkeeper_operator.watching.reports import Report, ResourceReport

DELETED = "DELETED"


Login = Callable[[], Awaitable[kopf.AiohttpSession]]


def registry_of_handlers(login: Login, report: Callable[[Report], None]) -> kopf.OperatorRegistry:
    """Return the handlers in their own registry.

    Args:
        login: makes a session when kopf needs one.
        report: receives the reports.
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
