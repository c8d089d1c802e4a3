"""A CUPS process that is killed while it serves, and started again."""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cups.client import exchange, until
from tests.cups.conftest import Cups
from tests.cups.documents import Gateway, Trusted
from tests.cups.own_process import process, serves
from tests.cups.pki import Pki


@pytest.mark.slow
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

    with process(cups, tmp_path / "log"):
        await serves(cups)
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
            await serves(cups)
            assert (await kept.ask()).status == 200
            assert await removed.alert() == "TLSV1_ALERT_UNKNOWN_CA"
        assert 200 not in answers[before + 1 :]
    finally:
        done.set()
        await loading


async def _any(answers: list[int]) -> bool:
    return 200 in answers
