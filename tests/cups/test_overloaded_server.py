"""A server in a separate process while more gateways ask than it can answer."""

import asyncio
import re
import threading
from pathlib import Path

import pytest

from tests.bench.crowd import Crowd
from tests.cups.client import get_internal, until
from tests.cups.conftest import Cups, ready
from tests.cups.documents import Gateway, Trusted
from tests.cups.own_process import process, serves
from tests.cups.pki import Pki

REQUEST = b'POST /update-info HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\n{"router":"102:304:506:708"}'
AT_A_TIME = 150


async def _waiting(cups: Cups) -> int:
    text = (await get_internal(cups.internal_port, "/metrics")).body.decode()
    found = re.search(r'^stationkeeper_waiting_connections\{state="Ready"\} (\d+)', text, re.MULTILINE)
    assert found is not None
    return int(found[1])


@pytest.mark.slow
async def test_a_change_of_trust_acts_and_the_cluster_is_answered_under_overload(pki: Pki, tmp_path: Path) -> None:
    cups = Cups(tmp_path, pki)
    cups.lay_server_tls(pki.server)
    everybody = [Trusted("a", pki.a), Trusted("b", pki.b)]
    cups.publish(everybody, [Gateway(pki.eui)])
    done = threading.Event()
    with process(cups, tmp_path / "log"):
        await serves(cups)
        crowd = Crowd((cups.port,), [cups.client(pki.a_gateway).context], [REQUEST], 30)
        asking = asyncio.create_task(asyncio.to_thread(crowd.keep, AT_A_TIME, done.is_set))

        async def is_overloaded() -> bool:
            return await _waiting(cups) > 10

        async def is_let_in() -> bool:
            return (await cups.client(pki.b_gateway).alert()) == "answered with 200"

        async def is_refused() -> bool:
            return (await cups.client(pki.b_gateway).alert()) == "TLSV1_ALERT_UNKNOWN_CA"

        try:
            await until(is_overloaded, "more ask than are answered")
            await until(is_let_in, "it is let in")
            cups.publish(everybody[:1], [Gateway(pki.eui)])
            await until(is_refused, "it is refused")
            assert await ready(cups)
            await until(is_overloaded, "it is overloaded still")
        finally:
            done.set()
            await asking

        async def is_calm() -> bool:
            return await _waiting(cups) == 0

        await until(is_calm, "no client waits")
        assert (await cups.client(pki.a_gateway).ask()).status == 200
    outcomes = {each.outcome for each in crowd.attempts}
    assert "200" in outcomes
    # Never another status: a Basics Station would turn to older credentials.
    assert outcomes <= {"200", "closed", "gave up"}
