"""Find the TrustedCAs that can vouch for a gateway, and why the others in its scope cannot.

Gateways of one namespace share the result if they have the same `client.trustedCAs` and EUIs between the same two
neighbouring range ends. So the work grows with the number of such groups, not with Gateways times TrustedCAs.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, parse_hex
from stationkeeper_core.eui_range import EUIRange, parse_range
from stationkeeper_core.published.documents import ALL_NAMESPACES, RegisteredGateway, ServedNamespace, TrustedAuthority
from stationkeeper_operator.compiling.candidate import Problems
from stationkeeper_operator.compiling.served_namespaces import read_serves
from stationkeeper_operator.compiling.trust.usability import anchors_problem
from stationkeeper_operator.compiling.verdict import Verdict, Vouching
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.resources.records import TRUSTED_CA, Key, TrustedCA

VOUCHED = "Vouched"
VOUCHED_BY_TOKEN = "VouchedByToken"  # noqa: S105 - a reason, not a token
NOBODY_VOUCHES = "NobodyVouches"

_SHOWN = 3
_MAX_NAME = 128
_EVERY_EUI = ((0, 1 << 64),)

_Intervals = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _VouchingCA:
    """A TrustedCA from the view of a namespace.

    Attributes:
        name: its name in the notation of the namespace.
        problem: why it can vouch for nobody; empty if it can.
        ranges: the EUIs in its `euiRanges`: intervals with start (included) and end (excluded).
        served: the EUIs that it serves in the namespace, in the same form.
    """

    name: str
    problem: str
    ranges: _Intervals = _EVERY_EUI
    served: _Intervals = _EVERY_EUI

    def problem_with(self, eui: EUI64) -> str:
        """Return why it cannot vouch for a gateway with `eui`; empty if it can."""
        if self.problem:
            return self.problem
        if not _holds(self.ranges, eui):
            return "the EUI is outside its euiRanges"
        return "" if _holds(self.served, eui) else "it does not serve this EUI here"


class VouchingCAs:
    """All TrustedCAs, prepared for questions about Gateways.

    Args:
        world: all resources, with those that are being deleted.
        verdicts: on them.
        records: the records in force of the TrustedCAs.
        now: the time, aware.
    """

    def __init__(
        self,
        world: World,
        verdicts: Mapping[Key, Verdict],
        records: Mapping[Key, TrustedAuthority],
        now: datetime,
    ) -> None:
        self._release = world.release_namespace
        self._resources = {key: each for key, each in world.resources.items() if isinstance(each, TrustedCA)}
        self._by_namespace: dict[str, list[Key]] = {}
        for key in sorted(self._resources):
            self._by_namespace.setdefault(key.namespace, []).append(key)
        self._records = records
        self._problems = {
            key: _state(each, verdicts[key], records.get(key), now) for key, each in self._resources.items()
        }
        self._serves = {
            key: _serves(self._resources[key], records.get(key)) for key in self._by_namespace.get(self._release, ())
        }
        self._groups: dict[tuple[str, tuple[str, ...] | None], _Group] = {}

    def is_equivalent_to(self, other: "VouchingCAs") -> bool:
        """Return whether `other` gives the same answer for every Gateway."""
        return self._basis == other._basis

    @property
    def _basis(self) -> tuple[object, ...]:
        """Everything that an answer depends on."""
        ranges = {key: record.eui_ranges for key, record in self._records.items()}
        return (self._release, self._by_namespace, self._problems, self._serves, ranges)

    def of(self, gateway: RegisteredGateway) -> Vouching | None:
        """Return the vouching of a Gateway in force; None if it is suspended."""
        eui = parse_hex(gateway.eui)
        if gateway.suspended or eui is None:
            return None
        which = (gateway.namespace, gateway.trusted_cas)
        group = self._groups.get(which)
        if group is None:
            group = self._groups[which] = _Group(tuple(self._vouching_cas(*which)))
        return group.of(eui, has_tokens=bool(gateway.token_sha256s))

    def _vouching_cas(self, namespace: str, names: tuple[str, ...] | None) -> Iterator[_VouchingCA]:
        if names is None:
            yield from (self._vouching_ca(key, namespace) for key in self._in_scope(namespace))
            return
        for text in names:
            key = Key(TRUSTED_CA, *text.split("/", 1))
            if key.namespace not in {namespace, self._release}:
                yield _VouchingCA(text[:_MAX_NAME], "a TrustedCA of that namespace never speaks for this one")
            elif key not in self._resources or not self._is_visible(key, namespace):
                yield _VouchingCA(_shown(key, namespace), "it does not exist, or does not serve this namespace")
            else:
                yield self._vouching_ca(key, namespace)
        others = [key for key in self._in_scope(namespace) if f"{key.namespace}/{key.name}" not in names][: _SHOWN + 1]
        yield from (_VouchingCA(_shown(key, namespace), "client.trustedCAs does not name it") for key in others)

    def _in_scope(self, namespace: str) -> Iterator[Key]:
        yield from self._by_namespace.get(namespace, ())
        if namespace != self._release:
            yield from (key for key in self._by_namespace.get(self._release, ()) if self._is_visible(key, namespace))

    def _is_visible(self, key: Key, namespace: str) -> bool:
        """Return whether a namespace may know of a TrustedCA: its own, or one of the release's that serves it."""
        return key.namespace == namespace or any(
            each.namespace in {namespace, ALL_NAMESPACES} for each in self._serves.get(key, ())
        )

    def _vouching_ca(self, key: Key, namespace: str) -> _VouchingCA:
        record = self._records.get(key)
        served: _Intervals = _EVERY_EUI
        if key.namespace != namespace:
            entries = (each for each in self._serves[key] if each.namespace in {namespace, ALL_NAMESPACES})
            served = _merged(interval for each in entries for interval in _intervals(each.eui_ranges))
        ranges = _intervals(record.eui_ranges) if record is not None else _EVERY_EUI
        return _VouchingCA(_shown(key, namespace), self._problems[key], ranges, served)


