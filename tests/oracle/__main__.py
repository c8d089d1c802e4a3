"""Compare random decisions of the core with `openssl verify`: `python -m tests.oracle --decisions N --seed S`."""

import argparse
import os
import sys
import time
from multiprocessing import Pool

from tests.oracle.decisions import DECISIONS_A_PKI, Report, compare

_SHOWN = 20


def main() -> None:
    """Run the requested number of comparisons; exit with 1 if one differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("--decisions", type=int, default=20_000, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same decisions")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    pkis = -(-arguments.decisions // DECISIONS_A_PKI)
    begin, total = time.monotonic(), Report()
    with Pool(arguments.processes) as pool:
        for report in pool.imap_unordered(compare, (arguments.seed * 1_000_003 + each for each in range(pkis))):
            total.add(report)
            print(f"{total.decisions} decisions, {len(total.wrong)} wrong", file=sys.stderr, flush=True)
    print(f"{total.decisions} decisions over {pkis} PKIs in {time.monotonic() - begin:.0f} s, seed {arguments.seed}")
    print(", ".join(f"{kind}: {count}" for kind, count in sorted(total.kinds.items())))
    print(f"wrong: {len(total.wrong)}")
    print("\n".join(total.wrong[:_SHOWN]))
    sys.exit(bool(total.wrong))


if __name__ == "__main__":
    main()
