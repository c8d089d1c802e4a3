"""Compile a TrustedCA into its published record.

Each part of the spec (anchors, intermediates, ranges, revocation, CRLs) is read separately. The spec comes into force
only if all parts are usable. Otherwise the record in force may only shrink, see `candidate`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec.structs import replace

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui_range import EUIRange, parse_range
from stationkeeper_core.published.documents import RevocationList, ServedNamespace, TrustedAuthority
from stationkeeper_core.published.retained_anchor import RetainedAnchor
from stationkeeper_core.timestamps import rfc3339
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_operator.compiling.candidate import Candidate, Problems
from stationkeeper_operator.compiling.certificate_rules import (
    Authorities,
    certificate_of,
    expired,
    read_authorities,
    show,
)
from stationkeeper_operator.compiling.retention.reductions import common_ranges, revokes_more
from stationkeeper_operator.compiling.retention.retained_anchors import (
    Retained,
    as_before,
    read_retain,
    retained_anchors,
    source_text,
    still_retained,
)
from stationkeeper_operator.compiling.served_namespaces import common_serves, read_serves
from stationkeeper_operator.compiling.trust.issuing_ca import issuing_ca_note
from stationkeeper_operator.compiling.trust.revocation_entries import read_revoked_fingerprint, read_serial
from stationkeeper_operator.compiling.trust.revocation_lists import (
    Source,
    find_crls,
    merged_lists,
    read_revocation_lists,
)
from stationkeeper_operator.compiling.trust.usability import intermediate_problem_of, problem_of
from stationkeeper_operator.compiling.verdict import CertificateStatus, Role, certificate_status
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.resources.records import TrustedCA
from stationkeeper_operator.resources.specs import Revocation, TrustedCASpec

_TRAFFIC = "its gateways keep the LNS credentials that they have: to end their traffic, revoke their keys at the LNS"
_SHOWN = 3


@dataclass(frozen=True)
class _Parts:
    """The readable parts of a spec; None for an unusable part. In revocation, each entry counts separately."""

    anchors: tuple[Certificate, ...] | None
    intermediates: tuple[Certificate, ...] | None
    ranges: tuple[EUIRange, ...] | None
    serials: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    lists: tuple[RevocationList, ...] = ()
    refuse_overdue: bool = False
    weak_signatures: bool = True
    presented_intermediates: bool = True
    note: str = ""
    serves: tuple[ServedNamespace, ...] | None = None
    source: str = ""
    retained: tuple[RetainedAnchor, ...] = ()


def compile_trusted_ca(
    resource: TrustedCA, world: World, previous: TrustedAuthority | None, now: datetime
) -> Candidate[TrustedAuthority]:
    """Compile a TrustedCA.

    Args:
        resource: the TrustedCA.
        world: holds its references.
        previous: the record in force of the same resource; None if there is none.
        now: the time, aware; certificates that have expired by then are left out.
    """
    if resource.suspended:
        return Candidate(
            resource,
            None,
            None,
            StationkeeperError(Reason.SUSPENDED, f"spec.suspended is true: nothing of it is trusted; {_TRAFFIC}"),
        )
    if resource.spec is None:
        fallback = previous and _reduced(previous, _Parts(None, None, None), now)
        return Candidate(resource, None, fallback, StationkeeperError(Reason.INVALID_SPEC, resource.problem))
    parts, refusal = _read(resource, resource.spec, world, previous, now)
    fallback = previous and _reduced(previous, parts, now)
    desired = None if refusal else _authority(resource, parts)
    return Candidate(resource, desired, fallback, refusal, parts.note, _without_new_revocations(fallback, previous))


def configured_anchors(resource: TrustedCA, world: World) -> tuple[bytes, ...]:
    """Return DER of the anchors in the spec, also of a suspended one; none if they cannot be read."""
    if resource.spec is None:
        return ()
    spec, long_ago = resource.spec, datetime.min.replace(tzinfo=UTC)
    found = Problems().attempt(lambda: _anchors(resource, spec, world, long_ago))
    return _der(found.certificates if found else ())


def certificate_statuses(record: TrustedAuthority, now: datetime) -> tuple[CertificateStatus, ...]:
    """Return the status entries of the certificates in force; `now` is aware."""
    roles = (
        (Role.ANCHOR, record.anchors, problem_of),
        (Role.INTERMEDIATE, record.intermediates, intermediate_problem_of),
    )
    retained = {each.sha256: rfc3339(datetime.fromtimestamp(each.until, UTC)) for each in record.retained}
    return tuple(
        certificate_status(
            each, role, judge(each, now, takes_weak=record.weak_signatures), retained.get(each.sha256, "")
        )
        for role, listed, judge in roles
        for each in _readable(listed)
    )


def deadlines(record: TrustedAuthority) -> Iterator[datetime]:
    """Yield the times at which it changes because time passes: validity of certificates, next updates of CRLs."""
    for certificate in _readable((*record.anchors, *record.intermediates)):
        yield certificate.not_before
        yield certificate.not_after
    for kept in record.retained:
        yield datetime.fromtimestamp(kept.until, UTC)
    for each in record.revocation_lists:
        if each.next_update is not None:
            yield datetime.fromtimestamp(each.next_update, UTC)


def _read(
    resource: TrustedCA, spec: TrustedCASpec, world: World, previous: TrustedAuthority | None, now: datetime
) -> tuple[_Parts, StationkeeperError | None]:
    problems, revocation = Problems(), spec.revocation or Revocation()
    read_anchors = problems.attempt(lambda: _anchors(resource, spec, world, now))
    read_intermediates = problems.attempt(lambda: read_configured_intermediates(resource, spec, world))
    source = source_text(resource.metadata.namespace, spec.certificates_from)
    retained = _retained(spec, source, previous, read_anchors, problems, now)
    anchors = (*read_anchors.certificates, *retained.certificates) if read_anchors else None
    intermediates = read_intermediates.certificates if read_intermediates else None
    past = (*expired(anchors or (), now), *expired(intermediates or (), now))
    issuers = (*(anchors or ()), *(intermediates or ()))
    if previous is not None and (anchors is None or intermediates is None):
        issuers += _readable((*previous.anchors, *previous.intermediates))
    crls = problems.attempt(lambda: find_crls(resource.metadata.namespace, revocation, world)) or Source("")
    refuse_overdue = revocation.crl_expired == "Refuse"
    lists = read_revocation_lists(crls, issuers, problems, refuse_overdue=refuse_overdue, now=now)
    parts = _Parts(
        anchors=anchors and tuple(each for each in anchors if each not in past),
        intermediates=None if intermediates is None else tuple(each for each in intermediates if each not in past),
        ranges=problems.attempt(lambda: _ranges(spec.eui_ranges)),
        serials=problems.attempt_each(read_serial, revocation.serials or ()),
        fingerprints=problems.attempt_each(read_revoked_fingerprint, revocation.sha256_fingerprints or ()),
        lists=lists.with_those_in_force(previous.revocation_lists if previous else (), refuse_overdue=refuse_overdue),
        refuse_overdue=refuse_overdue,
        weak_signatures=spec.weak_signatures == "Allow",
        presented_intermediates=spec.presented_intermediates != "Refuse",
        note="; ".join(
            filter(
                None,
                (
                    _note(past, *(each.left_out for each in (read_anchors, read_intermediates) if each)),
                    retained.note,
                    lists.note,
                    issuing_ca_note(spec, resource.metadata.namespace, world, issuers),
                ),
            )
        ),
        serves=problems.attempt(lambda: read_serves(spec.serves, is_release=_is_release(resource, world))),
        source=source,
        retained=retained.records,
    )
    return parts, problems.refusal


def _retained(  # noqa: PLR0913, PLR0917 - all that it depends on
    spec: TrustedCASpec,
    source: str,
    previous: TrustedAuthority | None,
    read: Authorities | None,
    problems: Problems,
    now: datetime,
) -> Retained:
    """Return the anchors that the source held before its update; none if the spec now names another source."""
    retain = problems.attempt(lambda: read_retain(spec.certificates_from))
    if previous is None or read is None or previous.anchors_source != source:
        return Retained()
    if retain is None:
        return as_before(previous, read.certificates, now)
    return retained_anchors(previous, read.certificates, retain, now)


def _is_release(resource: TrustedCA, world: World) -> bool:
    return resource.metadata.namespace == world.release_namespace


def _anchors(resource: TrustedCA, spec: TrustedCASpec, world: World, now: datetime) -> Authorities:
    if (spec.certificates is None) == (spec.certificates_from is None):
        raise StationkeeperError(Reason.INVALID_SPEC, "the spec needs exactly one of certificates and certificatesFrom")
    if spec.certificates_from is not None:
        field = "certificatesFrom"
        content: str | bytes = world.read(resource.metadata.namespace, spec.certificates_from, field)
    else:
        field, content = "certificates", spec.certificates or ""
    found = read_authorities(content, field, Role.ANCHOR)
    past = expired(found.certificates, now)
    if len(past) == len(found.certificates):
        raise StationkeeperError(
            Reason.ANCHOR_EXPIRED, f"{field}: every anchor has expired, {show(past)} at {_latest_end(past)}"
        )
    return found


def read_configured_intermediates(resource: TrustedCA, spec: TrustedCASpec, world: World) -> Authorities:
    """Return the intermediates in a spec and in its reference, together; none if it has neither.

    Raises:
        StationkeeperError: as `World.read` and `read_authorities`.
    """
    sources: list[Authorities] = []
    if spec.intermediates and spec.intermediates.strip():
        sources.append(read_authorities(spec.intermediates, "intermediates", Role.INTERMEDIATE))
    if spec.intermediates_from is not None:
        field = "intermediatesFrom"
        content = world.read(resource.metadata.namespace, spec.intermediates_from, field)
        sources.append(read_authorities(content, field, Role.INTERMEDIATE))
    certificates = dict.fromkeys(certificate for each in sources for certificate in each.certificates)
    return Authorities(tuple(certificates), tuple(problem for each in sources for problem in each.left_out))


def _note(past: tuple[Certificate, ...], *left_out: tuple[str, ...]) -> str:
    """Return a note on certificates that are not in force."""
    problems = tuple(each for some in left_out for each in some)
    more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    parts = (
        f"left out because expired: {show(past)}" if past else "",
        f"left out because they cannot be used: {'; '.join(problems[:_SHOWN])}{more}" if problems else "",
    )
    return "; ".join(filter(None, parts))


def _ranges(listed: tuple[str, ...] | None) -> tuple[EUIRange, ...]:
    if listed is not None and not listed:
        raise StationkeeperError(Reason.INVALID_SPEC, "euiRanges is empty; leave it out to allow every EUI")
    return tuple(sorted({parse_range(text) for text in listed or ()}))


def _authority(resource: TrustedCA, parts: _Parts) -> TrustedAuthority:
    return TrustedAuthority(
        namespace=resource.metadata.namespace,
        name=resource.metadata.name,
        uid=resource.metadata.uid,
        anchors=_der(parts.anchors or ()),
        intermediates=_der(parts.intermediates or ()),
        eui_ranges=tuple(str(each) for each in parts.ranges or ()),
        revoked_serials=tuple(sorted(set(parts.serials))),
        revoked_sha256=tuple(sorted(set(parts.fingerprints))),
        revocation_lists=parts.lists,
        weak_signatures=parts.weak_signatures,
        presented_intermediates=parts.presented_intermediates,
        serves=parts.serves or (),
        anchors_source=parts.source,
        retained=parts.retained,
    )


def _reduced(previous: TrustedAuthority, parts: _Parts, now: datetime) -> TrustedAuthority | None:
    """Return `previous` without what the readable parts take away; None if nothing is left.

    An empty list of ranges means every EUI. So ranges without a common part leave nothing, instead of an empty list.
    """
    anchors = _remaining(previous.anchors, parts.anchors, now)
    retained = parts.retained if parts.anchors is not None else still_retained(previous, now)
    ended = {each.sha256 for each in previous.retained} - {each.sha256 for each in retained}
    if parts.anchors is None:
        anchors = tuple(each.der for each in _readable(anchors) if each.sha256 not in ended)
    held = Problems().attempt(lambda: tuple(parse_range(text) for text in previous.eui_ranges))
    if held is None or not anchors:
        return None
    ranges = common_ranges(held, parts.ranges) if parts.ranges else held
    if parts.ranges and not ranges:
        return None
    return TrustedAuthority(
        namespace=previous.namespace,
        name=previous.name,
        uid=previous.uid,
        anchors=anchors,
        intermediates=_remaining(previous.intermediates, parts.intermediates, now),
        eui_ranges=tuple(str(each) for each in ranges),
        revoked_serials=tuple(sorted({*previous.revoked_serials, *parts.serials})),
        revoked_sha256=tuple(sorted({*previous.revoked_sha256, *parts.fingerprints})),
        revocation_lists=merged_lists(previous.revocation_lists, parts.lists, refuse_overdue=parts.refuse_overdue),
        weak_signatures=previous.weak_signatures and parts.weak_signatures,
        presented_intermediates=previous.presented_intermediates and parts.presented_intermediates,
        serves=previous.serves if parts.serves is None else common_serves(previous.serves, parts.serves),
        anchors_source=previous.anchors_source,
        retained=retained,
    )


def _without_new_revocations(
    fallback: TrustedAuthority | None, previous: TrustedAuthority | None
) -> TrustedAuthority | None:
    if fallback is None or previous is None or not revokes_more(previous, fallback):
        return None
    return replace(
        fallback,
        revoked_serials=previous.revoked_serials,
        revoked_sha256=previous.revoked_sha256,
        revocation_lists=previous.revocation_lists,
    )


def _remaining(in_force: tuple[bytes, ...], listed: tuple[Certificate, ...] | None, now: datetime) -> tuple[bytes, ...]:
    readable = _readable(in_force)
    past = expired(readable, now)
    return tuple(each.der for each in readable if each not in past and (listed is None or each in listed))


def _readable(ders: tuple[bytes, ...]) -> tuple[Certificate, ...]:
    return tuple(each for each in (certificate_of(der) for der in ders) if each is not None)


def _der(certificates: tuple[Certificate, ...]) -> tuple[bytes, ...]:
    return tuple(sorted(each.der for each in certificates))


def _latest_end(certificates: tuple[Certificate, ...]) -> str:
    return rfc3339(max(each.not_after for each in certificates))
