"""Run many seeds: `uv run python -m tests.simulation --seeds 1000`.

It prints seeds per second, and how often each fault and each deed of a user was drawn. For a seed that fails it prints
what does not hold, and how to replay it; `--trace` prints all that happened, `--shrink` leaves deeds and faults out for
as long as it still fails. `--mutations` shows that each deliberate bug is found.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable

from tests.simulation.mutations import MUTATIONS
from tests.simulation.run import Outcome, Run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--trace", action="store_true", help="print all that happened in a seed that fails")
    parser.add_argument("--always", action="store_true", help="with --trace, in every seed")
    parser.add_argument("--shrink", action="store_true", help="leave out what a failure does not need")
    parser.add_argument("--mutation", choices=MUTATIONS, help="run with this deliberate bug")
    parser.add_argument("--mutations", action="store_true", help="run with each deliberate bug until it is found")
    options = parser.parse_args()
    # A coroutine of a killed process is closed when its run is collected, and cannot tidy up any more.
    sys.unraisablehook = lambda _: None
    seeds = range(options.first, options.first + options.seeds)
    if options.mutations:
        return _find_all(seeds)
    if options.always:
        for seed in seeds:
            print("\n".join(_one(seed, options.mutation).trace))
        return 0
    return _run(seeds, options.mutation, shrink=options.shrink, trace=options.trace)


def _one(seed: int, mutation: str | None, disabled: frozenset[int] = frozenset()) -> Outcome:
    if mutation is None:
        return Run(seed, disabled).run()
    with MUTATIONS[mutation][1]():
        return Run(seed, disabled).run()


def _run(seeds: Iterable[int], mutation: str | None, *, shrink: bool, trace: bool) -> int:
    began, counts, steps, virtual, done = time.perf_counter(), Counter[str](), 0, 0.0, 0
    for seed in seeds:
        outcome = _one(seed, mutation)
        counts += outcome.counts
        steps, virtual, done = steps + outcome.steps, virtual + outcome.seconds, done + 1
        if outcome.failure:
            outcome = _shrunk(outcome, mutation) if shrink else outcome
            if trace:
                print("\n".join(outcome.trace))
            print(
                f"seed {seed}: {outcome.failure}\nreplay: python -m tests.simulation --first {seed} --seeds 1 --trace"
            )
            return 1
    seconds = time.perf_counter() - began
    for name, count in sorted(counts.items()):
        print(f"{count:8d} {name}")
    print(f"{done} seeds, {done / seconds:.1f} a second, {steps} steps, {virtual:.0f} virtual seconds")
    return 0


def _shrunk(failed: Outcome, mutation: str | None) -> Outcome:
    """Return a run that fails with as few deeds and faults as can be, left out one after the other."""
    disabled: frozenset[int] = frozenset()
    for number in range(1, failed.events + 1):
        fewer = _one(failed.seed, mutation, disabled | {number})
        if fewer.failure:
            failed, disabled = fewer, disabled | {number}
    return failed


def _find_all(seeds: Iterable[int]) -> int:
    missed = 0
    for name, (what, _) in MUTATIONS.items():
        for seed in seeds:
            outcome = _one(seed, name)
            if outcome.failure:
                print(f"{name} ({what}): seed {seed}: {outcome.failure}", flush=True)
                break
        else:
            missed += 1
            print(f"{name} ({what}): NOT FOUND", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    # The order of sets of texts depends on it, and so would what a seed means.
    if os.environ.get("PYTHONHASHSEED") != "0":
        command = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | {"PYTHONHASHSEED": "0"})
    sys.exit(main())
