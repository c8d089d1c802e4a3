"""Measure on a cluster how long a change takes: normally, after an outage, and after a crash."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.cluster.clusters import Cluster
from tests.cluster.trial import NAMESPACE, REFUSED, Trial

OUTAGE_SECONDS = 30.0
OPERATOR = "deployment/stationkeeper-operator"


@dataclass(frozen=True)
class Goal:
    """The maximum seconds of a change.

    Attributes:
        median: of all rounds.
        longest: of each.
    """

    median: float
    longest: float

    def is_met(self, took: Sequence[float]) -> bool:
        """Return whether the measured times meet the goal."""
        return statistics.median(took) <= self.median and max(took) <= self.longest


AFTER_AN_OUTAGE = Goal(5.0, 10.0)
AFTER_A_CRASH = Goal(3.0, 5.0)


class Figures:
    """The figures of one cluster; each is printed when it is known.

    Args:
        trial: with the chart installed.
        cluster: that it is installed on.
        rounds: how often each is measured.
        say: called with each figure.

    Attributes:
        missed: the figures that miss their goal.
    """

    def __init__(self, trial: Trial, cluster: Cluster, rounds: int, say: Callable[[str], None]) -> None:
        self._trial = trial
        self._cluster = cluster
        self._rounds = rounds
        self._say = say
        self.missed: list[str] = []

    def removals(self, source: str) -> None:
        """Measure the time from the deletion of a CA until every pod refuses its gateway."""
        self._trial.use_source(source)
        self._measure(f"a removal, cups.source={source}", self._removal)

    def outages(self) -> None:
        """Measure the same after an outage of the API server."""
        self._measure(f"a removal after {OUTAGE_SECONDS:g} s without an API server", self._outage, AFTER_AN_OUTAGE)

    def crashes(self, operators: int) -> None:
        """Measure, from SIGKILL of the leader, the time until every pod refuses the gateway of a CA deleted then."""
        self._trial.run(f"kubectl --namespace {NAMESPACE} scale {OPERATOR} --replicas={operators}")
        what = (
            f"a removal, from a crash of the {'one operator' if operators == 1 else f'first of {operators} operators'}"
        )
        self._measure(what, self._crash, AFTER_A_CRASH)

    def _measure(self, what: str, once: Callable[[], float], goal: Goal | None = None) -> None:
        took = []
        for _ in range(self._rounds):
            took.append(once())
            self._say(f"  {took[-1]:.2f} s")
        seconds = f"median {statistics.median(took):.2f} s, longest {max(took):.2f} s of {len(took)}"
        self._say(f"{what}: {seconds} (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)")
        if goal and not goal.is_met(took):
            self.missed.append(f"{what}: {seconds}; the goal is {goal.median:g} s, and {goal.longest:g} s at most")

    def _removal(self) -> float:
        self._trial.trust()
        with self._trial.asking() as expect:
            self._trial.distrust()
            began = time.monotonic()
            expect(REFUSED)
            return time.monotonic() - began

    def _outage(self) -> float:
        self._trial.trust()
        self._cluster.stop_api()
        time.sleep(OUTAGE_SECONDS)
        self._cluster.start_api()
        self._trial.until("the API server is back", lambda: self._trial.succeeds("kubectl get --raw /readyz"))
        # The forwarded ports ended with the API server. Opening new ones first would give the operator time.
        self._trial.distrust()
        began = time.monotonic()
        self._trial.expect(REFUSED)
        return time.monotonic() - began

    def _crash(self) -> float:
        # New pods, since a kubelet waits longer before it starts a container that crashed a short time ago.
        self._trial.run(f"kubectl --namespace {NAMESPACE} rollout restart {OPERATOR}")
        self._trial.run(f"kubectl --namespace {NAMESPACE} rollout status {OPERATOR} --timeout=180s")
        self._trial.trust()
        lease = f"kubectl --namespace {NAMESPACE} get lease stationkeeper-operator --output"
        leader = self._trial.run(f"{lease} 'jsonpath={{.spec.holderIdentity}}'").partition("_")[0]
        with self._trial.asking() as expect:
            began = time.monotonic()
            self._cluster.kill(leader, "stationkeeper-operator")
            self._trial.distrust()
            expect(REFUSED)
            return time.monotonic() - began
