"""When a compile leaves work without urgency for the next one."""

from collections.abc import Callable
from dataclasses import dataclass

AT_LEAST = 1_000
"""The number of Gateways without urgency that are compiled before an interruption counts."""
BESIDE_EVENTS = 100
"""The number of these beside the Gateways of an event: nothing else may delay an event for long."""


@dataclass(frozen=True)
class Pause:
    """When work without urgency is left for the next compile.

    Attributes:
        is_asked: returns whether another change waits.
        events: the number of Gateways of events in this compile; their documents are written after its end.
    """

    is_asked: Callable[[], bool]
    events: int

    def is_due(self, done: int) -> bool:
        """Return whether to stop after so many Gateways."""
        if self.events:
            return done >= BESIDE_EVENTS + self.events
        return done >= AT_LEAST and done % 50 == 0 and self.is_asked()

    @staticmethod
    def is_worth_it(done: int) -> bool:
        """Return whether enough was done for a pause that nobody asks for."""
        return done >= AT_LEAST
