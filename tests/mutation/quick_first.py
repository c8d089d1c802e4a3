"""Run the quick tests first: a plugin of pytest for mutmut.

Most mutants are then noticed in a second. mutmut itself gives the tests of a mutant in no order.
"""

import json
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests by their times, which mutmut has taken and keeps in the folder where it runs them."""
    times = Path("mutmut-stats.json")
    if times.exists():
        took = json.loads(times.read_text(encoding="utf-8"))["duration_by_test"]
        items.sort(key=lambda item: took.get(item.nodeid, 0.0))
