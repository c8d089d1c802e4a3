"""Handle another release's operator that writes the same statuses: report it, and write rarely.

Two releases that serve one namespace write different statuses, and each would answer the other's write at once, without
end. The field manager names the release of each write. Each time that the other release wrote last, this one doubles
its pause before the next write. Both write the same text in one condition, so that they agree on that one.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from stationkeeper_operator.reporting.conditions import SERVED_TWICE
from stationkeeper_operator.resources.fact import Fact
from stationkeeper_operator.resources.records import Key, Resource

FIRST_SECONDS, LONGEST_SECONDS = 4.0, 3600.0
SETTLE_SECONDS = 60.0

_MAX_REPORTED = 1000


@dataclass(frozen=True)
class _Contest:
    """The contest for one resource; times are monotonic seconds.

    Attributes:
        releases: the releases that write its status, including this one.
        pause: the pause after a write, or after the first write of the other one.
        overwritten_at: the time of the last seen write of another release.
        not_before: the earliest time for the next write of this one.
        written_at: the time of the last write of this one since it knows of the other.
    """

    releases: frozenset[str]
    pause: float
    overwritten_at: float
    not_before: float
    written_at: float = float("-inf")


class Contention:
    """The contests of one release.

    Args:
        release: the namespace of the release.
        clock: returns monotonic seconds.
    """

    def __init__(self, release: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._release = release
        self._clock = clock
        self._contests: dict[Key, _Contest] = {}
        self._reported: set[tuple[str, frozenset[str]]] = set()

    def note_other_write(self, resource: Resource) -> bool:
        """Take in a status that another writer wrote.

        Returns:
            Whether this shows for the first time that another release serves the namespace too.
        """
        others = set(resource.status.writers) - {self._release}
        if not others:
            return False
        now, before = self._clock(), self._contests.get(resource.key)
        if before is None:
            contest = _Contest(frozenset({self._release, *others}), FIRST_SECONDS, now, now + FIRST_SECONDS)
        else:
            contest = replace(before, releases=before.releases | others, overwritten_at=now)
            if before.written_at > before.overwritten_at:
                pause = min(2 * before.pause, LONGEST_SECONDS)
                contest = replace(contest, pause=pause, not_before=now + pause)
        self._contests[resource.key] = contest
        scope = (resource.key.namespace, contest.releases)
        is_news = scope not in self._reported and len(self._reported) < _MAX_REPORTED
        self._reported.add(scope)
        return is_news

    def seconds_to_wait(self, resource: Resource) -> float:
        """Return the seconds until its status may be written; 0 for a spec without a verdict in the status."""
        contest = self._contests.get(resource.key)
        if contest is None or _is_unjudged(resource):
            return 0.0
        return max(0.0, contest.not_before - self._clock())

    def note_write(self, key: Key) -> float | None:
        """Record that its status was written; return the seconds until its next check, None for no check."""
        contest = self._contests.get(key)
        if contest is None:
            return None
        now = self._clock()
        self._contests[key] = replace(contest, written_at=now, not_before=now + contest.pause)
        return contest.pause + SETTLE_SECONDS

    def fact(self, resource: Resource) -> Fact | None:
        """Return the condition; None if no other release writes this status any more."""
        contest = self._contests.get(resource.key)
        if contest is None:
            return None
        settled_at = contest.written_at + contest.pause + SETTLE_SECONDS
        if contest.overwritten_at < contest.written_at and self._clock() >= settled_at:
            return None
        return Fact("True", SERVED_TWICE, message_of(resource.key.namespace, contest.releases))


def message_of(namespace: str, releases: Collection[str]) -> str:
    """Return the text of the condition, the same for each of the releases."""
    named = ", ".join(sorted(releases))
    return (
        f"the releases in the namespaces {named} all serve {namespace} and overwrite each other's statuses, so "
        "statuses are written seldom; let only one of them serve it: set watchNamespaces"
    )


def _is_unjudged(resource: Resource) -> bool:
    return resource.status.value.get("observedGeneration") != resource.metadata.generation
