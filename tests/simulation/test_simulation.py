"""The simulation, in processes of its own: it replaces the clock, and needs an order of sets that stays the same."""

import subprocess
import sys

import pytest


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments], capture_output=True, text=True, timeout=280, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 20, 40])
def test_no_order_of_events_breaks_an_invariant(first: int) -> None:
    ended = simulate("--first", str(first), "--seeds", "20")
    assert ended.returncode == 0, ended.stdout


def test_a_seed_replays_exactly() -> None:
    first, second = (simulate("--first", "3", "--seeds", "1", "--trace", "--always").stdout for _ in range(2))
    assert "all faults have ended" in first
    assert first == second


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bug", "seed"),
    [
        ("impatient-pods", 48),
        ("cut-lists", 5),
        ("stale-reports", 0),
        ("endless-leader", 15),
        ("pods-go-back", 13),
        ("one-pod-proves", 2),
        ("proof-of-nothing", 2),
    ],
)
def test_a_deliberate_bug_is_found_by_a_seed_that_is_fine_without_it(bug: str, seed: int) -> None:
    one = ("--first", str(seed), "--seeds", "1")
    assert simulate(*one).returncode == 0
    ended = simulate(*one, "--mutation", bug)
    assert ended.returncode == 1
    assert f"seed {seed}: " in ended.stdout
