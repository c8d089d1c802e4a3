"""Merge the facts about a resource into its status.

The facts are values of other rooms: the verdict on the spec, the proof that CUPS pods have it in force, what the pods
saw, and whether another release writes the same status. They are merged when a status is compared or written.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from stationkeeper_operator.reporting.conditions import status_of
from stationkeeper_operator.reporting.contention import Contention
from stationkeeper_operator.reporting.judgement import Judgement
from stationkeeper_operator.resources.records import Resource
from stationkeeper_operator.rollout.rollout_tracker import RolloutTracker


class StatusMerge:
    """The facts about the resources of one release.

    Args:
        release: the namespace of the release.
        now: returns the time, aware.
        rollout: the proofs and the visits; None: a status has no condition `Enforced` and no visits.

    Attributes:
        contention: the other releases that write the same statuses.
    """

    def __init__(self, release: str, now: Callable[[], datetime], rollout: RolloutTracker | None = None) -> None:
        self.contention = Contention(release)
        self._now = now
        self._rollout = rollout

    def desired(self, resource: Resource, judgement: Judgement) -> Mapping[str, object]:
        """Return the status that a resource should have now."""
        verdict, rollout = judgement.verdict, self._rollout
        enforced = rollout.enforced(resource, verdict) if rollout is not None else None
        fields = rollout.fields(resource) if rollout is not None else {}
        contested = self.contention.fact(resource)
        return status_of(resource, verdict, judgement.published, "", self._now(), enforced, fields, contested)

    def note_write(self, after: Resource) -> float | None:
        """Record that a status was written.

        Args:
            after: the resource with the written status.

        Returns:
            The seconds after which to compare the status again; None if no other release writes it.
        """
        if self._rollout is not None:
            self._rollout.written(after)
        return self.contention.note_write(after.key)
