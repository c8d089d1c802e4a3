"""Count which TrustedCAs vouched for gateways lately, registered or not. Pure.

Only existing TrustedCAs and Gateways count (the caller checks that), and at most `MAX_UNREGISTERED` unregistered
gateways per TrustedCA.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from stationkeeper_core.eui64 import format_hex, parse_hex
from stationkeeper_core.published.observation import Observation, clean
from stationkeeper_operator.resources.records import Key, TrustedCA

WINDOW = timedelta(hours=25)
MAX_UNREGISTERED = 50

_IN_ONE_STEP = 5000


class Unregistered(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A gateway with a certificate of the TrustedCA and without a Gateway.

    Attributes:
        eui: 16 upper-case hex digits.
        last_seen: the time, to the second.
        model, station: the gateway's report.
    """

    eui: str
    last_seen: datetime
    model: str = ""
    station: str = ""


class _Listed(msgspec.Struct):
    unregistered: tuple[Unregistered, ...] = ()


@dataclass
class CertificateUsage:
    """The usage in one release: a Basics Station asks once a day, and counts for `WINDOW` after its last request."""

    _used: dict[str, tuple[str, datetime, bool]] = field(default_factory=dict)
    _users: dict[str, set[str]] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _cas: Counter[str] = field(default_factory=Counter)
    _unregistered: dict[str, dict[str, Unregistered]] = field(default_factory=dict)

    def used(self, uid: str, authority: str, at: datetime, *, is_ca: bool = False) -> None:
        """Record that the TrustedCA `authority` (`namespace/name`) vouched for the Gateway `uid`.

        Args:
            uid: the uid of the Gateway.
            authority: the TrustedCA as `namespace/name`.
            at: the time, aware.
            is_ca: whether the gateway's certificate is a CA.
        """
        used = self._used.get(uid)
        if used is None or used[0] != authority:
            self.remove(uid)
            self._users.setdefault(authority, set()).add(uid)
        self._used[uid] = (authority, at, is_ca)

    def remove(self, uid: str) -> None:
        """Record that the Gateway `uid` no longer exists, or was accepted without a certificate."""
        used = self._used.pop(uid, None)
        if used is not None:
            users = self._users[used[0]]
            users.discard(uid)
            if not users:
                del self._users[used[0]]

    def read_status(self, resource: TrustedCA) -> None:
        """Read the unregistered gateways from the status of a TrustedCA."""
        try:
            listed = msgspec.json.decode(resource.status.raw, type=_Listed).unregistered
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return
        for each in listed[:MAX_UNREGISTERED]:
            self._put(_name(resource.key), each)

    def add_unregistered(self, seen: Observation, authority: Key) -> Key | None:
        """Record an EUI that has a certificate but no Gateway.

        Args:
            seen: the observation of a pod.
            authority: the TrustedCA that vouches for the certificate; it exists.

        Returns:
            The TrustedCA if its list has a new entry, else None.
        """
        eui, at = parse_hex(seen.eui), seen.last_seen
        if eui is None or at is None or at.tzinfo is None:
            return None
        entry = Unregistered(
            eui=format_hex(eui),
            last_seen=at.astimezone(UTC).replace(microsecond=0),
            model=clean(seen.model),
            station=clean(seen.station),
        )
        return authority if self._put(_name(authority), entry) else None

    def counting(self, now: datetime) -> Iterator[None]:
        """Count again, and drop uses older than `WINDOW`; in steps; other calls may come between them.

        Args:
            now: the time, aware.

        Yields:
            Between the steps. The caller must take all steps.
        """
        since = now - WINDOW
        counts, cas = Counter[str](), Counter[str]()
        for number, (uid, use) in enumerate(list(self._used.items())):
            authority, at, is_ca = use
            if at >= since:
                counts[authority] += 1
                cas[authority] += is_ca
            elif self._used.get(uid) is use:
                self.remove(uid)
            if number % _IN_ONE_STEP == _IN_ONE_STEP - 1:
                yield
        self._counts, self._cas = counts, cas
        for authority, listed in list(self._unregistered.items()):
            recent = {eui: each for eui, each in listed.items() if each.last_seen >= since}
            self._unregistered[authority] = recent
            if not recent:
                del self._unregistered[authority]

    def gateways(self, key: Key) -> int:
        """Return the number of Gateways that the TrustedCA vouched for, as of the last count."""
        return self._counts[_name(key)]

    def users(self, key: Key) -> Collection[str]:
        """Return the uids of the Gateways that the TrustedCA vouched for within `WINDOW`, as of the last count."""
        return tuple(self._users.get(_name(key), ()))

    def keep_only(self, authorities: Collection[Key]) -> None:
        """Drop the unregistered gateways of TrustedCAs that no longer exist.

        Args:
            authorities: all existing TrustedCAs.
        """
        present = {_name(key) for key in authorities}
        for name in self._unregistered.keys() - present:
            del self._unregistered[name]

    def fields_of(self, key: Key, is_registered: Callable[[str], bool]) -> dict[str, object]:
        """Return the status fields of a TrustedCA.

        Args:
            key: the TrustedCA.
            is_registered: returns whether an EUI now has a Gateway that the TrustedCA may vouch for.
        """
        listed = sorted(self._listed(key, is_registered), key=lambda each: (each.last_seen, each.eui), reverse=True)
        return {
            "gatewaysSeen": self.gateways(key),
            "caCertificatesSeen": self._cas[_name(key)] or None,
            "unregistered": msgspec.to_builtins(listed) or None,
        }

    def _listed(self, key: Key, is_registered: Callable[[str], bool]) -> Iterator[Unregistered]:
        return (each for eui, each in self._unregistered.get(_name(key), {}).items() if not is_registered(eui))

    def _put(self, authority: str, entry: Unregistered) -> bool:
        listed = self._unregistered.setdefault(authority, {})
        known = listed.get(entry.eui)
        if known is not None and known.last_seen > entry.last_seen:
            return False
        listed[entry.eui] = entry
        if len(listed) > MAX_UNREGISTERED:
            oldest = min(listed.values(), key=lambda each: each.last_seen)
            del listed[oldest.eui]
            return known is None and oldest is not entry
        return known is None


def _name(key: Key) -> str:
    return f"{key.namespace}/{key.name}"
