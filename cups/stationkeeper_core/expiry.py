"""How near the end of a certificate is, in the stages at which people are told. Pure; time passed in."""

from datetime import datetime, timedelta
from enum import StrEnum


class Stage(StrEnum):
    """A stage, the gravest first."""

    EXPIRED = "Expired"
    WITHIN_7_DAYS = "ExpiresWithin7Days"
    WITHIN_30_DAYS = "ExpiresWithin30Days"


_DAYS = ((7, Stage.WITHIN_7_DAYS), (30, Stage.WITHIN_30_DAYS))


def stage_of(not_after: datetime, now: datetime) -> Stage | None:
    """How near an end is; None for more than 30 days. A certificate is valid up to and with its last second."""
    if not_after < now:
        return Stage.EXPIRED
    return next((stage for days, stage in _DAYS if not_after - now <= timedelta(days=days)), None)
