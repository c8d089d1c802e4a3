"""Compare the incremental compile with a full compile from time to time, in small slices.

The full compile is the specification. If the two differ, the stored state is dropped and the next turn compiles
everything, so the full result wins.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import NoReturn

from prometheus_client import Counter

from stationkeeper_core.published.documents import digest
from stationkeeper_operator.compiling.compile import PlanPart, plan_parts
from stationkeeper_operator.compiling.incremental.turn_compiler import Compiled
from stationkeeper_operator.resources.records import Key

CHECK_SECONDS = 300.0

_SHOWN = 5
_log = logging.getLogger("stationkeeper.operator.plan_check")


class PlanCheck:
    """The check of one operator.

    Args:
        differences: counts differences by their kind.
        on_difference: called after a difference.
        every: the seconds from one check to the next.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        differences: Counter,
        on_difference: Callable[[], None],
        every: float = CHECK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._differences = differences
        self._on_difference = on_difference
        self._every = every
        self._clock = clock
        self._began_at = clock()
        self._next: Compiled | None = None
        self._work = asyncio.Event()

    @property
    def is_due(self) -> bool:
        """Whether it is time for another check, and no check is under way."""
        return self._next is None and self._clock() - self._began_at >= self._every

    def begin(self, compiled: Compiled) -> None:
        """Start the check of `compiled`."""
        self._began_at = self._clock()
        self._next = compiled
        self._work.set()

    async def run(self) -> NoReturn:
        """Check until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            checked = self._next
            if checked is not None:
                await self._check(checked)

    async def _check(self, checked: Compiled) -> None:
        differences: list[str] = []
        unseen = await asyncio.to_thread(set, checked.verdicts)
        parts = plan_parts(checked.world, checked.in_force, checked.now)
        while (part := await asyncio.to_thread(next, parts, None)) is not None:
            differences += await asyncio.to_thread(self._compare, part, checked, unseen)
        self._next = None
        self._differences.labels("Verdict").inc(len(unseen))
        differences += ["/".join(key) for key in unseen]
        if differences:
            fields = {"count": len(differences), "first": ", ".join(sorted(differences)[:_SHOWN])}
            _log.error("the incremental compile differs from a full compile", extra={"fields": fields})
            self._on_difference()

    def _compare(self, part: PlanPart, checked: Compiled, unseen: set[Key]) -> list[str]:
        """Return the names of the differences, and remove the resources of the part from `unseen`."""
        differences: list[str] = []
        unseen.difference_update(part.verdicts)
        if part.document is not None and checked.digests.get(part.name) != digest(part.payload):
            self._differences.labels("Document").inc()
            differences.append(part.name)
        differing = [key for key, verdict in part.verdicts.items() if checked.verdicts.get(key) != verdict]
        self._differences.labels("Verdict").inc(len(differing))
        return [*differences, *("/".join(key) for key in differing)]
