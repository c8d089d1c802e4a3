"""The form of times in statuses, events and messages."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """Return `moment` (aware) in the form of RFC 3339, in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
