"""The simulation, in separate processes, because it replaces the clock and needs a fixed order of sets."""

import re
import subprocess
import sys

import pytest

AT_MOST = 60
"""The maximum number of seeds to find a deliberate bug of this list; today a tenth of that is enough."""


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments], capture_output=True, text=True, timeout=500, check=False
    )


def first_failure(ended: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """Return the failed seed and the violation."""
    found = re.search(r"^seed (\d+): (.*)$", ended.stdout, re.MULTILINE)
    assert found is not None, ended.stdout + ended.stderr
    return found.group(1), found.group(2)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 90, 45))
def test_no_order_of_events_breaks_an_invariant(first: int) -> None:
    ended = simulate("--first", str(first), "--seeds", "45")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "pairs were reached" in ended.stdout


@pytest.mark.slow
def test_a_seed_replays_exactly_in_another_process_and_after_other_seeds() -> None:
    trace = ("--trace", "--always")
    both, second = (
        simulate("--first", "3", "--seeds", "2", *trace).stdout,
        simulate("--first", "4", "--seeds", "1", *trace).stdout,
    )
    assert "all faults have ended" in second
    assert both.endswith(second)
    assert len(both) > len(second)


@pytest.mark.slow
def test_a_failure_is_shrunk_and_what_is_left_of_it_replays() -> None:
    ended = simulate("--mutation", "pods-go-back", "--seeds", str(AT_MOST), "--shrink")
    replay = re.search(r"^replay: python -m tests.simulation (.*)$", ended.stdout, re.MULTILINE)
    assert replay is not None, ended.stdout + ended.stderr
    assert "--without " in replay.group(1)
    assert first_failure(simulate(*replay.group(1).split())) == first_failure(ended)


@pytest.mark.slow
@pytest.mark.parametrize(
    "bug",
    [
        "container-goes-back",
        "cut-lists",
        "stale-reports",
        "endless-leader",
        "pods-go-back",
        "one-pod-proves",
        "proof-of-nothing",
    ],
)
def test_a_deliberate_bug_is_found_by_a_seed_that_is_fine_without_it(bug: str) -> None:
    ended = simulate("--mutation", bug, "--seeds", str(AT_MOST))
    assert ended.returncode == 1, ended.stdout + ended.stderr
    seed, _ = first_failure(ended)
    assert simulate("--first", seed, "--seeds", "1").returncode == 0
