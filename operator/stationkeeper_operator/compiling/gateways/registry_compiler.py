"""Sort all Gateways into the candidates of each registry document, with the EUIs reserved for namespaces."""

from bisect import insort
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex, parse_hex
from stationkeeper_core.published.documents import (
    Document,
    RegisteredGateway,
    RegistryDocument,
    ReservedEUI,
    bucket_of,
)
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.compiling.gateways.eui_claims import MAX_RESERVED, Claim, Grounds, Settled, settle
from stationkeeper_operator.compiling.gateways.gateway_compiler import CompileContext, claimed_eui, compile_gateway
from stationkeeper_operator.compiling.trust.scopes import Scopes
from stationkeeper_operator.resources.records import Gateway, Key, Resource

_Owner = tuple[EUI64, str]


@dataclass
class Bucket:
    """The content of one registry document.

    Attributes:
        candidates: its Gateways.
        kept_reservations: by EUI and namespace; without effect if the namespace has a Gateway in force with that EUI.
        contested: the EUIs that more than one namespace claims.
    """

    candidates: list[Candidate[RegisteredGateway]] = field(default_factory=list)
    kept_reservations: dict[tuple[str, str], ReservedEUI] = field(default_factory=dict)
    contested: set[str] = field(default_factory=set)

    def take_in(self, settled: Settled) -> None:
        """Add a settled claim."""
        if settled.candidate is not None:
            self.candidates.append(settled.candidate)
        if settled.reserved is not None:
            self.kept_reservations[settled.reserved.eui, settled.reserved.namespace] = settled.reserved

    def document(self, number: int, records: Iterable[RegisteredGateway], omission: int) -> RegistryDocument:
        """Return the document with these Gateways.

        Args:
            number: of the bucket.
            records: of the Gateways.
            omission: which reservations to leave out: from 1 on those that wait, from 2 on those of EUIs that no other
                namespace claims, from 3 on all.
        """
        gateways = tuple(sorted(records, key=_order))
        present = {(each.eui, each.namespace) for each in gateways}
        reserved = (
            each
            for owner, each in sorted(self.kept_reservations.items())
            if owner not in present and not self._may_leave_out(each, omission)
        )
        return RegistryDocument(bucket=number, gateways=gateways, reserved=tuple(self._bounded(reserved)))

    def _may_leave_out(self, reserved: ReservedEUI, omission: int) -> bool:
        least = 1 if reserved.waits else 3 if reserved.eui in self.contested else 2
        return omission >= least

    def _bounded(self, reserved: Iterable[ReservedEUI]) -> list[ReservedEUI]:
        """Return the reservations within each namespace's limit: contested EUIs first, then the lowest EUIs."""
        counts: Counter[tuple[str, bool]] = Counter()
        found = []
        for each in sorted(reserved, key=lambda each: (each.eui not in self.contested, each.eui)):
            counts[each.namespace, each.waits] += 1
            if counts[each.namespace, each.waits] <= MAX_RESERVED:
                found.append(each)
        return sorted(found, key=_order)


def edited(
    document: RegistryDocument, euis: Iterable[EUI64], settled: Iterable[Settled]
) -> tuple[RegistryDocument, dict[Key, RegisteredGateway]] | None:
    """Return the document with other claims on some EUIs, as `Bucket.document` makes it of all its candidates.

    Args:
        document: the document with the `desired` record of each candidate, and all reservations.
        euis: the EUIs.
        settled: all claims on these EUIs, as they are now.

    Returns:
        The document, and the records under these EUIs. None if the limit of reservations matters: it depends on all
        EUIs.
    """
    texts, chosen, kept = {format_hex(eui) for eui in euis}, dict[Key, RegisteredGateway](), list[ReservedEUI]()
    for each in settled:
        record = None if each.candidate is None else each.candidate.desired or each.candidate.fallback
        if each.candidate is not None and record is not None:
            chosen[each.candidate.key] = record
        elif each.reserved is not None:
            kept.append(each.reserved)
    gateways = [each for each in document.gateways if each.eui not in texts]
    for record in chosen.values():
        insort(gateways, record, key=_order)
    reserved = sorted((*(each for each in document.reserved if each.eui not in texts), *kept), key=_order)
    if max(len(reserved), len(document.reserved)) >= MAX_RESERVED:
        return None
    return RegistryDocument(bucket=document.bucket, gateways=tuple(gateways), reserved=tuple(reserved)), chosen


def _order(each: RegisteredGateway | ReservedEUI) -> tuple[str, int, str]:
    return (each.eui, each.rank, each.namespace)


