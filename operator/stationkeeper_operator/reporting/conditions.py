"""Compute the status of a resource from its verdict and from the state of the Secret that carries it.

Without changes, the result equals the present status, so that the writer writes only differences.
"""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from stationkeeper_core.errors import Reason
from stationkeeper_core.published.documents import secret_name
from stationkeeper_core.timestamps import rfc3339
from stationkeeper_operator.compiling.verdict import (
    ACCEPTED,
    MAX_MESSAGE,
    CertificateStatus,
    RevocationListStatus,
    Verdict,
)
from stationkeeper_operator.reporting.ca_certificates import ca_certificate_note
from stationkeeper_operator.reporting.expiry import EXPIRING, expiring, seen_validity
from stationkeeper_operator.resources.fact import ENFORCED, NOT_OBSERVED, NOT_PUBLISHED, STILL_TRUSTED_BY, Fact
from stationkeeper_operator.resources.records import Gateway, GatewayDefaults, Resource, TrustedCA
from stationkeeper_operator.resources.resource_status import Condition

PUBLISHED = "Published"
READY = "Ready"
VOUCHED = "Vouched"
PUBLISH_PENDING = "PublishPending"

NO_OTHER_TRUSTED_CA = "NoOtherTrustedCA"

STALLED = "Stalled"

SERVED_TWICE = "ServedTwice"
"""The name of the condition, of its reason and of the event: another release's operator writes the same status."""

_MINE = (ACCEPTED, PUBLISHED, VOUCHED, READY, STALLED, STILL_TRUSTED_BY, EXPIRING, SERVED_TWICE)
_ELAPSED = re.compile(r"[0-9.]+ s after it was published")
_NOT_STALLED = frozenset(
    # Reasons that the spec intends, and reasons that may end in a moment, as when everything is applied at once.
    (
        Reason.SUSPENDED,
        Reason.REFERENCE_NOT_FOUND,
        Reason.REFERENCE_KEY_MISSING,
        Reason.LNS_MISSING,
        Reason.TOKEN_MISSING_FOR_EUI,
    )
)


def status_of(  # noqa: PLR0913, PLR0917 - what a status is made of
    resource: Resource,
    verdict: Verdict,
    published: bool,
    published_message: str,
    now: datetime,
    enforced: Fact | None = None,
    observed: Mapping[str, object] | None = None,
    contested: Fact | None = None,
) -> dict[str, Any]:
    """Return the complete new `.status`.

    Args:
        resource: the resource with its present status; other fields and conditions in it stay unchanged.
        verdict: the verdict on its present spec.
        published: whether the plan of the verdict was written to the Secret of its document.
        published_message: the message of the condition `Published`; empty for the default one.
        now: the time of a transition, aware.
        enforced: the condition `Enforced`; None if there is none.
        observed: more fields from the observations of CUPS; a field that is None is left out.
        contested: the condition that another release writes it too; None if no other release does.

    Returns:
        `observedGeneration` and these conditions: `Accepted`, `Published`, `Enforced`; `Vouched` of a Gateway; `Ready`
        (all of these; for a suspended resource, whether the suspension is in force); `Stalled` if only a change of the
        spec helps; `StillTrustedBy` of a suspended TrustedCA; `Expiring` if there are certificates. A TrustedCA also
        has `certificates`, their number and `revocationLists`. A GatewayDefaults is never published by itself: it has
        neither `Published` nor `Enforced`, but the number of `gateways` that use it.
    """
    facts = _facts(resource, verdict, _carried(verdict, published, published_message), enforced)
    generation = resource.metadata.generation
    fields = {**resource.status.value, **(observed or {}), "observedGeneration": generation}
    status = {name: value for name, value in fields.items() if value is not None}
    facts[ACCEPTED] = _with_note(facts[ACCEPTED], ca_certificate_note(resource, status))
    facts |= _expiry(resource, verdict, status, now)
    if contested is not None:
        facts[SERVED_TWICE] = contested
    present = {each.type: each for each in resource.status.conditions}
    conditions = [_condition(present.get(kind), kind, fact, generation, now) for kind, fact in facts.items()]
    status["conditions"] = conditions + _others(status.get("conditions"), facts)
    if isinstance(resource, TrustedCA):
        status["certificates"] = [_certificate(each) for each in verdict.certificates]
        status["certificateCount"] = len(verdict.certificates)
        status["revocationLists"] = [_revocation_list(each) for each in verdict.revocation_lists]
    if isinstance(resource, Gateway):
        status |= {"lnsURI": verdict.lns_uri}
        if not verdict.lns_uri:
            del status["lnsURI"]
    if isinstance(resource, GatewayDefaults):
        status["gateways"] = verdict.gateways
    return status


