"""Fuzz the certificate reader: `uv run python -m tests.fuzz.certificates --inputs 1000000 --seed 1`.

Each input is a certificate with a few changes. The first one that violates `certificate_oracle` ends the run; it is
printed as hex, with the seed and its number.
"""

import argparse
import sys
import time
import traceback
import warnings
from random import Random

from tests.fuzz.certificate_oracle import check_certificate
from tests.fuzz.certificate_seeds import seeds
from tests.fuzz.der_mutations import mutated

_PROGRESS = 100_000
_KEPT = 2000
_MAX_BYTES = 2000
_SHARE_KEPT = 0.05


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    random = Random(arguments.seed)  # noqa: S311 - reproducible, not secret
    pool = list(seeds())
    first = len(pool)
    begun, read = time.monotonic(), 0
    for number in range(1, arguments.inputs + 1):
        der = mutated(random.choice(pool), random)
        try:
            is_read = check_certificate(der)
        except Exception:
            print(f"seed {arguments.seed}, input {number}: {traceback.format_exc()}\n{der.hex()}")
            return 1
        if is_read:
            read += 1
            # Keep a readable certificate for further changes, so that changes add up.
            if len(der) < _MAX_BYTES and random.random() < _SHARE_KEPT:
                if len(pool) < first + _KEPT:
                    pool.append(der)
                else:
                    pool[random.randrange(first, len(pool))] = der
        if number % _PROGRESS == 0:
            print(f"{number} inputs, {read} read, {time.monotonic() - begun:.0f} s", flush=True)
    print(f"{arguments.inputs} inputs with seed {arguments.seed}, {read} of them read as certificates: no fault")
    return 0


if __name__ == "__main__":
    sys.exit(main())
