"""A CUPS in a separate process, so that its load does not delay the test, and so that it can be killed."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cups.client import until
from tests.cups.conftest import Cups, ready
from tests.ending import end


@contextmanager
def process(cups: Cups, log: Path, *arguments: str) -> Iterator[int]:
    """Yield the process id of a separate server with the folders of `cups`; end it at the end."""
    command = [
        *(sys.executable, "-c", "from stationkeeper_cups.main import main; main()"),
        f"--listen=127.0.0.1:{cups.port}",
        f"--internal-listen=127.0.0.1:{cups.internal_port}",
        f"--directory={cups.documents}",
        f"--tls-cert={cups.server_tls / 'tls.crt'}",
        f"--tls-key={cups.server_tls / 'tls.key'}",
        *arguments,
    ]
    with running(command, log) as pid:
        yield pid


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[int]:
    """Yield the id of a process; end it at the end."""
    with log.open("ab") as sink, subprocess.Popen(command, stdout=sink, stderr=sink) as process:
        try:
            yield process.pid
        finally:
            end(process)


async def serves(cups: Cups) -> None:
    """Wait until the process serves gateways."""
    await until(lambda: ready(cups), "it serves")
