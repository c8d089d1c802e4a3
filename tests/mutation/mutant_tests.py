"""Run the quick tests of a mutant first, and end one that computes much longer: a plugin of pytest for mutmut.

Most mutants are then noticed in a second; mutmut itself gives the tests of a mutant in no order. The limit counts the
CPU time of the process: on a machine with other work, a mutant does not look as if it did not end.
"""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

SECONDS, TIMES = 20.0, 20.0
"""A test may take so many seconds, and so many times as long as it took without a mutant."""

TIMED_OUT = 36
"""The exit code of a mutant that takes too long, as mutmut knows it."""

TOOK = pytest.StashKey[dict[str, float]]()


def pytest_configure(config: pytest.Config) -> None:
    """Read the time of each test: mutmut has taken it and keeps it in the folder where it runs the tests."""
    times = Path("mutmut-stats.json")
    found = json.loads(times.read_text(encoding="utf-8"))["duration_by_test"] if times.exists() else {}
    config.stash[TOOK] = found
    signal.signal(signal.SIGVTALRM, lambda *_: os._exit(TIMED_OUT))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests by their times."""
    items.sort(key=lambda item: config.stash[TOOK].get(item.nodeid, 0.0))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Limit the CPU time of one test, where it was timed before."""
    took = item.config.stash[TOOK].get(item.nodeid)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0 if took is None else SECONDS + TIMES * took)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
