"""The stages of a certificate's expiry, at which people are warned. Pure; the time is passed in.

The stages depend on the lifetime. So a certificate of 24 hours, which is renewed often, is near its end only if its
renewal is late: with a fifth of the lifetime left, and a twentieth, but at most 30 and 7 days.
"""

from datetime import datetime, timedelta
from enum import StrEnum


class Stage(StrEnum):
    """A stage, the most serious first."""

    EXPIRED = "Expired"
    WITHIN_7_DAYS = "ExpiresWithin7Days"
    WITHIN_30_DAYS = "ExpiresWithin30Days"


_STAGES = ((20, timedelta(days=7), Stage.WITHIN_7_DAYS), (5, timedelta(days=30), Stage.WITHIN_30_DAYS))


def stage_of(not_before: datetime | None, not_after: datetime, now: datetime) -> Stage | None:
    """Return the stage of expiry; None if the end is not near.

    Args:
        not_before: the time from which the certificate is valid, aware; None if it is not known, then only the bounds
            in days count.
        not_after: the last second at which it is valid, aware.
        now: the time, aware.
    """
    if not_after < now:
        return Stage.EXPIRED
    lifetime = timedelta.max if not_before is None else max(not_after - not_before, timedelta())
    left = not_after - now
    return next((stage for part, most, stage in _STAGES if left <= min(lifetime / part, most)), None)


def next_stage_at(not_before: datetime | None, not_after: datetime, now: datetime) -> datetime | None:
    """Return the first moment after `now` at which `stage_of` gives something else; None if there is none.

    Args:
        not_before: as `stage_of` takes it.
        not_after: as `stage_of` takes it.
        now: the time, aware.
    """
    lifetime = timedelta.max if not_before is None else max(not_after - not_before, timedelta())
    begins = [not_after - min(lifetime / part, most) for part, most, _ in _STAGES]
    return min((each for each in (*begins, not_after + datetime.resolution) if each > now), default=None)
