"""When a compile leaves work without urgency for the next one."""

from collections.abc import Callable
from dataclasses import dataclass

LEAST_BEFORE_PAUSE = 1_000
"""The number of Gateways without urgency to compile before a compile may stop for a waiting change."""
MOST_WITH_EVENTS = 100
"""The maximum of such Gateways in a compile that also has Gateways of events: these must not wait long."""


@dataclass(frozen=True)
class Pause:
    """When work without urgency is left for the next compile.

    Attributes:
        change_waits: returns whether another change waits.
        events: the number of Gateways of events in this compile; their documents are written after its end.
    """

    change_waits: Callable[[], bool]
    events: int

    def is_due(self, done: int) -> bool:
        """Return whether to stop now, after `done` Gateways."""
        if self.events:
            return done >= MOST_WITH_EVENTS + self.events
        return done >= LEAST_BEFORE_PAUSE and done % 50 == 0 and self.change_waits()

    @staticmethod
    def has_done_enough(done: int) -> bool:
        """Return whether enough was done to stop even though no change waits."""
        return done >= LEAST_BEFORE_PAUSE
