"""All Gateways to the candidates of each registry document, and the EUIs that are kept for namespaces."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex, parse_hex
from stationkeeper_core.published import (
    TRUST,
    Document,
    RegisteredGateway,
    RegistryDocument,
    ReservedEUI,
    TrustDocument,
    bucket_of,
)
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.compiling.eui_claims import MAX_RESERVED, Claim, Grounds, Settled, settle
from stationkeeper_operator.compiling.gateway_compiler import Surroundings, claimed_eui, compile_gateway
from stationkeeper_operator.compiling.scopes import Scopes
from stationkeeper_operator.resources import Gateway, Key

_Owner = tuple[EUI64, str]


@dataclass
class Bucket:
    """What belongs into one registry document.

    Attributes:
        candidates: its Gateways.
        kept: by EUI and namespace, what is reserved there unless the namespace has a Gateway in force with that EUI.
        contested: the EUIs with which more than one namespace has to do.
    """

    candidates: list[Candidate[RegisteredGateway]] = field(default_factory=list)
    kept: dict[tuple[str, str], ReservedEUI] = field(default_factory=dict)
    contested: set[str] = field(default_factory=set)

    def document(self, number: int, records: Iterable[RegisteredGateway], thrift: int) -> RegistryDocument:
        """The document with these of its Gateways.

        Args:
            number: of the bucket.
            records: of the Gateways.
            thrift: what is left out of what is reserved: from 1 on who waits, from 2 on what no other namespace asks
                for, from 3 on all.
        """
        gateways = tuple(sorted(records, key=lambda each: (each.eui, each.rank, each.namespace)))
        present = {(each.eui, each.namespace) for each in gateways}
        reserved = (
            each
            for owner, each in sorted(self.kept.items())
            if owner not in present and not self._can_do_without(each, thrift)
        )
        return RegistryDocument(bucket=number, gateways=gateways, reserved=tuple(self._bounded(reserved)))

    def _can_do_without(self, reserved: ReservedEUI, thrift: int) -> bool:
        least = 1 if reserved.waits else 3 if reserved.eui in self.contested else 2
        return thrift >= least

    def _bounded(self, reserved: Iterable[ReservedEUI]) -> list[ReservedEUI]:
        """So many of each namespace, first those that another namespace has to do with, the lowest EUI first."""
        counts: Counter[tuple[str, bool]] = Counter()
        found = []
        for each in sorted(reserved, key=lambda each: (each.eui not in self.contested, each.eui)):
            counts[each.namespace, each.waits] += 1
            if counts[each.namespace, each.waits] <= MAX_RESERVED:
                found.append(each)
        return sorted(found, key=lambda each: (each.eui, each.rank, each.namespace))


def compile_registry(
    around: Surroundings, in_force: Mapping[str, Document], trust: TrustDocument
) -> dict[int | None, Bucket]:
    """The candidates by the bucket that they belong into; under None those whose EUI is not known or taken.

    Args:
        around: all resources, and what Gateways are compiled in.
        in_force: the present documents.
        trust: what is to be trusted.
    """
    registries = [document for document in in_force.values() if isinstance(document, RegistryDocument)]
    held = {each.uid: each for document in registries for each in document.gateways}
    buckets: dict[int | None, Bucket] = {None: Bucket()}
    owners = _owners(around, held, buckets[None])
    claims = _claims(owners, registries)
    scopes, before = Scopes.of_document(trust), Scopes.of_document(in_force.get(TRUST))
    waiting = Counter(
        (bucket_of(_eui(each.eui), around.world.buckets), each.namespace)
        for one in registries
        for each in one.reserved
        if each.waits
    )
    for eui in sorted(claims):
        number = bucket_of(eui, around.world.buckets)
        bucket = buckets.setdefault(number, Bucket())
        involved = list(claims[eui].values())
        full = frozenset(each.namespace for each in involved if waiting[number, each.namespace] >= MAX_RESERVED)
        for each in settle(eui, involved, Grounds(scopes, before, full)).values():
            _take_in(bucket, each)
            is_new = each.reserved is not None and claims[eui][each.reserved.namespace].reserved is None
            if each.reserved is not None and each.reserved.waits and is_new:
                waiting[number, each.reserved.namespace] += 1
        if len(involved) > 1:
            bucket.contested.add(format_hex(eui))
    return buckets


def _take_in(bucket: Bucket, settled: Settled) -> None:
    if settled.candidate is not None:
        bucket.candidates.append(settled.candidate)
    if settled.reserved is not None:
        bucket.kept[settled.reserved.eui, settled.reserved.namespace] = settled.reserved


def _owners(
    around: Surroundings, held: Mapping[str, RegisteredGateway], nowhere: Bucket
) -> dict[_Owner, Candidate[RegisteredGateway]]:
    """The Gateway that has an EUI in its namespace: the oldest."""
    owners: dict[_Owner, Candidate[RegisteredGateway]] = {}
    gateways = (each for each in around.world.resources.values() if isinstance(each, Gateway))
    for gateway in sorted(gateways, key=lambda each: _precedence(each, held)):
        previous = held.get(gateway.metadata.uid)
        eui = claimed_eui(gateway, previous)
        if eui is None:
            nowhere.candidates.append(compile_gateway(gateway, previous, around))
            continue
        owner = owners.get((eui, gateway.metadata.namespace))
        if owner is not None:
            nowhere.candidates.append(_conflict(gateway, eui, owner.key))
            continue
        owners[eui, gateway.metadata.namespace] = compile_gateway(gateway, previous, around)
    return owners


def _claims(
    owners: Mapping[_Owner, Candidate[RegisteredGateway]], registries: Iterable[RegistryDocument]
) -> dict[EUI64, dict[str, Claim]]:
    found: dict[EUI64, dict[str, Claim]] = {}
    for (eui, namespace), candidate in owners.items():
        found.setdefault(eui, {})[namespace] = Claim(namespace, candidate)
    for document in registries:
        for gateway in document.gateways:
            of_eui = found.setdefault(_eui(gateway.eui), {})
            known = of_eui.get(gateway.namespace, Claim(gateway.namespace))
            of_eui[gateway.namespace] = replace(known, held=gateway)
        for reserved in document.reserved:
            of_eui = found.setdefault(_eui(reserved.eui), {})
            known = of_eui.get(reserved.namespace, Claim(reserved.namespace))
            of_eui[reserved.namespace] = replace(known, reserved=reserved)
    return found


def _eui(text: str) -> EUI64:
    found = parse_hex(text)
    assert found is not None, text  # noqa: S101 - a document with another one is not decoded
    return found


def _precedence(gateway: Gateway, held: Mapping[str, RegisteredGateway]) -> tuple[datetime, bool, Key]:
    """The oldest first; of those created in one second, and creation is told no finer, the one in force."""
    return (gateway.metadata.creation_timestamp, gateway.metadata.uid not in held, gateway.key)


def _conflict(gateway: Gateway, eui: EUI64, owner: Key) -> Candidate[RegisteredGateway]:
    detail = f"EUI {format_hex(eui)} belongs to the older Gateway {owner.name} of this namespace; delete one of the two"
    return Candidate(gateway, None, None, StationkeeperError(Reason.EUI_CONFLICT, detail))
