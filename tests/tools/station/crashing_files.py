"""A process that SIGKILL ends before its n-th change of a Station's files, while it stores an answer.

Run as `python -m tests.tools.station.crashing_files HOME N BODY`: HOME is the folder, BODY a file with the answer.
"""

import os
import signal
import sys
from pathlib import Path

from stationkeeper_core.eui64 import EUI64
from stationkeeper_tools.station.files import FolderFiles
from stationkeeper_tools.station.state import StationState
from stationkeeper_tools.station.state_machine import Station
from tests.tools.station.blobs import ok


class CrashingFiles(FolderFiles):
    """Files that count their changes; the process ends before the last one."""

    def __init__(self, folder: Path, changes: int) -> None:
        super().__init__(folder)
        self._left = changes

    def write(self, name: str, content: bytes) -> None:
        self._count()
        super().write(name, content)

    def rename(self, old: str, new: str) -> None:
        self._count()
        super().rename(old, new)

    def remove(self, name: str) -> None:
        if self.read(name) is not None:
            self._count()
        super().remove(name)

    def _count(self) -> None:
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


if __name__ == "__main__":
    home, changes, body = sys.argv[1:]
    state = StationState(CrashingFiles(Path(home), int(changes)))
    Station(EUI64(1), state).receive(ok(Path(body).read_bytes()))
