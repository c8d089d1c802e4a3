"""Recognise reductions of trust, which must act before any other change."""

from collections.abc import Mapping

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui_range import EUIRange, parse_range
from stationkeeper_core.published.documents import (
    Document,
    RegisteredGateway,
    RegistryDocument,
    RevocationList,
    TrustDocument,
    TrustedAuthority,
)
from stationkeeper_core.x509.serial_numbers import unpack_serials
from stationkeeper_operator.compiling.retention.object_differences import differing
from stationkeeper_operator.compiling.served_namespaces import serves_less
from stationkeeper_operator.resources.records import Gateway, Resource, TrustedCA


def reduced_documents(in_force: Mapping[str, Document], planned: Mapping[str, Document]) -> frozenset[str]:
    """Return the names of the planned documents that allow less than those in force; an LNS does not count."""
    return frozenset(name for name, new in planned.items() if name in in_force and _reduces(in_force[name], new))


def resource_reduced(old: Resource, new: Resource) -> bool:
    """Return whether `new`, as written, may allow less than `old`; true in case of doubt.

    A change of a Gateway's LNS does not count. A resource with an unreadable spec keeps what it had. One that is being
    deleted allows nothing, and another uid means that the old resource was deleted.
    """
    if new.metadata.uid != old.metadata.uid or (new.suspended and not old.suspended):
        return True
    if new.metadata.being_deleted and not old.metadata.being_deleted:
        return True
    if isinstance(old, TrustedCA) and isinstance(new, TrustedCA):
        return new.spec is not None and new.spec != old.spec
    if isinstance(old, Gateway) and isinstance(new, Gateway) and old.spec and new.spec:
        return new.spec.client is not None and new.spec.client != old.spec.client
    return False


def record_may_be_reduced(record: RegisteredGateway, resource: Gateway | None) -> bool:
    """Return whether a Gateway, as written, may allow less than its record in force; true in case of doubt.

    It only looks at what is written, so it is much cheaper than a compile.

    Args:
        record: the record in force.
        resource: the Gateway with its uid; None if there is none.
    """
    if resource is None or (resource.suspended and not record.suspended):
        return True
    spec = resource.spec
    if spec is None:
        return False
    client = spec.client
    if client is None:  # Of most Gateways, which are very many: only a token can be taken away.
        return record.eui != spec.eui or bool(record.token_sources)
    sources = {f"{each.secret_key_ref.name}/{each.secret_key_ref.key}" for each in client.tokens or ()}
    return (
        record.eui != spec.eui
        or _narrowed(_short_names(record.trusted_cas), _short_names(client.trusted_cas))
        or _narrowed(record.sha256_fingerprints, client.sha256_fingerprints)
        or not set(record.token_sources) <= sources
    )


def _short_names(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(each.rpartition("/")[2] for each in names)


def common_ranges(in_force: tuple[EUIRange, ...], listed: tuple[EUIRange, ...]) -> tuple[EUIRange, ...]:
    """Return the common ranges, sorted; an empty `in_force` means every EUI, `listed` has at least one range."""
    if not in_force:
        return listed
    pairs = ((one, other) for one in in_force for other in listed)
    return tuple(sorted({max(pair, key=lambda each: each.bits) for pair in pairs if _overlap(*pair)}))


def revokes_more(old: TrustedAuthority, new: TrustedAuthority) -> bool:
    """Return whether `new` revokes something that `old` does not."""
    lists = {each.issuer_key: each for each in old.revocation_lists}
    return (
        not set(new.revoked_serials) <= set(old.revoked_serials)
        or not set(new.revoked_sha256) <= set(old.revoked_sha256)
        or any(_list_revokes_more(lists.get(each.issuer_key), each) for each in new.revocation_lists)
    )


def _list_revokes_more(old: RevocationList | None, new: RevocationList) -> bool:
    old = old or RevocationList(issuer_key=new.issuer_key)
    if old.serials != new.serials and not unpack_serials(new.serials) <= unpack_serials(old.serials):
        return True
    return _refused_after(new) < _refused_after(old)


def _refused_after(each: RevocationList) -> float:
    return each.next_update if each.refuse_overdue and each.next_update is not None else float("inf")


def _reduces(old: Document, new: Document) -> bool:
    if isinstance(old, TrustDocument) and isinstance(new, TrustDocument):
        return old.release_namespace != new.release_namespace or _authorities_reduced(old, new)
    if isinstance(old, RegistryDocument) and isinstance(new, RegistryDocument):
        return _gateways_reduced(old, new)
    return True


def _authorities_reduced(old: TrustDocument, new: TrustDocument) -> bool:
    present = {each.uid: each for each in new.authorities}
    return any(_authority_reduced(each, present.get(each.uid)) for each in old.authorities)


def _authority_reduced(old: TrustedAuthority, new: TrustedAuthority | None) -> bool:
    if new is None or (old.namespace, old.name) != (new.namespace, new.name):
        return True
    return (
        not set(old.anchors) <= set(new.anchors)
        or not set(old.intermediates) <= set(new.intermediates)
        or (old.weak_signatures and not new.weak_signatures)
        or (old.presented_intermediates and not new.presented_intermediates)
        or revokes_more(old, new)
        or (old.eui_ranges != new.eui_ranges and not _covers(new.eui_ranges, old.eui_ranges))
        or (old.serves != new.serves and serves_less(old.serves, new.serves))
    )


def _covers(new: tuple[str, ...], old: tuple[str, ...]) -> bool:
    """Return whether every range of `old` is in one of `new`; false if that is not known."""
    if not new:
        return True
    try:
        wide, narrow = [parse_range(text) for text in new], [parse_range(text) for text in old]
    except StationkeeperError:
        return False
    return bool(narrow) and all(any(each.bits <= one.bits and _overlap(each, one) for each in wide) for one in narrow)


def _gateways_reduced(old: RegistryDocument, new: RegistryDocument) -> bool:
    """Return whether a Gateway allows less, or an EUI is newly reserved against Gateways of other namespaces."""
    before, after = differing(old.gateways, new.gateways)
    present = {each.uid: each for each in after}
    kept = {(each.eui, each.namespace): each.rank for each in old.reserved}
    return any(_gateway_reduced(each, present.get(each.uid)) for each in before) or any(
        kept.get((each.eui, each.namespace), each.rank + 1) > each.rank for each in new.reserved
    )


def _gateway_reduced(old: RegisteredGateway, new: RegisteredGateway | None) -> bool:
    if new is None or (old.eui, old.namespace, old.name) != (new.eui, new.namespace, new.name):
        return True
    return (
        (new.suspended and not old.suspended)
        or new.rank > old.rank
        or _narrowed(old.trusted_cas, new.trusted_cas)
        or _narrowed(old.sha256_fingerprints, new.sha256_fingerprints)
        or not set(old.token_sha256s) <= set(new.token_sha256s)
    )


def _narrowed(old: tuple[str, ...] | None, new: tuple[str, ...] | None) -> bool:
    return new is not None and (old is None or not set(old) <= set(new))


def _overlap(one: EUIRange, other: EUIRange) -> bool:
    wide, narrow = sorted((one, other), key=lambda each: each.bits)
    return narrow.prefix >> (64 - wide.bits) == wide.prefix >> (64 - wide.bits)
