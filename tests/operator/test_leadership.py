from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from stationkeeper_core.published.operator_proof import LATEST_HOLDS_MS
from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.leadership import Leadership, NotLeadingError, Timing
from tests.operator.small_api_server import SmallApiServer, small_api_server

LEASE = "/apis/coordination.k8s.io/v1/namespaces/release/leases/stationkeeper-operator"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """Two candidates on one server, each with its own clock, as on two machines."""

    def __init__(self, server: SmallApiServer, api: KubernetesApi) -> None:
        self.server = server
        self._api = api
        self.clocks = {"a": Clock(), "b": Clock()}
        self.clocks["b"].now = 5.0
        self.told: list[str] = []
        self.candidates = {
            name: Leadership(api, "release", name, changed=partial(self.told.append, name), clock=clock)
            for name, clock in self.clocks.items()
        }

    def successor(self, name: str) -> Leadership:
        """Return the next process in the pod of that candidate."""
        return Leadership(self._api, "release", name, clock=self.clocks[name])

    async def attempt(self, name: str) -> bool:
        return await self.candidates[name].attempt()

    def pass_time(self, seconds: float) -> None:
        for clock in self.clocks.values():
            clock.now += seconds

    @property
    def leading(self) -> set[str]:
        return {name for name, candidate in self.candidates.items() if candidate.is_leading}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with small_api_server(tmp_path) as (server, api):
        yield Stage(server, api)


async def test_the_first_takes_the_lease_and_the_second_does_not(stage: Stage) -> None:
    assert await stage.attempt("a")
    assert not await stage.attempt("b")
    assert stage.leading == {"a"}


async def test_a_holder_that_renews_keeps_it(stage: Stage) -> None:
    for _ in range(10):
        assert await stage.attempt("a")
        assert not await stage.attempt("b")
        stage.pass_time(5)
    assert stage.leading == {"a"}


async def test_a_holder_that_cannot_renew_stops_well_before_another_may_take_over(stage: Stage) -> None:
    await stage.attempt("a")
    await stage.attempt("b")
    stage.pass_time(10)
    assert stage.leading == set()
    with pytest.raises(NotLeadingError):
        stage.candidates["a"].require()
    assert not await stage.attempt("b")
    stage.pass_time(5)
    assert await stage.attempt("b")
    assert stage.leading == {"b"}


async def test_the_time_written_in_the_lease_is_ignored(stage: Stage) -> None:
    await stage.attempt("a")
    stage.server.objects[LEASE]["spec"]["renewTime"] = "2001-01-01T00:00:00.000000Z"
    assert not await stage.attempt("b")


async def test_one_that_lost_it_does_not_renew_it(stage: Stage) -> None:
    await stage.attempt("a")
    await stage.attempt("b")
    stage.pass_time(15)
    await stage.attempt("b")
    assert not await stage.attempt("a")
    assert not await stage.attempt("a")
    assert stage.leading == {"b"}


async def test_a_released_lease_is_taken_at_once(stage: Stage) -> None:
    await stage.attempt("a")
    await stage.candidates["a"].release()
    assert stage.leading == set()
    assert await stage.attempt("b")
    assert stage.server.objects[LEASE]["spec"]["leaseTransitions"] == 1


async def test_failures_do_not_end_leading_before_its_time(stage: Stage) -> None:
    await stage.attempt("a")
    stage.server.failing[LEASE] = 500
    stage.pass_time(9)
    assert not await stage.attempt("a")
    assert stage.leading == {"a"}
    stage.pass_time(2)
    assert stage.leading == set()
    del stage.server.failing[LEASE]
    assert await stage.attempt("a")
    assert stage.told == ["a"] * 3, "began, ended, began again"


async def test_a_lease_that_is_not_held_is_not_released(stage: Stage) -> None:
    await stage.attempt("a")
    await stage.candidates["b"].release()
    assert [method for method, _ in stage.server.requests] == ["GET", "POST"]
    assert (stage.leading, stage.candidates["b"].term) == ({"a"}, "")


@pytest.mark.parametrize("status", [500, pytest.param(409, id="409, which is tried again, but not for ever")])
async def test_a_lease_that_could_not_be_released_is_held_no_longer(
    stage: Stage, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    await stage.attempt("a")
    stage.server.failing_writes[LEASE] = status
    await stage.candidates["a"].release()
    assert stage.leading == set()
    assert "the Lease was not released" in caplog.messages


async def test_a_lease_is_released_although_a_cancelled_renewal_was_written(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.attempt("a")
    written = stage.server.objects[LEASE]["spec"]
    stage.server.put(LEASE, {"spec": {**written, "renewTime": "2026-01-01T00:00:00.000000Z"}})
    await stage.candidates["a"].release()
    assert stage.server.objects[LEASE]["spec"]["holderIdentity"] == ""
    assert await stage.attempt("b")
    assert "the Lease was not released" not in caplog.messages


@pytest.mark.parametrize("change", [{"holderIdentity": "b"}, {"leaseTransitions": 1}, {"acquireTime": "later"}])
async def test_a_lease_of_another_term_is_not_released(
    stage: Stage, caplog: pytest.LogCaptureFixture, change: dict[str, object]
) -> None:
    await stage.attempt("a")
    written = {**stage.server.objects[LEASE]["spec"], **change}
    stage.server.put(LEASE, {"spec": written})
    await stage.candidates["a"].release()
    assert stage.server.objects[LEASE]["spec"] == written
    assert "the Lease was not released" in caplog.messages


async def test_only_one_of_two_leads_that_create_the_lease_at_once(stage: Stage) -> None:
    # "b" finds none, and "a" creates it before "b" does.
    stage.server.failing[LEASE] = 404
    assert await stage.attempt("a")
    assert not await stage.attempt("b")
    assert stage.leading == {"a"}


async def test_a_lease_that_cannot_be_read_is_not_taken(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.server.put(LEASE, {"spec": {"holderIdentity": 7}})
    assert not await stage.attempt("a")
    assert stage.leading == set()
    assert "the Lease cannot be read or written" in caplog.messages
    assert stage.server.writes == []


@pytest.mark.parametrize("status", [403, 500])
async def test_a_lease_that_cannot_be_created_or_taken_is_not_held(stage: Stage, status: int) -> None:
    stage.server.failing_writes[LEASE.rpartition("/")[0]] = status
    assert not await stage.attempt("a")
    stage.server.failing_writes.clear()
    stage.server.put(LEASE, {"spec": {}})
    stage.server.failing_writes[LEASE] = status
    assert not await stage.attempt("a")
    assert stage.leading == set()


async def test_the_next_process_of_the_same_pod_takes_over_at_once_in_a_term_of_its_own(stage: Stage) -> None:
    before = stage.candidates["a"]
    assert await before.attempt()
    term_before = before.term
    successor = stage.successor("a")
    assert await successor.attempt()
    assert successor.is_leading
    assert successor.term != term_before
    assert not await stage.attempt("b"), "its Lease is as good as any"


async def test_a_process_that_outlives_its_container_stops_when_it_renews(stage: Stage) -> None:
    before = stage.candidates["a"]
    await before.attempt()
    successor = stage.successor("a")
    await successor.attempt()
    assert not await before.attempt()
    with pytest.raises(NotLeadingError):
        before.require()
    assert await successor.attempt()


def test_a_pod_believes_a_leader_for_less_time_than_lies_between_two_leaders() -> None:
    timing = Timing()
    assert timing.duration - timing.deadline > LATEST_HOLDS_MS / 1000
