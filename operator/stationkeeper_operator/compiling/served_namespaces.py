"""The namespaces that a TrustedCA of the release's namespace serves: from a spec, and in common with another one."""

import re
from collections.abc import Iterable
from functools import lru_cache

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.eui_range import EUIRange, parse_range
from stationkeeper_core.published.documents import ALL_NAMESPACES, ServedNamespace
from stationkeeper_operator.resources.specs import Served

MAX_SERVED = 256
"""Entries of `serves`."""
MAX_SERVED_RANGES = 1_024
"""The maximum number of EUI ranges in all entries together."""

_EVERYTHING = EUIRange(0, 0)
_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


def read_serves(listed: tuple[Served, ...] | None, *, is_release: bool) -> tuple[ServedNamespace, ...]:
    """Return the served namespaces of a spec; none means only its own namespace.

    Args:
        listed: the entries of the spec.
        is_release: whether the TrustedCA is in the release's namespace; only then it may serve others.

    Raises:
        StationkeeperError: `InvalidSpec`, `EUIRangeInvalid`.
    """
    if not listed:
        return ()
    if not is_release:
        raise StationkeeperError(
            Reason.INVALID_SPEC,
            "serves: only a TrustedCA of the release's namespace may speak for other namespaces; remove serves",
        )
    count = sum(len(entry.eui_ranges or ()) for entry in listed)
    if len(listed) > MAX_SERVED or count > MAX_SERVED_RANGES:
        raise StationkeeperError(
            Reason.INVALID_SPEC,
            f"serves has {len(listed)} entries with {count} EUI ranges, at most {MAX_SERVED} with {MAX_SERVED_RANGES}"
            " are possible",
        )
    served: dict[str, ServedNamespace] = {}
    for entry in listed:
        if entry.namespace != ALL_NAMESPACES and not _NAMESPACE.fullmatch(entry.namespace):
            detail = f'serves: {entry.namespace[:64]!a} is neither the name of a namespace nor "*"'
            raise StationkeeperError(Reason.INVALID_SPEC, detail)
        if entry.namespace in served:
            raise StationkeeperError(Reason.INVALID_SPEC, f"serves names {entry.namespace[:64]!a} twice")
        if entry.eui_ranges is not None and not entry.eui_ranges:
            detail = f"serves: euiRanges of {entry.namespace!a} is empty; leave it out to serve every EUI"
            raise StationkeeperError(Reason.INVALID_SPEC, detail)
        served[entry.namespace] = _served(entry.namespace, map(parse_range, entry.eui_ranges or ()))
    return tuple(served[namespace] for namespace in sorted(served))


def serves(listed: tuple[ServedNamespace, ...], namespace: str, eui: EUI64) -> bool:
    """Return whether a TrustedCA of the release's namespace serves the Gateways with `eui` of another namespace."""
    entries = (each for each in listed if each.namespace in {namespace, ALL_NAMESPACES})
    return any(eui in each for entry in entries for each in _ranges(entry))


def common_serves(
    in_force: tuple[ServedNamespace, ...], listed: tuple[ServedNamespace, ...]
) -> tuple[ServedNamespace, ...]:
    """Return the namespaces and EUIs that both serve, sorted by namespace."""
    common: dict[str, set[EUIRange]] = {}
    for one in in_force:
        for other in listed:
            if ALL_NAMESPACES not in {one.namespace, other.namespace} and one.namespace != other.namespace:
                continue
            namespace = other.namespace if one.namespace == ALL_NAMESPACES else one.namespace
            ranges = _common(_ranges(one), _ranges(other))
            if ranges:
                common.setdefault(namespace, set()).update(ranges)
    return tuple(_served(namespace, _outermost(common[namespace])) for namespace in sorted(common))


def serves_less(old: tuple[ServedNamespace, ...], new: tuple[ServedNamespace, ...]) -> bool:
    """Return whether `new` may serve less than `old`."""
    return any(not any(_covers(other, one.namespace, each) for other in new) for one in old for each in _ranges(one))


def _covers(wide: ServedNamespace, namespace: str, inner: EUIRange) -> bool:
    return wide.namespace in {ALL_NAMESPACES, namespace} and any(_holds(outer, inner) for outer in _ranges(wide))


@lru_cache(maxsize=4096)
def _ranges(served: ServedNamespace) -> tuple[EUIRange, ...]:
    """Return its ranges; none if a range cannot be read, which then serves nobody."""
    if not served.eui_ranges:
        return (_EVERYTHING,)
    try:
        return tuple(parse_range(text) for text in served.eui_ranges)
    except StationkeeperError:
        return ()


def _common(one: tuple[EUIRange, ...], other: tuple[EUIRange, ...]) -> set[EUIRange]:
    """Return the common ranges: of two ranges with a common EUI, one contains the other."""
    inner = {each for each in one if any(_holds(outer, each) for outer in other)}
    return inner | {each for each in other if any(_holds(outer, each) for outer in one)}


def _outermost(ranges: Iterable[EUIRange]) -> list[EUIRange]:
    """Return `ranges` without those inside another one."""
    kept: list[EUIRange] = []
    for each in sorted(ranges):
        if not kept or not _holds(kept[-1], each):
            kept.append(each)
    return kept


def _holds(outer: EUIRange, inner: EUIRange) -> bool:
    return outer.bits <= inner.bits and (inner.prefix ^ outer.prefix) >> (64 - outer.bits) == 0


def _served(namespace: str, ranges: Iterable[EUIRange]) -> ServedNamespace:
    found = sorted(set(ranges))
    return ServedNamespace(
        namespace=namespace, eui_ranges=() if _EVERYTHING in found else tuple(str(each) for each in found)
    )
