"""Run uv and other programs during a build."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def uv(*arguments: str, cwd: Path, **environment: str) -> str:
    """Run uv of `UV`, of `PATH` or of `.tools` with this interpreter; return what it prints.

    Raises:
        subprocess.CalledProcessError: it failed; it has said why.
    """
    program = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".tools/bin/uv")
    always = ("--quiet", "--preview-features", "sbom-export", "--python", sys.executable)
    return run(program, *arguments, *always, cwd=cwd, **environment)


def run(*command: str, cwd: Path | None = None, **environment: str) -> str:
    """Run a program; return what it prints.

    Raises:
        subprocess.CalledProcessError: it failed; it has said why.
    """
    done = subprocess.run(  # noqa: S603 - the callers give fixed commands
        command, cwd=cwd, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout
