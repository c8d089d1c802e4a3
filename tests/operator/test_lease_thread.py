import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.kubernetes_credentials import Credentials
from stationkeeper_operator.api.leadership import NotLeadingError, Timing
from stationkeeper_operator.api.lease_thread import LeaseThread
from tests.operator.small_api_server import SmallApiServer, small_api_server
from tests.waiting import EVENTUALLY

LEASE = "/apis/coordination.k8s.io/v1/namespaces/release/leases/stationkeeper-operator"
QUICK = Timing(duration=3, deadline=2.0, renew=0.2, retry=0.1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmallApiServer]:
    """Yield a server in its own thread: it answers while the test's event loop is blocked."""
    running = threading.Event()
    held: list[SmallApiServer] = []
    end = threading.Event()

    async def serve() -> None:
        async with small_api_server(tmp_path) as (made, _api):
            held.append(made)
            running.set()
            await asyncio.to_thread(end.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert running.wait(EVENTUALLY)
    yield held[0]
    end.set()
    thread.join()


class Candidate:
    def __init__(self, folder: Path) -> None:
        self.told: list[bool] = []
        self._was_told = asyncio.Event()
        self.lease = LeaseThread(
            lambda: KubernetesApi(Credentials(folder / "kubeconfig")),
            "release",
            "one",
            changed=self._tell,
            timing=QUICK,
        )
        self.running = asyncio.create_task(self.lease.run())

    def _tell(self) -> None:
        self.told.append(self.lease.is_leading)
        self._was_told.set()

    async def until(self, leading: bool) -> None:
        async with asyncio.timeout(EVENTUALLY):
            while self.lease.is_leading != leading:
                self._was_told.clear()
                await self._was_told.wait()

    async def end(self) -> None:
        self.running.cancel()
        await asyncio.wait({self.running})
        await self.lease.release()


@pytest.mark.slow
async def test_a_blocked_main_loop_does_not_lose_the_lease(server: SmallApiServer, tmp_path: Path) -> None:
    candidate = Candidate(tmp_path)
    await candidate.until(leading=True)
    renewed = server.objects[LEASE]["spec"]["renewTime"]

    time.sleep(QUICK.duration + 1)  # noqa: ASYNC251 - the test is about a blocked loop

    assert candidate.lease.is_leading
    assert server.objects[LEASE]["spec"]["renewTime"] > renewed
    await asyncio.sleep(0)
    assert candidate.told == [True]
    await candidate.end()


async def test_a_term_counts_after_it_was_announced_to_the_main_loop(server: SmallApiServer, tmp_path: Path) -> None:
    candidate = Candidate(tmp_path)
    await candidate.until(leading=True)
    first = candidate.lease.term
    held = server.objects[LEASE]

    # Somebody else takes the Lease and gives it up, while the main loop does not turn.
    server.put(LEASE, {**held, "spec": {**held["spec"], "holderIdentity": "", "leaseTransitions": 7}})
    while server.objects[LEASE]["spec"]["leaseTransitions"] != 8:
        time.sleep(0.02)  # noqa: ASYNC251
    deadline = time.monotonic() + EVENTUALLY
    while candidate.lease.is_leading:
        assert time.monotonic() < deadline
        time.sleep(0.02)  # noqa: ASYNC251
    # Give the thread its new term too; the main loop must not count it.
    time.sleep(0.3)  # noqa: ASYNC251

    with pytest.raises(NotLeadingError):
        candidate.lease.require()
    await asyncio.sleep(0)
    await candidate.until(leading=True)
    assert candidate.lease.term != first
    candidate.lease.require()
    await candidate.end()


async def test_it_is_released_when_the_process_ends(server: SmallApiServer, tmp_path: Path) -> None:
    candidate = Candidate(tmp_path)
    await candidate.until(leading=True)

    await candidate.end()

    assert server.objects[LEASE]["spec"]["holderIdentity"] == ""
    assert not candidate.lease.is_leading


@pytest.mark.slow
async def test_an_api_server_that_fails_ends_leading_in_time(server: SmallApiServer, tmp_path: Path) -> None:
    candidate = Candidate(tmp_path)
    await candidate.until(leading=True)
    server.failing[LEASE] = 500
    await candidate.until(leading=False)
    del server.failing[LEASE]
    await candidate.until(leading=True)
    await candidate.end()
