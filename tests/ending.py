"""How a test ends a process that it no longer needs."""

import os
import subprocess
from contextlib import suppress
from typing import Any

GENTLE_SECONDS = 15.0


def end(process: "subprocess.Popen[Any]") -> None:
    """End it at once; under coverage by SIGTERM, so that it writes down what it ran."""
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GENTLE_SECONDS)
    process.kill()
    process.wait()
