"""Decide by the reports of the pods whether they have loaded a published generation. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stationkeeper_core.published.registry_layout import BUCKETS, place_of
from stationkeeper_operator.resources.fact import ENFORCED, Fact
from stationkeeper_operator.rollout.generation_report import LoadRefusal

PENDING = "Pending"
NO_CUPS_POD = "NoCUPSPod"
POD_CANNOT_LOAD = "PodCannotLoad"
POD_UNREACHABLE = "PodUnreachable"

WAITING = Fact("False", PENDING, "not every CUPS pod has loaded it yet")

_MAX_NAMED = 3


@dataclass(frozen=True)
class PodReport:
    """The report of one pod.

    Attributes:
        name: the name of the pod.
        generations: the generations in force by its last answer, by document.
        refused: the refusals of documents that are not in force, by document.
        problem: why it did not answer this time; empty if it did.
        ready: whether it is ready.
        ends: whether it terminates.
        buckets: the number of registry documents that it loads.
        kept: the generations that missing documents had before a restart, by document; it accepts no older ones.
    """

    name: str
    generations: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, LoadRefusal] = field(default_factory=dict)
    problem: str = ""
    ready: bool = True
    ends: bool = False
    buckets: int = BUCKETS
    kept: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A generation that the pods must load.

    Attributes:
        document, generation: the published document and its generation.
        since: the time of the publish in monotonic seconds; None if another operator published it.
    """

    document: str
    generation: int
    since: float | None = None


def count_of(document: str) -> int:
    """Return the count of registry documents that a document belongs to; 0 for the trust document."""
    place = place_of(document)
    return place[0] if place is not None else 0


@dataclass(frozen=True)
class Generations:
    """The generations of a document whose content the operator knows.

    Attributes:
        latest: the latest one.
        gap: the generations between the one that the operator found and the first one that it published; None before
            that. A pod that has one of them got it before a person restored an older Secret.
    """

    latest: int
    gap: range | None = None

    def followed_by(self, generation: int) -> "Generations":
        """Return them after a publish."""
        return Generations(generation, range(self.latest + 1, generation) if self.gap is None else self.gap)


def step_fact(step: Step, known: Generations, pods: Sequence[PodReport], now: float) -> Fact:
    """Return whether the pods have loaded a step.

    Args:
        step: the step.
        known: the known generations of its document.
        pods: the reports of the pods that load the document.
        now: the time in monotonic seconds.
    """
    behind = [pod for pod in pods if _lacks(pod, step, known)]
    if not behind and not any(pod.ready for pod in pods):
        return Fact("Unknown", NO_CUPS_POD, "no CUPS pod is ready")
    if not behind:
        took = "" if step.since is None else f" {now - step.since:.2f} s after it was published"
        return Fact("True", ENFORCED, f"loaded by every ready CUPS pod{took}{_unanswering(pods)}")
    return _why_behind(step, known.latest, behind)


def _why_behind(step: Step, latest: int, behind: Sequence[PodReport]) -> Fact:
    for pod in behind:
        refusal = pod.refused.get(step.document)
        if refusal is not None:
            detail = f"{refusal.reason}: {refusal.detail}"[:500]
            return Fact("False", POD_CANNOT_LOAD, f"pod {pod.name} cannot load {step.document}: {detail}")
    later = next((pod for pod in behind if pod.generations.get(step.document, 0) > latest), None)
    if later is not None:
        # It may have loaded what was written a moment ago. Earlier proofs stay valid: its generation is not older.
        return Fact("Unknown", PENDING, f"pod {later.name} has a later {step.document} than the operator has published")
    for pod in behind:
        if pod.problem:
            return Fact("Unknown", POD_UNREACHABLE, f"pod {pod.name} does not say what it has loaded: {pod.problem}")
    for pod in behind:
        if pod.ends or not pod.ready:
            how = "about to end" if pod.ends else "not ready"
            return Fact("False", PENDING, f"pod {pod.name} ({how}) still has the earlier generation")
    return WAITING


def _unanswering(pods: Sequence[PodReport]) -> str:
    names = [f"pod {pod.name}" for pod in pods if pod.problem and not pod.ready]
    return f"; not ready and without an answer: {', '.join(names[:_MAX_NAMED])}" if names else ""


def _lacks(pod: PodReport, step: Step, known: Generations) -> bool:
    """Return whether the pod has loaded neither `step` nor a later known generation.

    A pod that is not ready and has no documents has not opened the port for gateways. A generation above the latest is
    from another writer or an earlier time, or was written just now.
    """
    loaded = pod.generations.get(step.document, 0)
    if not pod.ready and (pod.problem or not loaded):
        return False
    return loaded < step.generation or loaded > known.latest or loaded in (known.gap or ())
