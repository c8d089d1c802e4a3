"""End a process that a test no longer needs."""

import os
import signal
import subprocess
from contextlib import suppress
from typing import Any

GENTLE_SECONDS = 15.0
CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE}


def end(process: "subprocess.Popen[Any]", *, gently: bool = True) -> None:
    """End it at once. Under coverage, if `gently`, use SIGTERM, so that it writes what it ran.

    Raises:
        AssertionError: it had crashed before.
    """
    assert process.poll() not in CRASHES, f"the process crashed: {signal.Signals(-process.returncode).name}"
    if gently and "COVERAGE_PROCESS_CONFIG" in os.environ:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GENTLE_SECONDS)
    process.kill()
    process.wait()
