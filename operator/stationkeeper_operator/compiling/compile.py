"""Resources to the documents that CUPS loads, and a verdict on each resource.

Pure: the same resources, in whatever order, over the same documents in force, give the same payloads. The documents in
force are asked for what was last accepted of each resource, so that this survives a restart of the operator.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.published import (
    MAX_NAMESPACE_CERTIFICATES,
    TRUST,
    Document,
    RegisteredGateway,
    RegistryDocument,
    TrustDocument,
    TrustedAuthority,
    secret_name,
)
from stationkeeper_core.registry_layout import layout_of
from stationkeeper_operator.compiling.authority_keys import authority_keys
from stationkeeper_operator.compiling.candidate import Candidate, R
from stationkeeper_operator.compiling.capacity import Contents, Fitted, fit
from stationkeeper_operator.compiling.defaults_compiler import compile_defaults
from stationkeeper_operator.compiling.gateway_compiler import Surroundings
from stationkeeper_operator.compiling.own_cups import OwnCUPS
from stationkeeper_operator.compiling.reductions import reduced_documents, revokes_more
from stationkeeper_operator.compiling.registry_compiler import Bucket, compile_registry
from stationkeeper_operator.compiling.revocation_entries import Known, known_certificates, unmatched_note
from stationkeeper_operator.compiling.revocation_lists import overdue_note, revocation_list_statuses
from stationkeeper_operator.compiling.room import REGISTRY_BOUNDS, TRUST_BOUNDS
from stationkeeper_operator.compiling.still_trusted import still_trusted_by
from stationkeeper_operator.compiling.trusted_ca_compiler import (
    certificate_statuses,
    compile_trusted_ca,
    configured_anchors,
    deadlines,
)
from stationkeeper_operator.compiling.usability import unusable_note
from stationkeeper_operator.compiling.validities import validities_of
from stationkeeper_operator.compiling.verdict import ACCEPTED, MAX_MESSAGE, CertificateStatus, Verdict
from stationkeeper_operator.compiling.vouching import Vouchers
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.resources import Key, Resource, TrustedCA

__all__ = ["CertificateStatus", "PublishPlan", "Verdict", "World", "compile_plan"]


@dataclass(frozen=True)
class PublishPlan:
    """What is to be published.

    Attributes:
        payloads: of every document of the contract, by its name.
        verdicts: on every resource.
        documents: what the payloads hold.
        deadline: when time alone will change something, aware; None for never.
    """

    payloads: Mapping[str, bytes]
    verdicts: Mapping[Key, Verdict]
    documents: Mapping[str, Document] = field(default_factory=dict)
    deadline: datetime | None = None

    def reduces(self, in_force: Mapping[str, Document]) -> frozenset[str]:
        """The names of the documents that take trust away: a CA, an anchor, a gateway less, or narrower.

        They are to be published first and at once. A change of LNS is none.
        """
        return reduced_documents(in_force, self.documents)


def compile_plan(world: World, in_force: Mapping[str, Document], now: datetime) -> PublishPlan:
    """The documents for `world`.

    Args:
        world: all resources and what they refer to.
        in_force: the present documents of the world's count, without those that are missing or cannot be decoded.
        now: what has expired by then is left out; aware.
    """
    documents: dict[str, Document] = {}
    payloads: dict[str, bytes] = {}
    verdicts: dict[Key, Verdict] = {each.key: _leaving(each) for each in world.being_deleted}
    everything, world = world, world.without_deleted()
    authorities = _authority_candidates(world, in_force, now)
    release = world.release_namespace
    contents = Contents(authorities, partial(_trust_document, release), release, TRUST_BOUNDS)
    trust = fit(contents, in_force.get(TRUST))
    documents[TRUST], payloads[TRUST] = trust.document, trust.payload
    revokes = any(each.revoked_serials or each.revoked_sha256 for each in trust.records.values())
    known = known_certificates(world.resources.values() if revokes else ())
    verdicts |= {each.key: _trusted_ca_verdict(each, trust.records.get(each.key), known, now) for each in authorities}
    verdicts |= _still_trusted(everything, verdicts, trust.document)
    registries = (each for each in in_force.values() if isinstance(each, RegistryDocument))
    delivered = (each for document in registries for each in document.gateways)
    keys = authority_keys(everything, (trust.document, in_force.get(TRUST)), delivered)
    defaults = compile_defaults(world, now, keys)
    verdicts |= defaults.verdicts()
    assert isinstance(trust.document, TrustDocument)  # noqa: S101 - it was built as that
    vouchers = Vouchers(everything, verdicts, trust.records, now)
    own_cups = OwnCUPS(world.cups_names, trust.document, now)
    around = Surroundings(world, now, defaults.lns_for, keys, own_cups)
    buckets = compile_registry(around, in_force, trust.document)
    for number, name in enumerate(layout_of(world.buckets).registry):
        bucket = buckets.get(number, Bucket())
        build = partial(bucket.document, number)
        registry = fit(Contents(bucket.candidates, build, release, REGISTRY_BOUNDS), in_force.get(name))
        documents[name], payloads[name] = registry.document, registry.payload
        verdicts |= _vouched(_gateway_verdicts(name, bucket.candidates, registry), registry, vouchers)
    verdicts |= _gateway_verdicts(None, buckets[None].candidates, None)
    verdicts = _with_validities(world, verdicts, trust)
    ends = (when for record in trust.records.values() for when in deadlines(record))
    coming = (when for when in (*ends, *own_cups.deadlines) if when >= now)
    return PublishPlan(payloads, verdicts, documents, min(coming, default=None))


def _authority_candidates(
    world: World, in_force: Mapping[str, Document], now: datetime
) -> list[Candidate[TrustedAuthority]]:
    document = in_force.get(TRUST)
    held = {each.uid: each for each in document.authorities} if isinstance(document, TrustDocument) else {}
    return [
        compile_trusted_ca(resource, world, held.get(resource.metadata.uid), now)
        for resource in world.resources.values()
        if isinstance(resource, TrustedCA)
    ]


def _trust_document(release_namespace: str, records: Iterable[TrustedAuthority], _thrift: int) -> TrustDocument:
    ordered = sorted(records, key=lambda each: (each.namespace, each.name))
    return TrustDocument(release_namespace=release_namespace, authorities=tuple(ordered))


def _trusted_ca_verdict(
    candidate: Candidate[TrustedAuthority], record: TrustedAuthority | None, known: Known, now: datetime
) -> Verdict:
    if record is None:
        return _verdict(candidate, None, None, ())
    lists = revocation_list_statuses(record, now)
    refused = any(each.refuse_overdue for each in record.revocation_lists)
    notes = [candidate.note, *(overdue_note(each, refused=refused) for each in lists if each.overdue)]
    notes += [unusable_note(record, now), unmatched_note(record, known)]
    noted = replace(candidate, note="; ".join(filter(None, notes)))
    expected = candidate.wanted or candidate.kept
    if expected is not None and record != expected and revokes_more(record, expected):
        noted = replace(noted, wanted=None, refusal=_revocation_does_not_fit(candidate.refusal))
    return replace(_verdict(noted, record, TRUST, certificate_statuses(record, now)), revocation_lists=lists)


def _still_trusted(world: World, verdicts: Mapping[Key, Verdict], trust: Document) -> dict[Key, Verdict]:
    """The verdicts on TrustedCAs that are suspended or being deleted, with who else holds what they would."""
    found: dict[Key, Verdict] = {}
    for key, verdict in verdicts.items():
        resource = world.resources[key]
        is_taken_away = resource.suspended or resource.metadata.being_deleted
        if isinstance(resource, TrustedCA) and is_taken_away and isinstance(trust, TrustDocument):
            others = still_trusted_by(configured_anchors(resource, world), resource.metadata.uid, trust, key.namespace)
            found[key] = replace(verdict, still_trusted_by=others)
    return found


def _with_validities(
    world: World, verdicts: Mapping[Key, Verdict], trust: Fitted[TrustedAuthority]
) -> dict[Key, Verdict]:
    return {
        key: replace(verdict, validities=validities_of(world.resources[key], world, trust.records.get(key)))
        if key in world.resources
        else verdict
        for key, verdict in verdicts.items()
    }


def _leaving(resource: Resource) -> Verdict:
    what = "nothing of it is in force; a finalizer still holds it"
    return Verdict(False, Reason.BEING_DELETED.value, f"metadata.deletionTimestamp is set: {what}", None)


def _gateway_verdicts(
    name: str | None, candidates: Iterable[Candidate[RegisteredGateway]], registry: Fitted[RegisteredGateway] | None
) -> dict[Key, Verdict]:
    records = registry.records if registry is not None else {}
    found = ((each, records.get(each.key)) for each in candidates)
    return {
        each.key: replace(
            _verdict(each, record, name if record else None, ()), lns_uri=record.lns_uri if record is not None else ""
        )
        for each, record in found
    }


def _vouched(
    verdicts: dict[Key, Verdict], registry: Fitted[RegisteredGateway], vouchers: Vouchers
) -> dict[Key, Verdict]:
    return {
        key: replace(verdict, vouching=vouchers.of(registry.records[key])) if key in registry.records else verdict
        for key, verdict in verdicts.items()
    }


def _verdict(
    candidate: Candidate[R], record: R | None, document: str | None, certificates: tuple[CertificateStatus, ...]
) -> Verdict:
    refusal = candidate.refusal
    if refusal is None and candidate.wanted is not None and record != candidate.wanted:
        refusal = _does_not_fit(candidate)
    if refusal is None:
        message = candidate.note or "the spec is in force"
        return Verdict(True, ACCEPTED, message[:MAX_MESSAGE], document, certificates)
    remains = "the last accepted version stays in force" if record is not None else "nothing of it is in force"
    suffix = "" if refusal.reason == Reason.SUSPENDED else f"; {remains}"
    return Verdict(
        False, refusal.reason.value, refusal.detail[: MAX_MESSAGE - len(suffix)] + suffix, document, certificates
    )


def _revocation_does_not_fit(refusal: StationkeeperError | None) -> StationkeeperError:
    detail = (
        "what it revokes anew does NOT act, and such certificates are still accepted:"
        f" Secret {secret_name(TRUST)} has no room for it; delete TrustedCAs of this namespace or shorten their CRLs,"
        " or suspend this one"
    )
    return StationkeeperError(Reason.CAPACITY_EXCEEDED, f"{detail}; {refusal.detail}" if refusal else detail)


def _does_not_fit(candidate: Candidate[R]) -> StationkeeperError:
    is_authority = isinstance(candidate.resource, TrustedCA)
    secret = f"Secret {secret_name(TRUST)}" if is_authority else "the registry Secret that its EUI belongs to"
    what = f"{MAX_NAMESPACE_CERTIFICATES} certificates, or " if is_authority else ""
    detail = f"this namespace would have more than {what}its share of {secret}, and there is no room beyond"
    return StationkeeperError(Reason.CAPACITY_EXCEEDED, f"{detail}; delete what is not needed in this namespace")
