"""A tenant with many changes delays no other tenant: namespaces share the rates of statuses and events."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_operator.api.fair_queue import FairQueue, interleaved
from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.rate_limit import BacklogRate, RateLimit
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.reporting.event_recorder import BURST, EventRecorder
from stationkeeper_operator.reporting.judgement import Judgement
from stationkeeper_operator.reporting.status_writer import StatusWriter
from stationkeeper_operator.resources.records import GATEWAY, Key, decode_resource
from stationkeeper_operator.turns.known_resources import KnownResources
from stationkeeper_operator.turns.status_loop import StatusLoop, StatusRates
from stationkeeper_operator.turns.status_merge import StatusMerge
from stationkeeper_operator.watching.resource_store import ResourceStore
from tests.operator.small_api_server import SmallApiServer, small_api_server
from tests.operator.test_status_writer import until

FLEET = 1500
A, B = "team-a", "team-b"


class Stage:
    def __init__(self, server: SmallApiServer, api: KubernetesApi) -> None:
        self.server = server
        self.store = ResourceStore()
        self.events = EventRecorder(api, "test", lambda: None)
        self.writer = StatusLoop(
            StatusWriter(api, lambda: None, "release"),
            KnownResources(self.store),
            self.events,
            StatusMerge("release", lambda: datetime.now(UTC)),
            rates=StatusRates(judged=BacklogRate(50, 50, 1, burst=100)),
        )

    def lay(self, namespace: str, gateways: int) -> None:
        for number in range(gateways):
            key = Key(GATEWAY, namespace, f"gw-{number}")
            metadata = {"namespace": namespace, "uid": f"uid-{namespace}-{number}", "generation": 1}
            body = self.server.put(
                self.path(key), {"metadata": metadata, "spec": {"eui": f"{number:016X}"}, "status": {}}
            )
            self.store.put(decode_resource(GATEWAY, body))

    def judge(self, message: str, namespace: str = "") -> None:
        """Make a new verdict on everything, as a change of a GatewayDefaults does."""
        judged = {}
        for key, each in self.store.snapshot().resources.items():
            if namespace not in {"", key.namespace}:
                continue
            verdict = Verdict(False, "LNSMissing", message, None)
            judged[key] = Judgement(each.metadata.uid, 1, verdict, False)
        self.writer.judge(judged)

    def path(self, key: Key) -> str:
        return f"/apis/stationkeeper.io/v1alpha1/namespaces/{key.namespace}/gateways/{key.name}"

    def says(self, key: Key, message: str) -> bool:
        return message in str(self.server.objects[self.path(key)].get("status"))

    def told(self, namespace: str, reason: str) -> int:
        here = f"/api/v1/namespaces/{namespace}/events/"
        return sum(path.startswith(here) and each["reason"] == reason for path, each in self.server.objects.items())


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with small_api_server(tmp_path) as (server, api):
        made = Stage(server, api)
        tasks = [asyncio.create_task(part()) for part in (made.writer.run, made.events.run)]
        yield made
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_tenant_that_changes_1500_gateways_twice_a_second_delays_no_other(stage: Stage) -> None:
    stage.lay(B, FLEET)
    stage.lay(A, 1)
    stage.judge("first")
    mine, gone = Key(GATEWAY, A, "gw-0"), decode_resource(GATEWAY, {"metadata": {"namespace": A, "name": "gone"}})

    async def churn() -> None:
        for number in range(20):
            stage.judge(f"churn {number}", B)
            await asyncio.sleep(0.5)

    churning = asyncio.create_task(churn())
    try:
        await asyncio.sleep(1.0)
        for number in range(3):
            await stage.events.warning(decode_resource(GATEWAY, {"metadata": {"namespace": B, "name": "x"}}), "R", "m")
            key_of = stage.store.get(mine)
            assert key_of is not None
            before = len(stage.server.writes)
            stage.writer.judge(
                {mine: Judgement(key_of.metadata.uid, 1, Verdict(False, "LNSMissing", f"mine {number}", None), False)}
            )
            stage.events.queue(gone, "Normal", "Enforced", f"its removal was proven {number}")
            await until(lambda: stage.says(mine, f"mine {number}"))  # noqa: B023
            await until(lambda: stage.told(A, "Enforced") == number + 1)  # noqa: B023
            assert len(stage.server.writes) - before < FLEET / 3, "most of the other's wait still"
    finally:
        churning.cancel()


async def test_events_of_one_namespace_are_dropped_for_none_of_another(stage: Stage) -> None:
    for number in range(200):
        theirs = decode_resource(GATEWAY, {"metadata": {"namespace": B, "name": f"b-{number}"}})
        await stage.events.warning(theirs, "Flood", "m")
    mine = decode_resource(GATEWAY, {"metadata": {"namespace": A, "name": "a"}})
    await stage.events.warning(mine, "Mine", "m")
    assert stage.told(B, "Flood") <= BURST + 5
    assert stage.told(A, "Mine") == 1


@pytest.mark.slow
async def test_a_queued_event_is_retried_and_other_namespaces_do_not_wait_for_it(stage: Stage) -> None:
    events = f"/api/v1/namespaces/{A}/events"
    stage.server.failing[events] = 503
    for number in range(300):
        theirs = decode_resource(GATEWAY, {"metadata": {"namespace": B, "name": f"b-{number}"}})
        stage.events.queue(theirs, "Normal", "Enforced", "m")
    mine = decode_resource(GATEWAY, {"metadata": {"namespace": A, "name": "a"}})
    stage.events.queue(mine, "Normal", "Enforced", "m")
    await until(lambda: ("POST", events) in stage.server.requests)
    assert stage.told(A, "Enforced") == 0
    stage.server.failing.clear()
    await until(lambda: stage.told(A, "Enforced") == 1)
    assert stage.told(B, "Enforced") < 300


@pytest.mark.parametrize(
    ("status", "is_said"),
    [
        pytest.param(403, True, id="the namespace is being deleted"),
        pytest.param(409, False, id="another request created it"),
    ],
)
async def test_an_event_that_can_never_be_written_is_dropped_after_one_attempt(
    stage: Stage, caplog: pytest.LogCaptureFixture, status: int, is_said: bool
) -> None:
    events = f"/api/v1/namespaces/{A}/events"
    stage.server.failing[events] = status
    mine = decode_resource(GATEWAY, {"metadata": {"namespace": A, "name": "a", "uid": "u"}})
    told: list[str] = []

    def is_told() -> bool:
        told.extend(stage.events.take_reported())
        return bool(told)

    stage.events.queue(mine, "Normal", "Enforced", "m", once=True)
    await until(is_told)

    del stage.server.failing[events]
    stage.events.queue(mine, "Normal", "Later", "m")
    await until(lambda: stage.told(A, "Later") == 1)
    assert (stage.told(A, "Enforced"), told, list(stage.events.take_reported())) == (0, ["u"], [])
    assert ("an event was not written" in caplog.messages) is is_said


async def test_a_failed_event_is_logged_and_stops_nothing(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.server.failing[f"/api/v1/namespaces/{A}/events"] = 403
    mine = decode_resource(GATEWAY, {"metadata": {"namespace": A, "name": "a"}})
    await stage.events.warning(mine, "Lost", "m")
    assert caplog.messages == ["an event was not written"]


async def test_queued_events_are_bounded_per_namespace(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with small_api_server(tmp_path) as (server, api):
        # The recorder does not write yet, so the queues fill.
        events = EventRecorder(api, "test", lambda: None, queue_limit=RateLimit(10_000, 10_000))
        theirs = decode_resource(GATEWAY, {"metadata": {"namespace": B, "name": "b"}})
        mine = decode_resource(GATEWAY, {"metadata": {"namespace": A, "name": "a"}})
        for _ in range(5_001):
            events.queue(theirs, "Normal", "Enforced", "m")
        assert caplog.messages == ["too many events in a namespace, some were dropped"]
        events.queue(mine, "Normal", "Enforced", "m")

        here = f"/api/v1/namespaces/{A}/events"
        running = asyncio.create_task(events.run())
        await until(lambda: ("POST", here) in server.requests)
        running.cancel()
        assert len(caplog.messages) == 1


async def test_a_status_that_cannot_be_written_delays_no_other(stage: Stage) -> None:
    stage.lay(B, 20)
    stage.lay(A, 1)
    for number in range(20):
        stage.server.failing[f"{stage.path(Key(GATEWAY, B, f'gw-{number}'))}/status"] = 500
    began = time.monotonic()
    stage.judge("now")
    await until(lambda: stage.says(Key(GATEWAY, A, "gw-0"), "now"))
    # Trying each of the others again, one after the other, would take forty seconds.
    assert time.monotonic() - began < 20


KEYS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 30)), max_size=80)


@given(keys=KEYS, urgent=KEYS)
def test_each_key_is_taken_once_and_none_waits_for_long(
    keys: list[tuple[str, int]], urgent: list[tuple[str, int]]
) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue(lambda key: key[0])
    queue.add(keys, urgent=False)
    queue.add(urgent)
    waiting = {namespace: queue.waiting(namespace) for namespace in "abcd"}
    taken = []
    with contextlib.suppress(StopIteration):
        while (key := queue.take()) is not None:
            taken.append(key)
    assert sorted(taken) == sorted({*keys, *urgent})
    assert [*waiting.values()] == [sum(key[0] == namespace for key in taken) for namespace in "abcd"]
    # An urgent key waits for one urgent key of each other namespace and for the share of the backlog; a key of the
    # backlog waits three times as long.
    for of, most in ((set(urgent), len(waiting) * 4 // 3 + 1), (set(keys) - set(urgent), len(waiting) * 4)):
        for namespace in waiting:
            places = [place for place, key in enumerate(taken) if key[0] == namespace and key in of]
            assert all(later - earlier <= most for earlier, later in pairwise([-1, *places]))
    assert not queue


def test_urgent_keys_overtake_the_backlog_and_do_not_stop_it() -> None:
    queue: FairQueue[str] = FairQueue(lambda key: key[0])
    queue.add((f"{namespace}-backlog-{number}" for namespace in "abcdef" for number in range(50)), urgent=False)
    queue.add(f"z-change-{number}" for number in range(30))
    first = [queue.take() for _ in range(40)]
    assert sum(key is not None and key.startswith("z-") for key in first) == 30


def test_keys_that_are_busy_are_left_for_later() -> None:
    queue: FairQueue[str] = FairQueue(lambda key: key[0])
    queue.add(["a1", "a2", "b1"])
    assert queue.take(busy={"a1"}) == "a2"
    assert queue.take(busy={"a1", "b1"}) is None
    assert [*interleaved(["a1", "a2", "a3", "b1"], lambda key: key[0])] == ["a1", "b1", "a2", "a3"]
