"""The operator of a stage: a process that is killed and started again."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_READY_SECONDS = 180.0


class Operators:
    """Starts one operator after another, as in one pod; never two at a time.

    Args:
        environment: of each.
        log: each appends to it.
        bug: the name of a deliberate bug; empty for none.
        ended: called with the exit status of an operator that ended by itself.
    """

    def __init__(self, environment: Mapping[str, str], log: Path, bug: str, ended: Callable[[int], None]) -> None:
        self._order = json.dumps({"environment": dict(environment), "log": str(log)}).encode() + b"\n"
        self._ended = ended
        self._pid = self._dying = 0
        self._wanted = False
        self._lock = threading.Lock()
        self._said = threading.Condition(self._lock)
        self._is_ready = False
        command = [sys.executable, "-m", "tests.perturbation.nursery", "--bug", bug]
        with log.open("ab") as sink:
            self._nursery = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink, cwd=_ROOT, start_new_session=True
            )
        threading.Thread(target=self._listen, name="nursery", daemon=True).start()
        with self._said:
            assert self._said.wait_for(lambda: self._is_ready, _READY_SECONDS), f"the operator does not load, see {log}"

    def start(self) -> None:
        """Start an operator."""
        with self._said:
            assert self._pid == 0, "one runs"
            self._until_dead()
            self._wanted = True
            self._send()
            assert self._said.wait_for(lambda: self._pid > 0, _READY_SECONDS)

    def kill(self, again_after: float | None) -> None:
        """Kill it, as a crash does, and start the next one after that many seconds; None starts none."""
        with self._lock:
            self._wanted = False
            pid, self._pid = self._pid, 0
            self._dying = pid or self._dying
        if pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if again_after is not None:
            timer = threading.Timer(again_after, self._start_again)
            timer.daemon = True
            timer.start()

    def close(self) -> None:
        """Stop all."""
        self.kill(None)
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        self._nursery.wait(_READY_SECONDS)
        assert self._nursery.stdout is not None
        self._nursery.stdout.close()

    def _until_dead(self) -> None:
        """Wait for the end of the earlier one: a kubelet never runs two containers of one pod at a time."""
        assert self._said.wait_for(lambda: self._dying == 0, _READY_SECONDS)

    def _start_again(self) -> None:
        with self._said:
            self._until_dead()
            if not self._wanted and self._pid == 0 and self._nursery.poll() is None:
                self._wanted = True
                self._send()

    def _send(self) -> None:
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(self._order)
        self._nursery.stdin.flush()

    def _listen(self) -> None:
        assert self._nursery.stdout is not None
        for line in self._nursery.stdout:
            self._hear(json.loads(line))

    def _hear(self, said: Mapping[str, int]) -> None:
        with self._said:
            if "ready" in said:
                self._is_ready = True
            elif "started" in said:
                self._pid = said["started"]
                if not self._wanted:
                    os.kill(self._pid, signal.SIGKILL)
                    self._pid, self._dying = 0, self._pid
            elif said["ended"] == self._dying:
                self._dying = 0
            elif said["ended"] == self._pid:
                self._pid = 0
                self._ended(said["status"])
                # A kubelet also waits shortly before its first restart.
                threading.Timer(0.5, self._again).start()
            self._said.notify_all()

    def _again(self) -> None:
        with self._lock:
            if self._wanted and self._pid == 0 and self._nursery.poll() is None:
                self._send()


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Return whether a condition becomes true within that many seconds."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True
