"""Times and spans in words. Pure."""

from datetime import datetime, timedelta

from stationkeeper_core.timestamps import rfc3339

_UNITS = (
    (timedelta(days=730), timedelta(days=365.25), "years"),
    (timedelta(days=3), timedelta(days=1), "days"),
    (timedelta(hours=3), timedelta(hours=1), "h"),
    (timedelta(minutes=2), timedelta(minutes=1), "min"),
)


def span(length: timedelta) -> str:
    """Return a duration in one unit, rounded down."""
    length = abs(length)
    for least, unit, name in _UNITS:
        if length >= least:
            return f"{length // unit} {name}"
    return f"{length // timedelta(seconds=1)} s"


def relative(moment: datetime, now: datetime) -> str:
    """Return how long ago a moment was, or how far in the future it is; both aware."""
    return f"in {span(moment - now)}" if moment > now else f"{span(now - moment)} ago"


def date(moment: datetime) -> str:
    """Return the day of an aware moment, in UTC."""
    return rfc3339(moment).partition("T")[0]
