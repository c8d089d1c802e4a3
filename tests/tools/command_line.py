"""Run `stationkeeper` for tests: in this process, which is quick, or in a separate one."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from stationkeeper_tools.commands.program import run
from tests.waiting import EVENTUALLY

PROGRAM = [sys.executable, "-c", "from stationkeeper_tools.cli import main; main()"]


@dataclass(frozen=True)
class Done:
    """The exit code of a command and its output."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The decoded standard output."""
        found = json.loads(self.stdout)
        assert isinstance(found, dict)
        return found


def stationkeeper(*arguments: str) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            run(arguments)
        except SystemExit as ended:
            assert isinstance(ended.code, int)
            status = int(ended.code)
    return Done(status, out.getvalue(), err.getvalue())


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=EVENTUALLY, env=env, check=False
    )
