"""A CUPS process that is killed while it serves, and started again."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.cups.client import exchange, until
from tests.cups.conftest import Cups
from tests.cups.documents import Gateway, Trusted
from tests.cups.pki import Pki

START_SECONDS = 15.0


@contextmanager
def process(cups: Cups, log: Path) -> Iterator[None]:
    """A server of its own over the folders of `cups`, that is killed in the end."""
    command = [
        *(sys.executable, "-c", "from stationkeeper_cups.main import main; main()"),
        f"--listen=127.0.0.1:{cups.port}",
        f"--internal-listen=127.0.0.1:{cups.internal_port}",
        f"--directory={cups.documents}",
        f"--tls-cert={cups.server_tls / 'tls.crt'}",
        f"--tls-key={cups.server_tls / 'tls.key'}",
    ]
    with log.open("ab") as sink, subprocess.Popen(command, stdout=sink, stderr=sink) as running:
        try:
            yield
        finally:
            running.kill()


@pytest.mark.timeout(60)
async def test_a_ca_that_was_removed_stays_so_over_a_crash_under_load(tmp_path: Path, pki: Pki) -> None:
    cups, done = Cups(tmp_path, pki), threading.Event()
    cups.lay_server_tls(pki.server)
    cups.publish([Trusted("a", pki.a), Trusted("b", pki.b)], [Gateway(pki.eui)])
    kept, removed = cups.client(pki.a_gateway), cups.client(pki.b_gateway)
    answers: list[int] = []

    def load() -> None:
        while not done.is_set():
            with suppress(OSError), removed.connect() as connection:
                answers.append(exchange(connection).status)

    async def serves() -> bool:
        return await kept.alert() == "answered with 200"

    with process(cups, tmp_path / "log"):
        await until(serves, "it serves", START_SECONDS)
        loading = asyncio.create_task(asyncio.to_thread(load))
        try:
            await until(lambda: _any(answers), "it is under load")
            cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
            await cups.loaded()
        except BaseException:
            done.set()
            raise
    try:
        before = len(answers)
        with process(cups, tmp_path / "log"):
            await until(serves, "it serves again", START_SECONDS)
            assert await removed.alert() == "TLSV1_ALERT_UNKNOWN_CA"
        assert 200 not in answers[before + 1 :]
    finally:
        done.set()
        await loading


async def _any(answers: list[int]) -> bool:
    return 200 in answers
