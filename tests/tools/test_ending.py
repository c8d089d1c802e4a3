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


def test_a_process_that_runs_is_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        end(process)

    assert process.returncode == -signal.SIGKILL
