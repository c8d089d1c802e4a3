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
        source: the name of the source, for people.
        heard: when it last answered, aware; None for never.
        is_complete: whether all existing objects were read once.
        problem: why it does not answer; empty if it does.
    """

    source: str
    heard: datetime | None = None
    is_complete: bool = False
    problem: str = ""

    def heard_at(self, now: datetime) -> "Freshness":
        """Return a copy, with an answer now."""
        return replace(self, heard=now, problem="")

    def complete(self) -> "Freshness":
        """Return a copy, with all existing objects read."""
        return replace(self, is_complete=True)

    def failed(self, problem: str) -> "Freshness":
        """Return a copy, with the reason why the source does not answer."""
        return replace(self, problem=problem[:_MAX_PROBLEM])

    def is_stale(self, now: datetime) -> bool:
        """Return whether the shown data may be out of date."""
        return self.heard is None or now - self.heard > STALE_AFTER
