"""Change a resource, and wait until CUPS enforces the change."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stationkeeper_tools.operating.fleet import Edit, Fleet, FleetResource, edited

POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Enforced:
    """The result of an edit.

    Attributes:
        resource: as it is now.
        changed: whether the edit changed the spec.
        is_enforced: whether every CUPS pod enforces it.
        seconds: from the edit until that was seen.
        message: the condition's message, or why there is no condition.
    """

    resource: FleetResource
    changed: bool
    is_enforced: bool
    seconds: float
    message: str


def change_and_wait(
    fleet: Fleet,
    resource: FleetResource,
    edit: Edit,
    seconds: float,
    waiting: Callable[[Iterator[None]], Iterator[None]] = lambda polls: polls,
) -> Enforced:
    """Edit a spec and wait until it is enforced.

    Args:
        fleet: the fleet with the resource.
        resource: the resource as it was read.
        edit: what to change.
        seconds: how long to wait; 0 does not wait.
        waiting: iterates over the polls, to show progress.

    Raises:
        FleetError: it cannot be edited or read.
    """
    began = time.monotonic()
    is_changed = edited(resource.spec, edit) != resource.spec
    found = fleet.edit(resource.key, edit) if is_changed else resource
    for _ in waiting(_polls(seconds)):
        found = fleet.get(resource.key)
        is_of_now = not is_changed or found.generation > resource.generation
        if is_of_now and _is_enforced(found):
            break
    is_done = (not is_changed or found.generation > resource.generation) and _is_enforced(found)
    return Enforced(found, is_changed, is_done, time.monotonic() - began, _message(found, is_done))


def _polls(seconds: float) -> Iterator[None]:
    until = time.monotonic() + seconds
    yield
    while time.monotonic() < until:
        time.sleep(POLL_SECONDS)
        yield


def _is_enforced(found: FleetResource) -> bool:
    return any(found.condition(kind).get("status") == "True" for kind in ("Enforced", "Ready"))


def _message(found: FleetResource, is_done: bool) -> str:
    enforced, accepted = found.condition("Enforced"), found.condition("Accepted")
    if is_done:
        return str(enforced.get("message", ""))
    if not accepted:
        return "this spec is not reconciled yet: check that the operator, or `stationkeeper serve`, runs"
    return str((accepted if accepted.get("status") == "False" else enforced).get("message", ""))
