"""Anchors that a TrustedCA keeps for a given time after an update of its source removed them.

The trust document stores when each was replaced, so that another compile or another operator does not restart the time.
Only an update of the same source counts: an edit of the spec, suspension and deletion act at once.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.published.documents import TrustedAuthority
from stationkeeper_core.published.retained_anchor import RetainedAnchor
from stationkeeper_core.timestamps import rfc3339
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.pem import MAX_CERTIFICATES
from stationkeeper_operator.compiling.certificate_rules import certificate_of, show
from stationkeeper_operator.resources.named_references import source_reference
from stationkeeper_operator.resources.specs import CertificatesSource

MAX_RETAIN = timedelta(days=366)

_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


@dataclass(frozen=True)
class Retained:
    """The retained anchors of a source.

    Attributes:
        records: for the trust document, sorted.
        certificates: the anchors.
    """

    records: tuple[RetainedAnchor, ...] = ()
    certificates: tuple[Certificate, ...] = ()

    @property
    def note(self) -> str:
        """A note for the author; empty if nothing is kept."""
        if not self.records:
            return ""
        last = rfc3339(datetime.fromtimestamp(max(each.until for each in self.records), UTC))
        shown = show(self.certificates)
        return (
            f"kept by certificatesFrom.retain after an update of the source removed: {shown}, until {last} at the "
            f"latest"
        )


def source_text(namespace: str, source: CertificatesSource | None) -> str:
    """Return the object and key of a source as a text; empty for none."""
    found = source_reference(namespace, source)
    return "" if found is None else f"{found[0].kind}/{found[0].name}/{found[1]}"


def read_retain(source: CertificatesSource | None) -> timedelta:
    """Return how long replaced anchors are kept; zero if they are not kept.

    Raises:
        StationkeeperError: `InvalidSpec`.
    """
    text = (source.retain if source is not None else None) or ""
    if not text:
        return timedelta()
    found = _DURATION.fullmatch(text)
    retain = int(found[1]) * _UNITS[found[2]] if found else timedelta.max
    if retain > MAX_RETAIN:
        raise StationkeeperError(
            Reason.INVALID_SPEC,
            f"certificatesFrom.retain: {text[:40]!a} is not a time of at most {MAX_RETAIN.days} days; write 48h or 30d",
        )
    return retain


def retained_anchors(
    previous: TrustedAuthority, listed: Iterable[Certificate], retain: timedelta, now: datetime
) -> Retained:
    """Return the anchors in force that their source no longer holds, while their time has not ended.

    Args:
        previous: the record in force, from the same source.
        listed: the present certificates of the source.
        retain: how long each is kept.
        now: the time, aware.
    """
    present = frozenset(listed)
    replaced = {each.sha256: each.replaced for each in previous.retained}
    seconds = int(now.timestamp())
    candidates = [
        (RetainedAnchor(sha256=each.sha256, replaced=since, until=since + int(retain.total_seconds())), each)
        for each in filter(None, map(certificate_of, previous.anchors))
        if each not in present and each.not_after >= now
        for since in (replaced.get(each.sha256, seconds),)
    ]
    kept = sorted(
        (each for each in candidates if each[0].until > seconds), key=lambda each: (-each[0].until, each[0].sha256)
    )
    kept = sorted(kept[: max(MAX_CERTIFICATES - len(present), 0)], key=lambda each: each[0].sha256)
    return Retained(tuple(record for record, _ in kept), tuple(certificate for _, certificate in kept))


def as_before(previous: TrustedAuthority, listed: Iterable[Certificate], now: datetime) -> Retained:
    """Return the anchors that are still retained if `retain` of the spec can no longer be read."""
    present, kept = frozenset(listed), {each.sha256: each for each in still_retained(previous, now)}
    valid = (each for each in map(certificate_of, previous.anchors) if each is not None and each.not_after >= now)
    retained = {each.sha256: each for each in valid if each.sha256 in kept and each not in present}
    return Retained(
        tuple(kept[sha256] for sha256 in sorted(retained)), tuple(retained[sha256] for sha256 in sorted(retained))
    )


def still_retained(previous: TrustedAuthority, now: datetime) -> tuple[RetainedAnchor, ...]:
    """Return the retained anchors of `previous` with time left."""
    return tuple(each for each in previous.retained if each.until > now.timestamp())
