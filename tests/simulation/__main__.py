"""Run many seeds: `uv run python -m tests.simulation --seeds 1000`.

It prints seeds per second, how often each fault and each action of a user happened, and a table: how often an event
happened during a fault. For a seed that fails it prints the violation, and how to replay it. `--shrink` leaves out
actions and faults while it still fails; `--trace` prints all its events. `--mutations` shows which seed finds each
deliberate bug.
"""

import argparse
import gc
import multiprocessing
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial

from tests.simulation.coverage import Coverage
from tests.simulation.mutations import MUTATIONS
from tests.simulation.run import Run
from tests.simulation.scene import Outcome
from tests.simulation.shrink import shrunk

_CHUNK = 4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--trace", action="store_true", help="print all that happened in a seed that fails")
    parser.add_argument("--always", action="store_true", help="with --trace, in every seed")
    parser.add_argument("--shrink", action="store_true", help="leave out what a failure does not need")
    parser.add_argument("--without", type=_numbers, default=frozenset(), help="deeds and faults to leave out: 1,2,3")
    parser.add_argument("--all", action="store_true", help="go on after a seed that fails")
    parser.add_argument("--mutation", choices=MUTATIONS, help="run with this deliberate bug")
    parser.add_argument("--mutations", action="store_true", help="run with each deliberate bug until it is found")
    options = parser.parse_args()
    # A coroutine of a killed process is closed when its run is collected, and cannot tidy up any more.
    sys.unraisablehook = lambda _: None
    warnings.simplefilter("ignore", RuntimeWarning)
    # Exclude the loaded modules from the garbage collection after each run.
    gc.collect()
    gc.freeze()
    seeds = range(options.first, options.first + options.seeds)
    if options.mutations:
        return _find_all(seeds, options.processes)
    if options.always:
        for seed in seeds:
            print("\n".join(one(seed, options.mutation, options.without).trace))
        return 0
    return _run(seeds, options)


def _numbers(text: str) -> frozenset[int]:
    return frozenset(map(int, text.split(",")))


def one(seed: int, mutation: str | None = None, left_out: frozenset[int] = frozenset()) -> Outcome:
    """Run a seed, with the named deliberate bug if there is one."""
    if mutation is None:
        return Run(seed, left_out).run()
    with MUTATIONS[mutation][1]():
        return Run(seed, left_out).run()


def _outcomes(
    seeds: Iterable[int], mutation: str | None, left_out: frozenset[int], processes: int
) -> Iterator[Outcome]:
    run = partial(one, mutation=mutation, left_out=left_out)
    if processes < 2:
        yield from map(run, seeds)
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap(run, seeds, _CHUNK)


def _run(seeds: Iterable[int], options: argparse.Namespace) -> int:
    began, counts, coverage, kinds = time.perf_counter(), Counter[str](), Coverage(), frozenset[str]()
    steps, virtual, done, failed = 0, 0.0, 0, 0
    for outcome in _outcomes(seeds, options.mutation, options.without, options.processes):
        counts.update(outcome.counts)
        coverage.met.update(outcome.coverage.met)
        kinds |= outcome.kinds
        steps, virtual, done = steps + outcome.steps, virtual + outcome.seconds, done + 1
        if outcome.failure:
            failed += 1
            _tell(outcome, options)
            if not options.all:
                return 1
    seconds = time.perf_counter() - began
    for name, count in sorted(counts.items()):
        print(f"{count:8d} {name}")
    print(f"\n{coverage.table(kinds)}\n")
    print(f"{done} seeds, {done / seconds:.1f} a second, {steps} steps, {virtual:.0f} virtual seconds, {failed} failed")
    return 1 if failed else 0


def _tell(outcome: Outcome, options: argparse.Namespace) -> None:
    left_out = options.without
    if options.shrink:
        outcome, left_out = shrunk(outcome, partial(one, outcome.seed, options.mutation), left_out)
    if options.trace:
        print("\n".join(outcome.trace))
    without = f" --without {','.join(map(str, sorted(left_out)))}" if left_out else ""
    bug = f" --mutation {options.mutation}" if options.mutation else ""
    replay = f"python -m tests.simulation --first {outcome.seed} --seeds 1 --trace{bug}{without}"
    print(f"seed {outcome.seed}: {outcome.failure}\nreplay: {replay}", flush=True)


def _find_all(seeds: Iterable[int], processes: int) -> int:
    missed = 0
    for name, (what, _) in MUTATIONS.items():
        found = next((each for each in _outcomes(seeds, name, frozenset(), processes) if each.failure), None)
        missed += found is None
        said = f"seed {found.seed}: {found.failure[:200]}" if found else "NOT FOUND"
        print(f"{name} ({what}): {said}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    # The order of sets of texts depends on it, and so would what a seed means.
    if os.environ.get("PYTHONHASHSEED") != "0":
        command = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | {"PYTHONHASHSEED": "0"})
    sys.exit(main())
