"""Child processes that can be ended with all that they started, and that report why they failed."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stationkeeper_tools.tool_errors import ToolError, ToolFault

LOG_TAIL_BYTES = 4096
_POLL_SECONDS = 0.05


class ManagedProcess:
    """A child in a session of its own; its output goes to a log file.

    Args:
        name: what messages call it.
        command: program and arguments; none of them a secret, since any user of the machine can see them.
        log: the file that its output is appended to, readable by its owner only.
        environment: the child's; None is the parent's.
        folder: its working directory.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = [str(each) for each in command]
        self._environment = environment
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the child; after its end it can be started again.

        Raises:
            ToolError: `ProgramNotFound`: the program cannot be executed.
        """
        if self.is_running:
            return
        self.kill()
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._child = subprocess.Popen(  # noqa: S603 - the command is the caller's, no shell
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
            )
        except OSError as error:
            raise ToolError(ToolFault.PROGRAM_NOT_FOUND, f"{self.name} cannot be started: {error}") from error
        finally:
            os.close(descriptor)

    @property
    def pid(self) -> int | None:
        """The process id of the child, of its session and of its process group; None before the first start."""
        return self._child.pid if self._child else None

    @property
    def is_running(self) -> bool:
        """Whether the child was started and has not ended."""
        return self._child is not None and self._child.returncode is None and not _has_ended(self._child)

    @property
    def exit_status(self) -> int | None:
        """The exit status after `stop`, `kill` or `wait` has seen the child's end; negative for a signal."""
        return self._child.returncode if self._child else None

    def wait_until(self, predicate: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until `predicate` holds.

        Args:
            predicate: asked every 50 ms; what it raises is passed on.
            seconds: the longest time to wait.
            what: what `predicate` asks, for messages, such as "etcd is ready".

        Raises:
            ToolError: `ProcessEnded` when the child ends too early, or `DeadlineExceeded`; both show the log's end.
        """
        ends = time.monotonic() + seconds
        while not predicate():
            if not self.is_running:
                self.kill()
                detail = f"{self.name} ended with status {self.exit_status} before: {what}"
                raise ToolError(ToolFault.PROCESS_ENDED, f"{detail}\n{self.log_tail()}")
            if time.monotonic() > ends:
                detail = f"not within {seconds:g} s: {what}"
                raise ToolError(ToolFault.DEADLINE_EXCEEDED, f"{detail}\n{self.log_tail()}")
            time.sleep(_POLL_SECONDS)

    def wait(self, seconds: float) -> bool:
        """Return whether the child ends by itself within `seconds`; if so, end the rest of its process group."""
        ends = time.monotonic() + seconds
        while self.is_running:
            if time.monotonic() > ends:
                return False
            time.sleep(_POLL_SECONDS)
        self.kill()
        return True

    def terminate(self) -> None:
        """Ask the child to end (SIGTERM); do not wait for it."""
        if self._child and self.is_running:
            _signal(self._child, signal.SIGTERM)

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Ask the child to end; after `grace_seconds`, end it and its process group by force."""
        self.terminate()
        if not self.wait(grace_seconds):
            self.kill()

    def kill(self) -> None:
        """End the child and its process group at once (SIGKILL)."""
        if self._child and self._child.returncode is None:
            _signal(self._child, signal.SIGKILL)
            self._child.wait()

    def log_tail(self) -> str:
        """Return the log's path and its last lines, at most `LOG_TAIL_BYTES`."""
        with self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_TAIL_BYTES))
            tail = file.read(LOG_TAIL_BYTES)
        if size > LOG_TAIL_BYTES:
            tail = tail.partition(b"\n")[2]
        return f"--- the end of {self.log} ---\n{tail.decode('utf-8', 'replace').rstrip()}"


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    # It stays a zombie until `kill` reaps it, so that no other process can get its process group's id before.
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        child.send_signal(number)
