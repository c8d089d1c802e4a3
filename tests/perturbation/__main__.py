"""Disturb the operator with many seeds: `uv run --frozen python -m tests.perturbation --runs 200`.

It prints how often each perturbation and each action of a user happened, and each violation with its seed. The same
seed disturbs the same requests again. Real processes do not always act in the same order, so a violation may need some
tries.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from stationkeeper_tools.programs.binaries import ProgramPlaces, obtain_control_plane
from stationkeeper_tools.progress import Progress
from tests.perturbation.bugs import BUGS
from tests.perturbation.plan import Plan
from tests.perturbation.run import ACTIVE_SECONDS, Outcome, long_rest, run
from tests.perturbation.stage import stage


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--again", type=int, default=1, help="run each seed so often")
    parser.add_argument("--bug", choices=("", *BUGS), default="", help="with this deliberate bug in the operator")
    beyond = "answer a LIST with an older one, which no API server does unless the request allows it"
    parser.add_argument("--beyond-the-api", action="store_true", help=beyond)
    parser.add_argument("--folder", type=Path, help="for logs, which stay there; it must not exist")
    parser.add_argument("--stop", action="store_true", help="stop after the first run with a finding")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    # So that the started processes end too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    binaries = obtain_control_plane(ProgramPlaces.of_this_process(), Progress.to(_say))
    seeds = [seed for seed in range(options.first, options.first + options.runs) for _ in range(options.again)]
    outcomes, at_rest = list[Outcome](), tuple[str, ...]()
    with tempfile.TemporaryDirectory(prefix="stationkeeper-perturbation-") as temporary:
        folder = options.folder or Path(temporary) / "stage"
        with stage(binaries, folder, options.bug) as made:
            made.proxy.breaks_promises = options.beyond_the_api
            began = time.monotonic()
            for seed in seeds:
                outcomes.append(run(made, Plan(seed, ACTIVE_SECONDS)))
                _tell(outcomes[-1])
                if options.stop and outcomes[-1].findings:
                    break
            seconds = time.monotonic() - began
            at_rest = () if options.stop or options.bug else long_rest(made)
    (_print_json if options.json else _print)(outcomes, at_rest, seconds)
    return 1 if at_rest or any(each.findings for each in outcomes) else 0


def _tell(outcome: Outcome) -> None:
    shown = "; ".join(outcome.findings) or "nothing found"
    _say(f"seed {outcome.seed}: {outcome.seconds:.1f} s, settled in {outcome.settled:.1f} s, {shown}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print(outcomes: list[Outcome], at_rest: tuple[str, ...], seconds: float) -> None:
    counts = Counter[str]()
    for each in outcomes:
        counts += each.counts
    for name, count in sorted(counts.items()):
        print(f"{count:8d} {name}")
    settled = sorted(each.settled for each in outcomes)
    print(
        f"{len(outcomes)} runs in {seconds:.0f} s; gateways asked {sum(each.asked for each in outcomes)} times; "
        f"{sum(each.writes for each in outcomes)} writes of the operator; "
        f"settled after {settled[len(settled) // 2]:.1f} s in the median, {settled[-1]:.1f} s at most"
    )
    for each in outcomes:
        for what in each.findings:
            print(f"seed {each.seed}: {what}")
    for what in at_rest:
        print(what)
    print(f"findings: {sum(len(each.findings) for each in outcomes) + len(at_rest)}")


def _print_json(outcomes: list[Outcome], at_rest: tuple[str, ...], seconds: float) -> None:
    counts = Counter[str]()
    for each in outcomes:
        counts += each.counts
    findings = [{"seed": each.seed, "what": what} for each in outcomes for what in each.findings]
    found = {
        "runs": len(outcomes),
        "seconds": round(seconds, 1),
        "counts": dict(sorted(counts.items())),
        "findings": findings,
        "at_rest": list(at_rest),
        "settled_seconds": [round(each.settled, 1) for each in outcomes],
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    sys.exit(main())
