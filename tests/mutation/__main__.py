"""Change the code that decides, one place at a time, and report the changes that no test notices.

    python -m tests.mutation                     every target, for hours
    python -m tests.mutation delivery            one target
    python -m tests.mutation delivery --resume   continue an earlier run
    python -m tests.mutation delivery --only '*delivery_of*'    some of its functions, by mutmut's names

mutmut changes a function in memory and runs, in a separate process, the tests that reach it. Its sources must be in
`src/`, so the tree is copied into `build/mutation/` in that form. The results stay there, for `--show`. With `--only`,
the results of the other functions stay too; with `--resume`, those of unchanged functions. The exit code is 1 if fewer
than 95 % of the mutants of a target are killed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.mutation.mutant_tests import TIMED_OUT
from tests.mutation.targets import TARGETS, Target

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build/mutation"
SOURCES = (
    *("cups/stationkeeper_core", "cups/stationkeeper_cups"),
    *("operator/stationkeeper_operator", "tools/stationkeeper_tools"),
)
GOAL = 0.95
MUTMUT = str(Path(sys.executable).parent / "mutmut")

_IGNORED = shutil.ignore_patterns("__pycache__", "node_modules", "go")
_KILLED, _TIMED_OUT, _SURVIVED, _NO_TESTS, _UNDECIDED = "killed", "timed out", "survived", "no tests", "undecided"
_OUTCOMES = {
    **{0: _SURVIVED, 5: _NO_TESTS, 33: _NO_TESTS},
    **dict.fromkeys((1, 3), _KILLED),
    **dict.fromkeys((TIMED_OUT, 24, -24, 152, 255), _TIMED_OUT),
}
"""The results by exit code: pytest's own codes, or the one for a test that did not end."""


def stage(name: str, target: Target) -> Path:
    """Copy the tree in the form that mutmut needs; unchanged files keep their times. Return the folder."""
    folder = FOLDER / name
    for source in SOURCES:
        _copy(ROOT / source, folder / "src" / Path(source).name)
    _copy(ROOT / "tests", folder / "tests")
    pytest = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    mutmut = {
        "source_paths": ["src"],
        "only_mutate": [f"src/{each}" for each in target.modules],
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-p", "tests.mutation.mutant_tests", "--timeout=0"],
        "pytest_add_cli_args_test_selection": list(target.tests),
        # One process imports the tests, and each mutant is a fork of it: most mutants take less time than an import.
        "process_isolation": "forkserver",
        # Only for a test that waits for ever: `mutant_tests` ends a test that computes too long, by its CPU time. With
        # the limits of pytest and mutmut, which are in seconds, a busy machine would look like a noticed mutant.
        "timeout_multiplier": 60.0,
        "timeout_constant": 60.0,
    }
    text = [*_table("tool.pytest.ini_options", pytest), *_table("tool.mutmut", mutmut)]
    (folder / "pyproject.toml").write_text("\n".join(text) + "\n", encoding="utf-8")
    return folder


def _copy(source: Path, target: Path) -> None:
    """Copy newer files, and delete those that no longer exist."""
    shutil.copytree(source, target, ignore=_IGNORED, dirs_exist_ok=True)
    for path in sorted(target.rglob("*.py")):
        if not (source / path.relative_to(target)).exists():
            path.unlink()


def _table(name: str, values: Mapping[str, object]) -> Iterator[str]:
    """Yield the lines of a TOML table; the values are written as JSON, which TOML accepts."""
    yield f"[{name}]"
    yield from (f"{key} = {json.dumps(value)}" for key, value in values.items())


def mutate(folder: Path, only: list[str], children: int, *, resume: bool) -> None:
    """Let mutmut try every mutant, or those of some functions again, or those that were not tried yet."""
    if not (only or resume):
        shutil.rmtree(folder / "mutants", ignore_errors=True)
    environment = {**os.environ, "CI": "true", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(folder)}
    command = [MUTMUT, "run", "--max-children", str(children), *only]
    print(f"{folder.name}: mutmut writes to {folder / 'log'}", flush=True)
    with (folder / "log").open("w") as log:
        subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=log, check=True)


def outcomes(folder: Path) -> dict[str, str]:
    """Return the result of each mutant that was tried."""
    found = {}
    for path in (folder / "mutants").rglob("*.meta"):
        for name, code in json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"].items():
            if code is not None:
                found[name] = _OUTCOMES.get(code, _UNDECIDED)
    return found


def shown(folder: Path, mutant: str) -> str:
    """Return the change of a mutant, as a diff."""
    command = [MUTMUT, "show", mutant]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout


def main() -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], default=[])
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN")
    parser.add_argument("--resume", action="store_true", help="try only what the last run did not")
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--show", action="store_true", help="show what was found, and run nothing")
    options = parser.parse_args()
    below = []
    for name in options.targets or TARGETS:
        folder = FOLDER / name
        if not options.show:
            folder = stage(name, TARGETS[name])
            mutate(folder, options.only, options.children, resume=options.resume)
        found = outcomes(folder)
        counted = Counter(found.values())
        # A test that does not end has noticed the mutant too; it is listed, so that a person can see why.
        killed = counted[_KILLED] + counted[_TIMED_OUT]
        for mutant in sorted(mutant for mutant, outcome in found.items() if outcome != _KILLED):
            print(f"--- {found[mutant]}: {shown(folder, mutant)}")
        print(f"{name}: {killed} of {len(found)} killed, {killed / max(len(found), 1):.1%} {dict(counted)}", flush=True)
        if killed < GOAL * len(found) or not found:
            below.append(name)
    print(f"below {GOAL:.0%}: {', '.join(below)}" if below else "all is well")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
