"""Run many seeds: `uv run python -m tests.simulation --seeds 1000`."""

import argparse
import os
import sys
import time
from collections import Counter

from tests.simulation.run import Run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    began, counts, steps, virtual = time.perf_counter(), Counter[str](), 0, 0.0
    for seed in range(options.first, options.first + options.seeds):
        outcome = Run(seed).run()
        counts += outcome.counts
        steps += outcome.steps
        virtual += outcome.seconds
        if outcome.failure:
            if options.trace:
                print("\n".join(outcome.trace))
            print(f"seed {seed}: {outcome.failure}")
            return 1
    seconds = time.perf_counter() - began
    for name, count in sorted(counts.items()):
        print(f"{count:8d} {name}")
    print(
        f"{options.seeds} seeds, {options.seeds / seconds:.1f} a second, {steps} steps, {virtual:.0f} virtual seconds"
    )
    return 0


if __name__ == "__main__":
    # The order of sets of texts depends on it, and so would what a seed means.
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
