"""One run: an operator that starts behind the proxy, users, perturbations, kills, and a quiet end.

The resources of an earlier run were deleted while no operator ran; a run begins with what that left.
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
    """The result of a run.

    Attributes:
        seed: of the run.
        findings: the violations.
        counts: of perturbations and of users' actions.
        seconds: the time of the run.
        settled: of these, from the last perturbation until everything was as users applied it.
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
        stage: the stage.
        plan: the actions of users and the perturbations.
        until_found: whether the run waits for its first violation, and ends with it.
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
    """Check that soon no document is written any more, and no condition changes.

    A document may still be written after the pods already answer correctly, for example after a Gateway is deleted that
    nothing let in. The visits of gateways are shown on Gateways some seconds later: see `long_rest`.
    """
    ends = time.monotonic() + RESTS_WITHIN_SECONDS
    while moved := _moved(stage):
        if time.monotonic() > ends:
            for each in moved:
                stage.checks.found(f"in peace for {RESTS_WITHIN_SECONDS:.0f} s: {each}")
            return


def _moved(stage: Stage) -> list[str]:
    """Wait a moment; return the documents that were written meanwhile, and the conditions that changed."""
    writes, changes = len(stage.proxy.written), len(stage.statuses.changed)
    time.sleep(REST_SECONDS)
    written = [f"{each.method} {each.path}" for each in stage.proxy.written[writes:] if "/secrets/" in each.path]
    return written + stage.statuses.changed[changes:]


def long_rest(stage: Stage) -> tuple[str, ...]:
    """Start an operator, and check that after everything is reported, it writes only its Lease.

    Returns:
        The violations.
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
