"""Run the blocks of a page, as a reader would."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.pages.blocks import LEFT_RUNNING, SAID_LATER, SAID_MEANWHILE, Block

SECONDS = 120.0
_PROGRAMS = ("stationkeeper", "kubectl-stationkeeper")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Reader:
    """A reader at a terminal, in a separate folder, who follows a page.

    Args:
        folder: exists; also the reader's home.
        path: folders with programs, in addition to those of the system.
        environment: more variables.
        replaced: texts of the page that the reader writes differently, such as a port, with their replacements.
    """

    def __init__(
        self,
        folder: Path,
        path: Sequence[Path] = (),
        environment: Mapping[str, str] | None = None,
        replaced: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        programs = folder / ".bin"
        programs.mkdir()
        for name in _PROGRAMS:
            program = programs / name
            program.write_text(f"#!{sys.executable}\nfrom stationkeeper_tools.cli import main\nmain()\n")
            program.chmod(0o755)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("STATIONKEEPER_", "KUBE"))}
        searched = ":".join(map(str, (programs, *path, os.environ["PATH"])))
        self._environment = {**inherited, "HOME": str(folder), "PATH": searched, **(environment or {})}
        self._replaced = replaced or {}
        self._said = ""
        self._last: Block | None = None
        self._left: list[subprocess.Popen[bytes]] = []
        self._log = folder / ".left-running"

    def __enter__(self) -> "Reader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each in self._left:
            os.killpg(each.pid, signal.SIGTERM)
            each.wait(30)

    def do(self, block: Block) -> None:
        """Follow a block, and check that the result is the one on the page.

        Raises:
            AssertionError: it is not.
        """
        if block.language == "text":
            self._compare(block)
        elif block.file:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._own(block.text))
        elif block.is_run and block.title == LEFT_RUNNING:
            with self._log.open("wb") as log:
                self._left.append(self._start(block, log.fileno()))
        elif block.is_run:
            self._last = block
            self._said = self._run(block)

    def _run(self, block: Block) -> str:
        process = self._start(block, subprocess.PIPE)
        said, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == block.exit_code, f"{block.place} ended with {process.returncode}: {said.decode()}"
        return said.decode()

    def _start(self, block: Block, output: int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", self._own(block.text)],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _compare(self, block: Block) -> None:
        shown = self._own(block.text)
        end = time.monotonic() + SECONDS
        while lacking := unsaid(shown, self._so_far(block)):
            is_late = time.monotonic() > end or any(each.poll() is not None for each in self._left)
            may_come = block.title in {SAID_MEANWHILE, SAID_LATER} and not is_late
            assert may_come, f"{block.place}: {lacking!r} is not in: {self._so_far(block)}"
            time.sleep(0.1)
            if block.title == SAID_LATER and self._last is not None:
                self._said = self._run(self._last)

    def _so_far(self, block: Block) -> str:
        return self._log.read_text() if block.title == SAID_MEANWHILE else self._said

    def _own(self, text: str) -> str:
        for shown, own in self._replaced.items():
            text = text.replace(shown, own)
        return text


def unsaid(shown: str, said: str) -> str:
    """Return the first line of `shown` that is not in `said` after the earlier lines; empty if all are there.

    Args:
        shown: the output on a page; `…` stands for any text in a line.
        said: the output of a program.
    """
    lines = iter(_COLOUR.sub("", said).splitlines())
    for line in filter(str.strip, shown.splitlines()):
        pattern = ".*".join(map(re.escape, line.strip().split("…")))
        if not any(re.fullmatch(pattern, each.strip()) for each in lines):
            return line
    return ""
