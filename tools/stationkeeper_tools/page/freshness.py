"""The age of the shown data. Pure: time is passed in."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

STALE_AFTER = timedelta(seconds=90)
"""An API server says at least once a minute that a watch goes on."""

_MAX_PROBLEM = 300


@dataclass(frozen=True)
class Freshness:
    """The freshness of one source.

    Attributes:
        source: what it is, for people.
        heard: when it said something last, aware; None for never.
        is_complete: whether all that there is was read once.
        problem: why it is not heard; empty where it is.
    """

    source: str
    heard: datetime | None = None
    is_complete: bool = False
    problem: str = ""

    def heard_at(self, now: datetime) -> "Freshness":
        """Return the same, heard now."""
        return replace(self, heard=now, problem="")

    def complete(self) -> "Freshness":
        """Return the same, with all read."""
        return replace(self, is_complete=True)

    def failed(self, problem: str) -> "Freshness":
        """Return the same, with the reason why it is not heard."""
        return replace(self, problem=problem[:_MAX_PROBLEM])

    def is_stale(self, now: datetime) -> bool:
        """Return whether the shown data may be out of date."""
        return self.heard is None or now - self.heard > STALE_AFTER
