"""Moments as statuses, events and messages show them."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """`moment`, which is aware, in UTC and to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
