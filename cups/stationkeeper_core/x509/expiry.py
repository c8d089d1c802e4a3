"""How near the end of a certificate is, in the stages at which people are told. Pure; time passed in.

The stages go by the lifetime, so that a certificate of 24 hours, which is renewed all the time, is near its end only
where its renewal is late: with a fifth of the lifetime left, and a twentieth, but at most 30 and 7 days.
"""

from datetime import datetime, timedelta
from enum import StrEnum


class Stage(StrEnum):
    """A stage, the gravest first."""

    EXPIRED = "Expired"
    WITHIN_7_DAYS = "ExpiresWithin7Days"
    WITHIN_30_DAYS = "ExpiresWithin30Days"


_STAGES = ((20, timedelta(days=7), Stage.WITHIN_7_DAYS), (5, timedelta(days=30), Stage.WITHIN_30_DAYS))


def stage_of(not_before: datetime | None, not_after: datetime, now: datetime) -> Stage | None:
    """Return how near an end is; None where it is not near.

    Args:
        not_before: when the certificate begins to be valid, aware; None where that is not known, and the bounds in days
            alone count.
        not_after: its end, aware. It is valid up to and with that second.
        now: aware.
    """
    if not_after < now:
        return Stage.EXPIRED
    lifetime = timedelta.max if not_before is None else max(not_after - not_before, timedelta())
    left = not_after - now
    return next((stage for part, most, stage in _STAGES if left <= min(lifetime / part, most)), None)
