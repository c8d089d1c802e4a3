"""The verdict on one resource, in the words of its status."""

from datetime import datetime

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.published.documents import (
    MAX_NAMESPACE_CERTIFICATES,
    TRUST,
    RegisteredGateway,
    TrustedAuthority,
    secret_name,
)
from stationkeeper_operator.compiling.candidate import Candidate, R
from stationkeeper_operator.compiling.retention.reductions import revokes_more
from stationkeeper_operator.compiling.trust.revocation_entries import Known, unmatched_note
from stationkeeper_operator.compiling.trust.revocation_lists import overdue_note, revocation_list_statuses
from stationkeeper_operator.compiling.trust.trusted_ca_compiler import certificate_statuses
from stationkeeper_operator.compiling.trust.usability import unusable_note
from stationkeeper_operator.compiling.trust.validities import validities_of
from stationkeeper_operator.compiling.verdict import ACCEPTED, MAX_MESSAGE, Verdict, Vouching
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.resources.records import TrustedCA

BEING_DELETED = Verdict(
    False,
    Reason.BEING_DELETED.value,
    "metadata.deletionTimestamp is set: nothing of it is in force; a finalizer still holds it",
    None,
)
"""The verdict on every resource that is being deleted."""


def trusted_ca_verdict(
    candidate: Candidate[TrustedAuthority],
    record: TrustedAuthority | None,
    known: Known,
    world: World,
    now: datetime,
) -> Verdict:
    """Return the verdict on a TrustedCA.

    Args:
        candidate: its candidate.
        record: its record in force; None for none.
        known: the certificates that gateways used last.
        world: holds its references.
        now: the time, aware.
    """
    validities = validities_of(candidate.resource, world, record)
    if record is None:
        accepted, reason, message = _outcome(candidate, None)
        return Verdict(accepted, reason, message, None, validities=validities)
    lists = revocation_list_statuses(record, now)
    refused = any(each.refuse_overdue for each in record.revocation_lists)
    notes = [candidate.note, *(overdue_note(each, refused=refused) for each in lists if each.overdue)]
    notes += [unusable_note(record, now), unmatched_note(record, known)]
    desired, refusal = candidate.desired, candidate.refusal
    expected = desired or candidate.fallback
    if expected is not None and record != expected and revokes_more(record, expected):
        desired, refusal = None, _revocation_does_not_fit(refusal)
    noted = Candidate(candidate.resource, desired, candidate.fallback, refusal, "; ".join(filter(None, notes)))
    accepted, reason, message = _outcome(noted, record)
    return Verdict(
        accepted,
        reason,
        message,
        TRUST,
        certificates=certificate_statuses(record, now),
        revocation_lists=lists,
        validities=validities,
    )


def gateway_verdict(
    candidate: Candidate[RegisteredGateway],
    record: RegisteredGateway | None,
    document: str | None,
    world: World,
    vouching: Vouching | None,
) -> Verdict:
    """Return the verdict on a Gateway.

    Args:
        candidate: its candidate.
        record: its record in force; None for none.
        document: the name of the document of its EUI.
        world: holds its references.
        vouching: its vouching; None if nothing of it is in force.
    """
    accepted, reason, message = _outcome(candidate, record)
    return Verdict(
        accepted,
        reason,
        message,
        document if record is not None else None,
        lns_uri=record.lns_uri if record is not None else "",
        validities=validities_of(candidate.resource, world),
        vouching=vouching,
    )


def _outcome(candidate: Candidate[R], record: R | None) -> tuple[bool, str, str]:
    """Return whether the spec is in force as written, the reason, and the message."""
    refusal = candidate.refusal
    if refusal is None and candidate.desired is not None and record != candidate.desired:
        refusal = _does_not_fit(candidate)
    if refusal is None:
        return True, ACCEPTED, (candidate.note or "the spec is in force")[:MAX_MESSAGE]
    remains = "the last accepted version stays in force" if record is not None else "nothing of it is in force"
    suffix = "" if refusal.reason == Reason.SUSPENDED else f"; {remains}"
    return False, refusal.reason.value, refusal.detail[: MAX_MESSAGE - len(suffix)] + suffix


def _revocation_does_not_fit(refusal: StationkeeperError | None) -> StationkeeperError:
    detail = (
        "its new revocations do NOT act, and such certificates are still accepted:"
        f" Secret {secret_name(TRUST)} has no space for them; delete TrustedCAs of this namespace, shorten their CRLs,"
        " or suspend this one"
    )
    return StationkeeperError(Reason.CAPACITY_EXCEEDED, f"{detail}; {refusal.detail}" if refusal else detail)


def _does_not_fit(candidate: Candidate[R]) -> StationkeeperError:
    is_authority = isinstance(candidate.resource, TrustedCA)
    secret = f"Secret {secret_name(TRUST)}" if is_authority else "the registry Secret that its EUI belongs to"
    what = f"{MAX_NAMESPACE_CERTIFICATES} certificates, or " if is_authority else ""
    detail = f"this namespace would use more than {what}its share of {secret}, and there is no free space beyond"
    return StationkeeperError(Reason.CAPACITY_EXCEEDED, f"{detail}; delete resources that you do not need here")
