"""Print how much of each package the tests ran, by lines and branches, and fail below the goals.

    python -m tests.coverage build/coverage/data      after `coverage run -m pytest` and `coverage combine`

`make coverage` does all three steps. `pyproject.toml` (`tool.coverage.report`) lists the excluded lines, with reasons.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverage import Coverage

GOALS = {
    "stationkeeper_core": 100.0,
    "stationkeeper_cups": 95.0,
    "stationkeeper_operator": 95.0,
    "stationkeeper_tools": 95.0,
}


@dataclass(frozen=True)
class Covered:
    """The coverage of a package.

    Attributes:
        package: its name.
        possible: the number of lines and branches.
        run: how many of these were run.
        missing: the others, by file, as `12, 30-41, 50->53`: lines, and branches that were not taken.
    """

    package: str
    possible: int
    run: int
    missing: dict[str, str]

    @property
    def percent(self) -> float:
        """The percentage that was run, never rounded up to a whole number."""
        return 100.0 * self.run / self.possible if self.possible else 0.0


def covered(report: dict[str, Any]) -> Iterator[Covered]:
    """Yield the coverage of each package of `GOALS`.

    Args:
        report: of `coverage json`, with branches.
    """
    for package in GOALS:
        files = {name: found for name, found in report["files"].items() if package in Path(name).parts}
        summaries = [found["summary"] for found in files.values()]
        missing = {name: ", ".join(_missing(found)) for name, found in sorted(files.items())}
        yield Covered(
            package,
            sum(each["num_statements"] + each["num_branches"] for each in summaries),
            sum(each["covered_lines"] + each["covered_branches"] for each in summaries),
            {name: each for name, each in missing.items() if each},
        )


def _missing(found: dict[str, Any]) -> Iterator[str]:
    lines = found["missing_lines"]
    start = 0
    for at, line in enumerate(lines):
        if at + 1 == len(lines) or lines[at + 1] != line + 1:
            yield str(line) if start == at else f"{lines[start]}-{line}"
            start = at + 1
    yield from (f"{line}->{target if target > 0 else 'end'}" for line, target in found.get("missing_branches", ()))


def table(found: list[Covered]) -> Iterator[str]:
    """Yield the lines of the table, and under it the missing lines and branches."""
    yield f"{'package':<26}{'of':>8}{'run':>8}{'percent':>10}{'goal':>8}"
    for each in found:
        yield f"{each.package:<26}{each.possible:>8}{each.run:>8}{each.percent:>10.2f}{GOALS[each.package]:>8.0f}"
    for each in found:
        yield from (f"{name}: {missing}" for name, missing in each.missing.items())


def main() -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    data = Coverage(data_file=str(parser.parse_args().data))
    data.load()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        data.json_report(outfile=str(file), ignore_errors=False)
        found = list(covered(json.loads(file.read_text(encoding="utf-8"))))
    print("\n".join(table(found)))
    below = [each.package for each in found if each.percent < GOALS[each.package]]
    print(f"below its goal: {', '.join(below)}" if below else "all goals are met")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
