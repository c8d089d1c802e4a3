"""Compile resources into the documents that CUPS loads, and a verdict on each resource.

Pure: the same resources, in any order, with the same documents in force, give the same payloads. The last accepted
state of each resource is read from the documents in force, so that it survives a restart of the operator.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from stationkeeper_core.published.documents import TRUST, Document, RegistryDocument
from stationkeeper_core.published.registry_layout import layout_of
from stationkeeper_operator.compiling.fitting.capacity import Contents, fit
from stationkeeper_operator.compiling.fitting.document_space import REGISTRY_BOUNDS
from stationkeeper_operator.compiling.gateways.gateway_compiler import CompileContext
from stationkeeper_operator.compiling.gateways.own_cups import OwnCUPS
from stationkeeper_operator.compiling.gateways.registry_compiler import registry_buckets
from stationkeeper_operator.compiling.resource_verdicts import BEING_DELETED, gateway_verdict
from stationkeeper_operator.compiling.shared_facts import SharedFacts, compile_facts
from stationkeeper_operator.compiling.trust.authority_keys import owners_of_keys
from stationkeeper_operator.compiling.trust.revocation_entries import known_certificates
from stationkeeper_operator.compiling.trust.scopes import Scopes
from stationkeeper_operator.compiling.trust.trust_compiler import CompiledTrust, compile_trust
from stationkeeper_operator.compiling.verdict import CertificateStatus, Verdict
from stationkeeper_operator.compiling.world import World, looks_to_defaults
from stationkeeper_operator.resources.records import Key

__all__ = ["CertificateStatus", "PlanPart", "PublishPlan", "Verdict", "World", "compile_plan", "plan_parts"]


@dataclass(frozen=True)
class PublishPlan:
    """A plan of what to publish.

    Attributes:
        payloads: of every document of the contract, by its name.
        verdicts: on every resource.
        documents: the contents of the payloads.
        deadline: when the plan changes only because time passes, aware; None for never.
    """

    payloads: Mapping[str, bytes]
    verdicts: Mapping[Key, Verdict]
    documents: Mapping[str, Document] = field(default_factory=dict)
    deadline: datetime | None = None


@dataclass(frozen=True)
class PlanPart:
    """One document of a plan with its verdicts; or only verdicts, for resources that belong to no document.

    Attributes:
        name: the name of the document; empty for none.
        document: its content; None for none.
        payload: its payload.
        verdicts: on the resources that belong to it.
        deadlines: when it changes only because time passes.
    """

    name: str
    document: Document | None
    payload: bytes
    verdicts: Mapping[Key, Verdict]
    deadlines: tuple[datetime, ...] = ()


def compile_plan(world: World, in_force: Mapping[str, Document], now: datetime) -> PublishPlan:
    """Compile `world` into a plan.

    Args:
        world: all resources and the objects that they refer to.
        in_force: the present documents of the world's count, without missing ones and those that cannot be decoded.
        now: the time, aware; certificates that have expired by then are left out.
    """
    documents: dict[str, Document] = {}
    payloads: dict[str, bytes] = {}
    verdicts: dict[Key, Verdict] = {}
    coming: list[datetime] = []
    for part in plan_parts(world, in_force, now):
        if part.document is not None:
            documents[part.name], payloads[part.name] = part.document, part.payload
        verdicts |= part.verdicts
        coming += (when for when in part.deadlines if when >= now)
    return PublishPlan(payloads, verdicts, documents, min(coming, default=None))


def plan_parts(world: World, in_force: Mapping[str, Document], now: datetime) -> Iterator[PlanPart]:
    """Yield the plan of `compile_plan` by documents, so that only one is in memory, with pauses between them.

    Args:
        world: as for `compile_plan`.
        in_force: as for `compile_plan`.
        now: as for `compile_plan`.
    """
    other_kinds, present = world.without_gateways(), world.without_deleted()
    trust = compile_trust(other_kinds.without_deleted(), in_force.get(TRUST), now)
    facts = _facts(other_kinds, present, trust, in_force, now)
    without_lns = Counter(each.metadata.namespace for each in present.resources.values() if looks_to_defaults(each))
    being_deleted: dict[Key, Verdict] = {each.key: BEING_DELETED for each in world.being_deleted}
    trust_verdicts = being_deleted | dict(facts.verdicts) | facts.defaults.verdicts(without_lns)
    yield PlanPart(TRUST, trust.document, trust.fitted.payload, trust_verdicts, tuple(facts.deadlines))
    own_cups = OwnCUPS(world.cups_names, trust.document, now)
    context = CompileContext(facts.world, now, facts.defaults.lns_for, facts.keys, own_cups)
    scopes = (Scopes(trust.document), Scopes(facts.before))
    names = layout_of(world.buckets).registry
    for number, bucket in registry_buckets(context, present.resources.values(), in_force, scopes):
        if number is None:
            refused = {each.key: gateway_verdict(each, None, None, facts.world, None) for each in bucket.candidates}
            yield PlanPart("", None, b"", refused, own_cups.deadlines)
            continue
        name, build = names[number], partial(bucket.document, number)
        fitted = fit(Contents(bucket.candidates, build, world.release_namespace, REGISTRY_BOUNDS), in_force.get(name))
        verdicts: dict[Key, Verdict] = {}
        for each in bucket.candidates:
            record = fitted.records.get(each.key)
            vouching = facts.vouching_cas.of(record) if record is not None else None
            verdicts[each.key] = gateway_verdict(each, record, name, facts.world, vouching)
        yield PlanPart(name, fitted.document, fitted.payload, verdicts)


def _facts(
    other_kinds: World, present: World, trust: CompiledTrust, in_force: Mapping[str, Document], now: datetime
) -> SharedFacts:
    revokes = any(each.revoked_serials or each.revoked_sha256 for each in trust.records.values())
    known = known_certificates(present.resources.values() if revokes else ())
    registries = (each for each in in_force.values() if isinstance(each, RegistryDocument))
    owners = owners_of_keys(each for document in registries for each in document.gateways)
    return compile_facts(other_kinds, trust, in_force.get(TRUST), owners, known, now)
