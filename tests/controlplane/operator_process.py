"""An operator process for the tests on a real API server."""

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.ending import end
from tests.waiting import EVENTUALLY

COMMAND = (sys.executable, "-c", "from stationkeeper_operator.main import main; main()")


class OperatorProcess:
    """A process of `stationkeeper-operator`."""

    def __init__(self, environment: Mapping[str, str], log: Path, command: Sequence[str] = COMMAND) -> None:
        self.identity = environment["STATIONKEEPER_IDENTITY"]
        self.log = log
        self._health = f"http://{environment['STATIONKEEPER_HEALTH_ADDRESS']}"
        with log.open("ab") as sink:
            self._process = subprocess.Popen(command, env=dict(environment), stderr=sink, stdout=sink)

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """Kill it, as a crash does."""
        end(self._process, gently=False)

    def end(self) -> None:
        """End it when a test no longer needs it."""
        end(self._process)

    def pause(self) -> None:
        """Stop its process for a while, as on an overloaded machine."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue it after a pause."""
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """End it as a kubelet does, and wait for its end."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(EVENTUALLY) == 0

    def peak_mib(self) -> int:
        """Return its maximum memory."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
        raise AssertionError("the process has no status")

    def is_running(self) -> bool:
        return self._process.poll() is None

    def answers(self, path: str) -> int | None:
        """Return the HTTP status of a health path; None if nothing listens."""
        try:
            with urllib.request.urlopen(self._health + path, timeout=30) as response:  # noqa: S310 - http on loopback
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def metric(self, name: str) -> float | None:
        """Return the value of a metric without labels; None if it is not exposed."""
        with urllib.request.urlopen(f"{self._health}/metrics", timeout=30) as response:  # noqa: S310 - loopback
            lines = response.read().decode().splitlines()
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), None)

    def lines(self) -> list[dict[str, Any]]:
        """Return what it logged, without a line that it still writes."""
        whole, _, _ = self.log.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]
