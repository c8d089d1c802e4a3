"""Print the cost of the tests of each layer, and the slowest files: `make test ARGS="-p tests.layer_times"`.

`tests`: their number. `seconds`: by the clock, the sum of all processes of pytest-xdist. `CPU`: seconds of CPU of these
processes, and of processes that tests started and waited for; they hardly depend on other work of the machine.
"""

import os
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field

import pytest

_LONGEST_FILES = 20
_BEGAN = pytest.StashKey[float]()


@dataclass
class _Cost:
    """The cost of tests, by the first parts of their names."""

    tests: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    cpu: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, name: str, report: pytest.TestReport) -> None:
        self.tests[name] += report.when == "call"
        self.seconds[name] += report.duration
        if report.when == "teardown":
            self.cpu[name] += sum(float(str(value)) for key, value in report.user_properties if key == "cpu")

    def row(self, name: str) -> str:
        return f"{self.tests[name]:6}{self.seconds[name]:9.1f}{self.cpu[name]:9.1f}  {name}"


def _cpu_seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Record the time and CPU before the test."""
    item.stash[_BEGAN] = _cpu_seconds()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Add the cost of the test to its last report."""
    try:
        return (yield)
    finally:
        item.user_properties.append(("cpu", _cpu_seconds() - item.stash[_BEGAN]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print both tables."""
    layers, files = _Cost(), _Cost()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                file = report.nodeid.partition("::")[0]
                files.add(file, report)
                layers.add("/".join(file.split("/")[:2]), report)
    terminalreporter.write_sep("=", "cost of the tests")
    terminalreporter.write_line(f"{'tests':>6}{'seconds':>9}{'CPU':>9}")
    for name in sorted(layers.seconds):
        terminalreporter.write_line(layers.row(name))
    for name in sorted(files.seconds, key=files.seconds.__getitem__, reverse=True)[:_LONGEST_FILES]:
        terminalreporter.write_line(files.row(name))