def registry_buckets(
    context: CompileContext,
    resources: Iterable[Resource],
    in_force: Mapping[str, Document],
    scopes: tuple[Scopes, Scopes],
) -> Iterator[tuple[int | None, Bucket]]:
    """Yield the candidates by bucket.

    The last item, under None, has those with an unknown EUI, or with the EUI of an older Gateway of their namespace.

    Args:
        context: the input that all Gateways of one compile share.
        resources: all resources except those that are being deleted.
        in_force: the present documents.
        scopes: the scopes of the trust that will be in force, and of the trust in force.
    """
    registries = {each.bucket: each for each in in_force.values() if isinstance(each, RegistryDocument)}
    records = {each.uid: each for number in sorted(registries) for each in registries[number].gateways}
    gateways: dict[int | None, list[Gateway]] = {}
    for each in resources:
        if isinstance(each, Gateway):
            eui = claimed_eui(each, records.get(each.metadata.uid))
            gateways.setdefault(None if eui is None else bucket_of(eui, context.world.buckets), []).append(each)
    without_bucket = Bucket()
    for number in range(context.world.buckets):
        owners = _owners(context, gateways.get(number, ()), records, without_bucket)
        yield number, _settled_bucket(owners, registries.get(number), Grounds(*scopes))
    without_bucket.candidates += [
        compile_gateway(each, records.get(each.metadata.uid), context) for each in gateways.get(None, ())
    ]
    yield None, without_bucket


def _settled_bucket(
    owners: Mapping[_Owner, Candidate[RegisteredGateway]], in_force: RegistryDocument | None, grounds: Grounds
) -> Bucket:
    claims, bucket = _claims(owners, in_force), Bucket()
    for eui, settled in settle_all(claims, in_force, grounds):
        for each in settled.values():
            bucket.take_in(each)
        if len(claims[eui]) > 1:
            bucket.contested.add(format_hex(eui))
    return bucket


def settle_all(
    claims: Mapping[EUI64, Mapping[str, Claim]], in_force: RegistryDocument | None, grounds: Grounds
) -> Iterator[tuple[EUI64, Mapping[str, Settled]]]:
    """Decide who may have each EUI in force; the number of waiting entries of a namespace in a document is limited.

    Args:
        claims: by EUI and namespace: all contested EUIs of a bucket, and others as needed.
        in_force: the present document of that bucket.
        grounds: the grounds for the decisions.
    """
    waiting = Counter(each.namespace for each in (in_force.reserved if in_force else ()) if each.waits)
    for eui in sorted(claims):
        involved = list(claims[eui].values())
        full = frozenset(each.namespace for each in involved if waiting[each.namespace] >= MAX_RESERVED)
        settled = settle(eui, involved, replace(grounds, full=full) if full else grounds)
        for each in settled.values():
            kept = each.reserved
            if kept is not None and kept.waits and claims[eui][kept.namespace].reserved is None:
                waiting[kept.namespace] += 1
        yield eui, settled


def _owners(
    context: CompileContext,
    gateways: Iterable[Gateway],
    records: Mapping[str, RegisteredGateway],
    without_bucket: Bucket,
) -> dict[_Owner, Candidate[RegisteredGateway]]:
    """Return the Gateway that has an EUI in its namespace: the oldest one."""
    owners: dict[_Owner, Candidate[RegisteredGateway]] = {}
    for gateway in sorted(gateways, key=lambda each: precedence(each, records)):
        previous = records.get(gateway.metadata.uid)
        eui = claimed_eui(gateway, previous)
        assert eui is not None  # noqa: S101 - it is why the Gateway belongs into a bucket
        owner = owners.get((eui, gateway.metadata.namespace))
        if owner is not None:
            without_bucket.candidates.append(conflict(gateway, eui, owner.key))
            continue
        owners[eui, gateway.metadata.namespace] = compile_gateway(gateway, previous, context)
    return owners


def _claims(
    owners: Mapping[_Owner, Candidate[RegisteredGateway]], in_force: RegistryDocument | None
) -> dict[EUI64, dict[str, Claim]]:
    registered = {(parsed_eui(each), each.namespace): each for each in (in_force.gateways if in_force else ())}
    reserved = {(parsed_eui(each), each.namespace): each for each in (in_force.reserved if in_force else ())}
    claims: dict[EUI64, dict[str, Claim]] = {}
    for owner in dict.fromkeys((*owners, *registered, *reserved)):
        eui, namespace = owner
        claims.setdefault(eui, {})[namespace] = Claim(
            namespace, owners.get(owner), registered.get(owner), reserved.get(owner)
        )
    return claims


def parsed_eui(record: RegisteredGateway | ReservedEUI) -> EUI64:
    """Return the EUI of a record in force."""
    eui = parse_hex(record.eui)
    assert eui is not None, record.eui  # noqa: S101 - a document with another one is not decoded
    return eui


def precedence(gateway: Gateway, in_force: Container[str]) -> tuple[datetime, bool, Key]:
    """Return a sort key for the Gateways of one namespace that claim one EUI.

    The oldest comes first. Of Gateways created in the same second, the one in force comes first: creation times have no
    finer resolution.

    Args:
        gateway: one of these Gateways.
        in_force: the uids of the Gateways in force.
    """
    return (gateway.metadata.creation_timestamp, gateway.metadata.uid not in in_force, gateway.key)


def conflict(gateway: Gateway, eui: EUI64, owner: Key) -> Candidate[RegisteredGateway]:
    """Return the refused candidate of a Gateway with an EUI that the older Gateway `owner` of its namespace has."""
    detail = f"EUI {format_hex(eui)} belongs to the older Gateway {owner.name} of this namespace; delete one of the two"
    return Candidate(gateway, None, None, StationkeeperError(Reason.EUI_CONFLICT, detail))