def _facts(resource: Resource, verdict: Verdict, carried: Fact, enforced: Fact | None) -> dict[str, Fact]:
    facts = {ACCEPTED: Fact(str(verdict.accepted), verdict.reason, verdict.message)}
    if not isinstance(resource, GatewayDefaults):
        facts[PUBLISHED] = carried
        if enforced is not None:
            facts[ENFORCED] = enforced
    if verdict.vouching is not None:
        facts[VOUCHED] = Fact(str(verdict.vouching.vouched), verdict.vouching.reason, verdict.vouching.message)
    facts[READY] = _ready(facts)
    if not verdict.accepted and verdict.reason not in _NOT_STALLED:
        facts[STALLED] = facts[ACCEPTED]._replace(status="True")
    if verdict.still_trusted_by is not None:
        facts[STILL_TRUSTED_BY] = _still_trusted(verdict.still_trusted_by)
    return facts


def _with_note(fact: Fact, note: str) -> Fact:
    return fact._replace(message=f"{fact.message}; {note}") if note and fact.status == "True" else fact


def _expiry(resource: Resource, verdict: Verdict, status: Mapping[str, object], now: datetime) -> dict[str, Fact]:
    is_used = isinstance(resource, Gateway) and not resource.suspended
    seen = seen_validity(status.get("certificate")) if is_used else None
    found = expiring((*verdict.validities, *((seen,) if seen else ())), now)
    return {EXPIRING: Fact(*found)} if found else {}


def _ready(facts: Mapping[str, Fact]) -> Fact:
    """Return the condition `Ready`: the spec is in force; of a suspended resource, CUPS has dropped its trust."""
    accepted = facts[ACCEPTED]
    suspended = accepted.reason == Reason.SUSPENDED
    told = {kind: each for kind, each in facts.items() if each.reason != NOT_OBSERVED}
    if suspended:
        del told[ACCEPTED]
        if facts.get(PUBLISHED, accepted).reason == NOT_PUBLISHED:
            del told[PUBLISHED]
    missing = next((each for each in told.values() if each.status != "True"), None)
    if missing is not None:
        return Fact("False", missing.reason, missing.message)
    return Fact("True", accepted.reason, accepted.message) if suspended else Fact("True", READY, "in force")


def _still_trusted(names: Collection[str]) -> Fact:
    if not names:
        return Fact("False", NO_OTHER_TRUSTED_CA, "no other TrustedCA in force holds its certificates or keys")
    return Fact("True", STILL_TRUSTED_BY, f"its certificates or keys are still trusted by: {', '.join(names)}")


def _carried(verdict: Verdict, published: bool, message: str) -> Fact:
    if verdict.document is None:
        return Fact("False", NOT_PUBLISHED, message or "nothing of it is published")
    secret = f"Secret {secret_name(verdict.document)}"
    if published:
        return Fact("True", PUBLISHED, message or f"in {secret}")
    return Fact("False", PUBLISH_PENDING, message or f"{secret} is not written yet")


def _condition(present: Condition | None, kind: str, fact: Fact, generation: int, now: datetime) -> dict[str, Any]:
    status, reason, message = fact
    unchanged = present is not None and present.status == status and present.last_transition_time
    message = message[:MAX_MESSAGE]
    if unchanged and present and (present.reason, present.observed_generation) == (reason, generation):
        # Another duration alone is no reason to write: each operator measures a different one.
        message = present.message if _timeless(present.message) == _timeless(message) else message
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": unchanged or rfc3339(now),
        "observedGeneration": generation,
    }


def _timeless(message: str) -> str:
    return _ELAPSED.sub("", message)


def _others(conditions: object, facts: Collection[str]) -> list[Any]:
    listed = [each for each in conditions if isinstance(each, dict)] if isinstance(conditions, list) else []
    return [each for each in listed if each.get("type", ACCEPTED) not in {*_MINE, *facts}]


def _certificate(certificate: CertificateStatus) -> dict[str, str]:
    fields = {
        "subject": certificate.subject,
        "sha256": certificate.sha256,
        "notAfter": certificate.not_after,
        "role": certificate.role.value,
    }
    more = {"problem": certificate.problem, "retainedUntil": certificate.retained_until}
    return fields | {name: text for name, text in more.items() if text}


def _revocation_list(each: RevocationListStatus) -> dict[str, Any]:
    fields = {
        "issuer": each.issuer,
        "entries": each.entries,
        "thisUpdate": each.this_update,
        "overdue": each.overdue,
    }
    return fields | ({"nextUpdate": each.next_update} if each.next_update else {})
