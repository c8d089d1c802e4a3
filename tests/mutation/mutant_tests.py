"""Run the quick tests of a mutant first, and end a test that computes much too long: a pytest plugin for mutmut.

Most mutants are then noticed in a second; mutmut itself does not sort the tests of a mutant. The set-up of a test file
counts too. mutmut does not time it, so this plugin does, in the run in which mutmut times the tests. The limit is CPU
time of the process, so that other work of the machine does not make a mutant look endless.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SECONDS, TIMES = 20.0, 20.0
"""The time limit of a test: these seconds, plus its time without a mutant multiplied by this factor."""

TIMED_OUT = 36
"""mutmut's exit code for a mutant that takes too long."""

TOOK = pytest.StashKey[dict[str, float]]()
PREPARED = pytest.StashKey[dict[str, float]]()

_TIMES, _PREPARED = Path("mutmut-stats.json"), Path("prepared.json")


def pytest_configure(config: pytest.Config) -> None:
    """Read the times: of each test, from mutmut, and of the set-up of each file."""
    config.stash[TOOK] = json.loads(_TIMES.read_text(encoding="utf-8"))["duration_by_test"] if _TIMES.exists() else {}
    config.stash[PREPARED] = json.loads(_PREPARED.read_text(encoding="utf-8")) if _PREPARED.exists() else {}
    signal.signal(signal.SIGVTALRM, lambda *_: os._exit(TIMED_OUT))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests by their times."""
    took, prepared = config.stash[TOOK], config.stash[PREPARED]
    items.sort(key=lambda item: took.get(item.nodeid, 0.0) + prepared.get(_file(item.nodeid), 0.0))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Record the longest set-up of a test in each file."""
    began = time.monotonic()
    try:
        return (yield)
    finally:
        prepared, file = item.config.stash[PREPARED], _file(item.nodeid)
        prepared[file] = max(prepared.get(file, 0.0), time.monotonic() - began)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Store these times, if mutmut times the tests in this run."""
    if os.environ.get("MUTANT_UNDER_TEST") == "stats":
        _PREPARED.write_text(json.dumps(session.config.stash[PREPARED]), encoding="utf-8")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Limit the CPU time of a test that was timed before."""
    took = item.config.stash[TOOK].get(item.nodeid)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0 if took is None else SECONDS + TIMES * took)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _file(test: str) -> str:
    return test.partition("::")[0]
