"""What to do where another release's operator writes the same statuses: say so, and write seldom.

Two releases that serve one namespace each write what they know, which differs, and each would answer the other's write
at once, for ever. The field manager names the release of each write. Each time that the other one wrote last, this one
waits twice as long before it writes again. Both say the same in one condition, so that they agree at least on that.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from stationkeeper_operator.reporting.conditions import SERVED_TWICE, Fact
from stationkeeper_operator.resources.records import Key, Resource

FIRST_SECONDS, LONGEST_SECONDS = 4.0, 3600.0
SETTLE_SECONDS = 60.0

_MAX_TOLD = 1000


@dataclass(frozen=True)
class _Contest:
    """What is known of one resource; times are monotonic, in seconds.

    Attributes:
        releases: those that write its status, this one among them.
        pause: how long to wait after a write, or after the other's first one.
        overwritten_at: when another one was seen to have written last.
        not_before: when this one may write again.
        written_at: when this one wrote last since it knows of the other.
    """

    releases: frozenset[str]
    pause: float
    overwritten_at: float
    not_before: float
    written_at: float = float("-inf")


class Contention:
    """Of one release.

    Args:
        release: its namespace.
        clock: monotonic, in seconds.
    """

    def __init__(self, release: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._release = release
        self._clock = clock
        self._contests: dict[Key, _Contest] = {}
        self._told: set[tuple[str, frozenset[str]]] = set()

    def notice(self, resource: Resource) -> bool:
        """Take in a status that somebody else wrote.

        Returns:
            Whether it is news that another release serves that namespace too.
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
        is_news = scope not in self._told and len(self._told) < _MAX_TOLD
        self._told.add(scope)
        return is_news

    def wait(self, resource: Resource) -> float:
        """Return in how many seconds its status may be written; a spec that nobody has judged does not wait."""
        contest = self._contests.get(resource.key)
        if contest is None or _is_unjudged(resource):
            return 0.0
        return max(0.0, contest.not_before - self._clock())

    def wrote(self, key: Key) -> float | None:
        """Take in that its status was written; in how many seconds to look if that stayed so, None for never."""
        contest = self._contests.get(key)
        if contest is None:
            return None
        now = self._clock()
        self._contests[key] = replace(contest, written_at=now, not_before=now + contest.pause)
        return contest.pause + SETTLE_SECONDS

    def fact(self, resource: Resource) -> Fact | None:
        """Return what the condition says; None where no other release writes this status any more."""
        contest = self._contests.get(resource.key)
        if contest is None:
            return None
        settled_at = contest.written_at + contest.pause + SETTLE_SECONDS
        if contest.overwritten_at < contest.written_at and self._clock() >= settled_at:
            return None
        return Fact("True", SERVED_TWICE, message_of(resource.key.namespace, contest.releases))


def message_of(namespace: str, releases: Collection[str]) -> str:
    """Return the same text for each of the releases."""
    named = ", ".join(sorted(releases))
    return (
        f"the releases in the namespaces {named} all serve {namespace} and overwrite each other's statuses, which are "
        "written seldom therefore; have one of them serve it, by watchNamespaces"
    )


def _is_unjudged(resource: Resource) -> bool:
    return resource.status.value.get("observedGeneration") != resource.metadata.generation