class _Group:
    """A group of Gateways with the same TrustedCAs.

    Args:
        vouching_cas: these TrustedCAs.
    """

    def __init__(self, vouching_cas: tuple[_VouchingCA, ...]) -> None:
        self._vouching_cas = vouching_cas
        ends = {end for each in vouching_cas for interval in (*each.ranges, *each.served) for end in interval}
        self._ends = sorted(ends)
        self._found: dict[tuple[int, bool], Vouching] = {}

    def of(self, eui: EUI64, *, has_tokens: bool) -> Vouching:
        """Return the vouching of a gateway with `eui`; the same for all EUIs between two range ends."""
        which = (bisect_right(self._ends, eui), has_tokens)
        found = self._found.get(which)
        if found is None:
            found = self._found[which] = self._judge(eui, has_tokens=has_tokens)
        return found

    def _judge(self, eui: EUI64, *, has_tokens: bool) -> Vouching:
        judged = [(each.name, each.problem_with(eui)) for each in self._vouching_cas]
        able = [name for name, problem in judged if not problem]
        unable = [f"{name} ({problem})" for name, problem in judged if problem]
        cannot = f"cannot: {_listed(unable)}" if unable else ""
        if able:
            return Vouching(True, VOUCHED, "; ".join(filter(None, (f"by certificate: {_listed(able)}", cannot))))
        nobody = (
            cannot
            or "no TrustedCA is in its scope; create one in this namespace, or add it to serves of one of the release"
        )
        if has_tokens:
            tokens = "by client.tokens, if CUPS has token authentication switched on; by certificate, no TrustedCA"
            return Vouching(True, VOUCHED_BY_TOKEN, f"{tokens}: {nobody}")
        return Vouching(False, NOBODY_VOUCHES, f"no certificate lets this gateway in: {nobody}")


def _state(resource: TrustedCA, verdict: Verdict, record: TrustedAuthority | None, now: datetime) -> str:
    """Return why a TrustedCA can vouch for nobody, in words that any namespace that it serves may read."""
    if resource.metadata.being_deleted:
        return "it is being deleted"
    if resource.suspended:
        return "it is suspended"
    if record is None:
        is_expired = verdict.reason == Reason.ANCHOR_EXPIRED
        return "all of its anchors have expired" if is_expired else f"it is refused: {verdict.reason}"
    return anchors_problem(record, now)


def _serves(resource: TrustedCA, record: TrustedAuthority | None) -> tuple[ServedNamespace, ...]:
    """Return the namespaces that it serves; if nothing of it is in force, those of its spec."""
    if record is not None:
        return record.serves
    listed = resource.spec.serves if resource.spec is not None else None
    return Problems().attempt(lambda: read_serves(listed, is_release=True)) or ()


def _intervals(ranges: tuple[str, ...]) -> _Intervals:
    if not ranges:
        return _EVERY_EUI
    try:
        return _merged(_interval(parse_range(text)) for text in ranges)
    except StationkeeperError:
        return ()  # unreadable ranges of a document contain no EUI


def _interval(each: EUIRange) -> tuple[int, int]:
    return each.prefix, each.prefix + (1 << (64 - each.bits))


def _merged(intervals: Iterable[tuple[int, int]]) -> _Intervals:
    """Return the same numbers in sorted intervals that do not touch."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(intervals):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return tuple(found)


def _holds(intervals: _Intervals, eui: int) -> bool:
    place = bisect_right(intervals, (eui, 1 << 64)) - 1
    return place >= 0 and eui < intervals[place][1]


def _shown(key: Key, namespace: str) -> str:
    return key.name if key.namespace == namespace else f"{key.namespace}/{key.name}"


def _listed(texts: list[str]) -> str:
    """Return the first few texts. The number of the others is left out, so that one more of them changes no status."""
    return ", ".join(texts[:_SHOWN]) + (" and others" if len(texts) > _SHOWN else "")
