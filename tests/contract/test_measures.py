"""The measuring programs count right: coverage by package, and the results of mutants."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.coverage.__main__ import GOALS, covered, table
from tests.mutation.__main__ import outcomes
from tests.mutation.mutant_tests import TIMED_OUT


def a_file(lines: tuple[int, int], branches: tuple[int, int], missing: list[int]) -> dict[str, Any]:
    summary = {
        "num_statements": lines[1],
        "covered_lines": lines[0],
        "num_branches": branches[1],
        "covered_branches": branches[0],
    }
    return {"summary": summary, "missing_lines": missing, "missing_branches": [[7, 9], [8, -2]]}


REPORT = {
    "files": {
        "cups/stationkeeper_core/a.py": a_file((90, 100), (9, 10), [3, 4, 5, 9]),
        "cups/stationkeeper_core/b/c.py": a_file((100, 100), (0, 0), []),
        "cups/stationkeeper_cups/a.py": a_file((999, 1000), (0, 0), [3]),
    }
}


def test_lines_and_branches_count_together_by_package() -> None:
    core, cups, operator, _ = covered(REPORT)

    assert (core.package, core.run, core.possible) == ("stationkeeper_core", 199, 210)
    assert cups.percent == pytest.approx(99.9)
    assert (operator.possible, operator.percent) == (0, 0.0)


def test_the_missing_lines_of_each_file_are_listed() -> None:
    lines = list(table(list(covered(REPORT))))

    assert "cups/stationkeeper_core/a.py: 3-5, 9, 7->9, 8->end" in lines
    assert [line.split()[0] for line in lines[1:5]] == list(GOALS)


def test_the_core_has_to_be_run_wholly() -> None:
    assert GOALS["stationkeeper_core"] == 100
    assert {*GOALS.values()} == {100, 95}


def test_only_a_failure_or_a_timeout_kills_a_mutant(tmp_path: Path) -> None:
    folder = tmp_path / "mutants/src/stationkeeper_core"
    folder.mkdir(parents=True)
    codes = {"killed": 1, "error": 3, "endless": 36, "survived": 0, "untested": 33, "crashed": -11, "not tried": None}
    (folder / "a.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))

    assert outcomes(tmp_path) == {
        **dict.fromkeys(("killed", "error"), "killed"),
        "endless": "timed out",
        **{"survived": "survived", "untested": "no tests", "crashed": "undecided"},
    }


@pytest.mark.slow
def test_a_test_of_a_mutant_is_ended_by_the_cpu_time_that_it_takes_and_not_by_the_time_that_it_waits(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_it.py").write_text(
        "import time\ndef test_waits(): time.sleep(1.5)\ndef test_computes():\n    while True: pass\n"
    )
    times = {"test_it.py::test_waits": 0.0, "test_it.py::test_computes": 0.01}
    (tmp_path / "mutmut-stats.json").write_text(json.dumps({"duration_by_test": times}))
    code = (
        "import sys, tests.mutation.mutant_tests as limits; limits.SECONDS = 1.0\n"
        "import os, pytest; os.chdir(sys.argv[1])\n"
        "sys.exit(pytest.main(['-vv', '-s', '-p', 'no:cacheprovider', '-c', os.devnull, '--rootdir', '.'], [limits]))\n"
    )

    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)

    assert done.returncode == TIMED_OUT
    assert "test_waits PASSED" in done.stdout
    assert "test_computes" in done.stdout
