"""The outcome and the parts of a run that faults act on.

A run makes its faults, and faults act on their run. This module is below both, so that they do not import each other.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tests.simulation.api_client import Link
from tests.simulation.api_server import ApiServer, Place
from tests.simulation.coverage import Coverage
from tests.simulation.loop import Process, SimulatedLoop
from tests.simulation.pods import Pods, SimulatedPodClient
from tests.simulation.users import Users


@dataclass
class Outcome:
    """The result of a run.

    Attributes:
        seed: of the run.
        failure: what did not hold; empty if all held.
        trace: what happened, in order.
        counts: of faults and of what users did.
        coverage: which faults were there when something happened.
        seconds: of virtual time.
        steps: of the loop.
        events: how many deeds of users and faults were drawn.
        kinds: all kinds of faults that there are.
    """

    seed: int
    failure: str = ""
    trace: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    coverage: Coverage = field(default_factory=Coverage)
    seconds: float = 0.0
    steps: int = 0
    events: int = 0
    kinds: frozenset[str] = frozenset()


@dataclass(eq=False)
class OperatorReplica:
    """A pod of the operator.

    Attributes:
        identity: in the Lease; of the pod, so that a process that follows another has the same.
        process: the present one; None while none runs.
        link: its way to the API server.
    """

    identity: str
    link: Link
    process: Process | None = None


class Scene(Protocol):
    """The parts of a run.

    Attributes:
        outcome: how it ends.
        loop, server, pods, client, users, operators: its parts.
        buckets: the count of registry documents that the release is configured with.
        loses_events: whether a watch may not have shown something.
    """

    outcome: Outcome
    loop: SimulatedLoop
    server: ApiServer
    pods: Pods
    client: SimulatedPodClient
    users: Users
    operators: list[OperatorReplica]
    buckets: int
    loses_events: bool

    def published_places(self) -> Sequence[Place]:
        """Return the Secrets that may have data of users, first the one of the trust."""

    def kill_operator(self, replica: OperatorReplica) -> None:
        """End the process of an operator's pod, if there is one."""

    def start_operator(self, replica: OperatorReplica) -> None:
        """Start a process of an operator's pod, if there is none."""

    def note(self, what: str) -> None:
        """Write a line of the trace."""

    def is_left_out(self) -> bool:
        """Return whether the next deed or fault is left out, since a failure is being shrunk."""
