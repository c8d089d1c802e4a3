"""The judgement on one generation of a resource."""

from dataclasses import dataclass

from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.resources.records import Resource


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judgement.

    Attributes:
        uid, generation: the judged resource and generation.
        verdict: the verdict on its spec.
        published: whether the Secret that carries it was written.
    """

    uid: str
    generation: int
    verdict: Verdict
    published: bool

    def is_about(self, resource: Resource) -> bool:
        """Return whether it is about the present generation of a resource."""
        metadata = resource.metadata
        return (self.uid, self.generation) == (metadata.uid, metadata.generation)
