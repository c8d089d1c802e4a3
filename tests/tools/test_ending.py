import signal
import subprocess
import sys

import pytest

from tests.ending import end

pytestmark = pytest.mark.slow


def test_a_process_that_crashed_is_noticed() -> None:
    with subprocess.Popen([sys.executable, "-c", "import os; os.abort()"], stderr=subprocess.DEVNULL) as process:
        process.wait()

        with pytest.raises(AssertionError, match="crashed: SIGABRT"):
            end(process)


def test_a_process_that_runs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        end(process)

    assert process.returncode == -signal.SIGKILL


def test_a_process_under_coverage_may_write_what_it_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); print(); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-uc", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        monkeypatch.setenv("COVERAGE_PROCESS_CONFIG", "set")
        end(process)

    assert process.returncode == 3
