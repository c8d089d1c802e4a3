"""Find the changes between two statuses of a resource, and the past in one status. Pure."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from stationkeeper_operator.resources.records import TRUSTED_CA
from stationkeeper_tools.operating.fleet import FleetResource
from stationkeeper_tools.operating.fleet_status import moment


class ChangeKind(StrEnum):
    """The subject of a change."""

    CREATED = "Created"
    DELETED = "Deleted"
    SPEC = "Spec"
    CONDITION = "Condition"
    ENFORCEMENT = "Enforcement"
    VISIT = "Visit"
    REFUSAL = "Refusal"
    DELIVERY = "Delivery"
    CERTIFICATES = "Certificates"


class StatusChange(msgspec.Struct, frozen=True, gc=False):
    """One change.

    Attributes:
        at: the time of the change, aware; if the status does not say it, when the page got the change.
        kind: the subject of the change.
        text: what changed, for people; tenants and gateways may have written parts of it.
    """

    at: datetime
    kind: ChangeKind
    text: str


def changes_between(before: FleetResource | None, after: FleetResource, heard: datetime) -> Iterator[StatusChange]:
    """Yield the changes.

    Args:
        before: the earlier resource; None if it did not exist.
        after: the present resource.
        heard: the time, aware.
    """
    if before is None:
        yield StatusChange(heard, ChangeKind.CREATED, "it was created")
        before = FleetResource(after.key, {}, {}, after.generation)
    yield from _spec_changes(before, after, heard)
    yield from _condition_changes(before, after, heard)
    if after.key.kind == TRUSTED_CA:
        yield from _certificate_changes(before, after, heard)
        return
    if after.status.get("lastSeen") not in {None, before.status.get("lastSeen")}:
        yield from _visit(after)
    if _part(after, "lastRefusal") not in ({}, _part(before, "lastRefusal")):
        yield from _refusal(after)
    if _part(after, "delivery") not in ({}, _part(before, "delivery")):
        yield StatusChange(heard, ChangeKind.DELIVERY, delivery_text(after))


def known_moments(resource: FleetResource) -> Iterator[StatusChange]:
    """Yield the past events in a status: the last visit, the last refusal, the last change of each condition."""
    for each in resource.status.get("conditions") or ():
        at = moment(each.get("lastTransitionTime"))
        if at is not None:
            yield _condition_change(each, at)
    if resource.key.kind != TRUSTED_CA:
        yield from _visit(resource)
        yield from _refusal(resource)


def delivery_text(resource: FleetResource) -> str:
    """Return the progress of the delivery to a gateway, for people; empty if its status does not say."""
    delivery = _part(resource, "delivery")
    if not delivery:
        return ""
    text = str(delivery.get("state", ""))
    sent = delivery.get("deliveries")
    if sent:
        text += f", sent {sent} {'time' if sent == 1 else 'times'} without a report"
    outstanding = ", ".join(delivery.get("outstanding") or ())
    return f"{text}; outstanding: {outstanding}" if outstanding else text


def _spec_changes(before: FleetResource, after: FleetResource, heard: datetime) -> Iterator[StatusChange]:
    was, is_now = before.spec.get("suspended") is True, after.spec.get("suspended") is True
    if was != is_now:
        yield StatusChange(heard, ChangeKind.SPEC, "it was suspended" if is_now else "it was resumed")
    elif after.generation != before.generation:
        yield StatusChange(heard, ChangeKind.SPEC, f"its spec was changed: generation {after.generation}")


def _condition_changes(before: FleetResource, after: FleetResource, heard: datetime) -> Iterator[StatusChange]:
    known = {condition.get("type"): condition for condition in before.status.get("conditions") or ()}
    for condition in after.status.get("conditions") or ():
        old = known.get(condition.get("type"), {})
        if any(condition.get(name) != old.get(name) for name in ("status", "reason")):
            has_time = condition.get("lastTransitionTime") != old.get("lastTransitionTime")
            at = moment(condition.get("lastTransitionTime")) if has_time else None
            yield _condition_change(condition, at or heard)


def _certificate_changes(before: FleetResource, after: FleetResource, heard: datetime) -> Iterator[StatusChange]:
    was, is_now = (
        {each.get("sha256"): each for each in one.status.get("certificates") or ()} for one in (before, after)
    )
    for words, more, less in (("in force", is_now, was), ("not in force any more", was, is_now)):
        for name, each in more.items():
            if name not in less:
                text = f"{words}: {each.get('role', 'certificate')} {each.get('subject', '')}"
                yield StatusChange(heard, ChangeKind.CERTIFICATES, text)


def _visit(resource: FleetResource) -> Iterator[StatusChange]:
    at = moment(resource.status.get("lastSeen"))
    if at is None:
        return
    by = _part(resource, "certificate").get("trustedCA")
    station = resource.status.get("station")
    parts = ["it came", *([f"by {by}"] if by else []), *([f"with Station {station}"] if station else [])]
    yield StatusChange(at, ChangeKind.VISIT, " ".join(parts))


def _refusal(resource: FleetResource) -> Iterator[StatusChange]:
    refusal = _part(resource, "lastRefusal")
    at = moment(refusal.get("time"))
    if at is not None:
        who = "a client that claims to be it was refused" if refusal.get("claimed") else "it was refused"
        yield StatusChange(at, ChangeKind.REFUSAL, f"{who}: {refusal.get('reason', '')}")


def _condition_change(condition: Mapping[str, Any], at: datetime) -> StatusChange:
    name = condition.get("type", "")
    words = {"True": "holds", "False": "does not hold"}.get(str(condition.get("status")), "is not known")
    reason, message = condition.get("reason", ""), condition.get("message", "")
    text = f"{name} {words}: {reason}" + (f", {message}" if message else "")
    return StatusChange(at, ChangeKind.ENFORCEMENT if name == "Enforced" else ChangeKind.CONDITION, text)


def _part(resource: FleetResource, name: str) -> Mapping[str, Any]:
    found = resource.status.get(name)
    return found if isinstance(found, Mapping) else {}
