"""One run: an operator that starts anew behind the proxy, users, perturbations, kills, and an end in peace.

Each run finds what the one before left: its resources were deleted while no operator ran.
"""

import time
from collections import Counter
from dataclasses import dataclass, field

from tests.perturbation.operators import wait_for
from tests.perturbation.plan import Plan
from tests.perturbation.stage import Stage

ACTIVE_SECONDS = 2.0
CONVERGE_SECONDS = 150.0
REST_SECONDS = 0.7
RESTS_WITHIN_SECONDS = 60.0
LONG_REST_SECONDS = 20.0
_FIRST_WRITE_SECONDS = 30.0
_LAST_KILL_SECONDS = 2.0
_AWAITED_SECONDS = 60.0
_QUIET_SECONDS = 60.0


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        seed: of the run.
        findings: what did not hold.
        counts: of perturbations and of users' deeds.
        seconds: that it took.
        settled: of these, from the last perturbation until all was as users applied it.
        asked: how often gateways asked.
        writes: of the operator that reached the API server.
    """

    seed: int
    findings: tuple[str, ...]
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    settled: float = 0.0
    asked: int = 0
    writes: int = 0


def run(stage: Stage, plan: Plan, *, until_found: bool = False) -> Outcome:
    """Run a plan on a stage.

    Args:
        stage: where.
        plan: what users do in the run, and what goes wrong.
        until_found: whether the run waits for its first finding, and ends with it.
    """
    began, checks = time.monotonic(), stage.checks
    checks.findings.clear()
    stage.ended.clear()
    checks.asked = 0
    stage.proxy.counts.clear()
    stage.proxy.written.clear()
    stage.again_after = plan.pause
    deeds = Counter[str]()
    stage.proxy.begin(plan)
    stage.operators.start()
    checks.begin()
    try:
        if plan.deeds_wait:
            wait_for(lambda: stage.proxy.writes > 0, _FIRST_WRITE_SECONDS)
        for deed in plan.deeds:
            time.sleep(deed.after)
            stage.users.do(deed)
            stage.remember_lists()
            deeds[f"user: {deed.what}"] += 1
        wait_for(lambda: stage.proxy.writes >= max(plan.kills, default=0), _LAST_KILL_SECONDS)
        wait_for(
            lambda: all(stage.proxy.counts[kind] >= count for kind, count in plan.awaited.items()), _AWAITED_SECONDS
        )
        stage.proxy.end()
        calm = time.monotonic()
        if until_found:
            wait_for(lambda: bool(checks.findings), CONVERGE_SECONDS)
        else:
            for what in checks.settled(CONVERGE_SECONDS):
                checks.found(f"after {CONVERGE_SECONDS:.0f} s in peace: {what}")
        settled = time.monotonic() - calm
    finally:
        checks.end()
    if not until_found:
        _rest(stage)
    for status in stage.ended:
        checks.found(f"the operator ended by itself with status {status}")
    writes = len(stage.proxy.written)
    stage.operators.kill(None)
    stage.users.clear()
    counts = Counter({str(kind): count for kind, count in stage.proxy.counts.items()}) + deeds
    seconds = time.monotonic() - began
    return Outcome(plan.seed, tuple(checks.findings), counts, seconds, settled, checks.asked, writes)


def _rest(stage: Stage) -> None:
    """Soon no document is written any more, and no condition changes.

    A document may still be written when pods already answer as they have to, as where a Gateway is deleted that nobody
    let in. What gateways did just now is still to be shown on Gateways, which takes the operator some seconds: see
    `long_rest`.
    """
    ends = time.monotonic() + RESTS_WITHIN_SECONDS
    while moved := _moved(stage):
        if time.monotonic() > ends:
            for each in moved:
                stage.checks.found(f"in peace for {RESTS_WITHIN_SECONDS:.0f} s: {each}")
            return


def _moved(stage: Stage) -> list[str]:
    """Wait a moment; the documents that were written meanwhile, and the conditions that changed."""
    writes, changes = len(stage.proxy.written), len(stage.statuses.changed)
    time.sleep(REST_SECONDS)
    written = [f"{each.method} {each.path}" for each in stage.proxy.written[writes:] if "/secrets/" in each.path]
    return written + stage.statuses.changed[changes:]


def long_rest(stage: Stage) -> tuple[str, ...]:
    """Start an operator, and hold that once all is told, it writes nothing but its Lease.

    Returns:
        What does not hold.
    """
    stage.operators.start()
    ends = time.monotonic() + _QUIET_SECONDS
    while written := _written(stage, LONG_REST_SECONDS):
        if time.monotonic() > ends:
            return tuple(f"at rest: {each}" for each in sorted(set(written)))
    stage.operators.kill(None)
    return ()


def _written(stage: Stage, seconds: float) -> list[str]:
    stage.proxy.written.clear()
    time.sleep(seconds)
    written = [each for each in stage.proxy.written if not each.path.endswith("/leases/stationkeeper-operator")]
    return [f"{each.method} {each.path}" for each in written]
