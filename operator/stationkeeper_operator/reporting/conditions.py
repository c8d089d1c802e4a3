"""The status of a resource, from the verdict on it and from what became of the Secret that carries it.

The result equals the present status where nothing changed, so that whoever writes it compares and writes what differs.
"""

from datetime import UTC, datetime
from typing import Any

from stationkeeper_core.published import secret_name
from stationkeeper_operator.compiling.verdict import (
    ACCEPTED,
    MAX_MESSAGE,
    CertificateStatus,
    RevocationListStatus,
    Verdict,
)
from stationkeeper_operator.resources import Condition, GatewayDefaults, Resource, TrustedCA

PUBLISHED = "Published"
READY = "Ready"
NOT_PUBLISHED = "NotPublished"
PUBLISH_PENDING = "PublishPending"

_TYPES = (ACCEPTED, PUBLISHED, READY)
_Fact = tuple[bool, str, str]


def status_of(
    resource: Resource, verdict: Verdict, published: bool, published_message: str, now: datetime
) -> dict[str, Any]:
    """The complete new `.status`.

    Args:
        resource: with its present status; fields and conditions of it that are not of this module stay as they are.
        verdict: on its present spec.
        published: whether the document that carries it has been written as the verdict's plan holds it.
        published_message: about that, for people; empty for the usual sentence.
        now: the time of a transition, aware.

    Returns:
        `observedGeneration`, the conditions `Accepted`, `Published` and `Ready` (which is both), and for a TrustedCA
        `certificates`, their number and `revocationLists`. A GatewayDefaults is never published by itself: it has no
        `Published`, and the number of `gateways` that look to it instead.
    """
    facts = _facts(resource, verdict, published, published_message)
    present = {each.type: each for each in resource.status.conditions}
    generation = resource.metadata.generation
    conditions = [_condition(present.get(kind), kind, fact, generation, now) for kind, fact in facts.items()]
    status = {**resource.status.value, "observedGeneration": generation}
    status["conditions"] = conditions + _others(status.get("conditions"))
    if isinstance(resource, TrustedCA):
        status["certificates"] = [_certificate(each) for each in verdict.certificates]
        status["certificateCount"] = len(verdict.certificates)
        status["revocationLists"] = [_revocation_list(each) for each in verdict.revocation_lists]
    if isinstance(resource, GatewayDefaults):
        status["gateways"] = verdict.gateways
    return status


def _facts(resource: Resource, verdict: Verdict, published: bool, message: str) -> dict[str, _Fact]:
    facts: dict[str, _Fact] = {ACCEPTED: (verdict.accepted, verdict.reason, verdict.message)}
    if not isinstance(resource, GatewayDefaults):
        facts[PUBLISHED] = _carried(verdict, published, message)
    facts[READY] = next((each for each in facts.values() if not each[0]), (True, READY, "in force"))
    return facts


def _carried(verdict: Verdict, published: bool, message: str) -> _Fact:
    if verdict.document is None:
        return False, NOT_PUBLISHED, message or "nothing of it is published"
    secret = f"Secret {secret_name(verdict.document)}"
    if published:
        return True, PUBLISHED, message or f"in {secret}"
    return False, PUBLISH_PENDING, message or f"{secret} is not written yet"


def _condition(present: Condition | None, kind: str, fact: _Fact, generation: int, now: datetime) -> dict[str, Any]:
    holds, reason, message = fact
    status = "True" if holds else "False"
    unchanged = present is not None and present.status == status and present.last_transition_time
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message[:MAX_MESSAGE],
        "lastTransitionTime": unchanged or now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "observedGeneration": generation,
    }


def _others(conditions: object) -> list[Any]:
    listed = conditions if isinstance(conditions, list) else []
    return [each for each in listed if isinstance(each, dict) and each.get("type", _TYPES[0]) not in _TYPES]


def _certificate(certificate: CertificateStatus) -> dict[str, str]:
    return {
        "subject": certificate.subject,
        "sha256": certificate.sha256,
        "notAfter": certificate.not_after,
        "role": certificate.role.value,
    }


def _revocation_list(each: RevocationListStatus) -> dict[str, Any]:
    fields = {
        "issuer": each.issuer,
        "entries": each.entries,
        "thisUpdate": each.this_update,
        "overdue": each.overdue,
    }
    return fields | ({"nextUpdate": each.next_update} if each.next_update else {})
