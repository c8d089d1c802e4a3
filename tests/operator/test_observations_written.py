"""The status writer, the observed state and an API server together, with very many observations."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stationkeeper_core.published.observation import DeliveryState
from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.rate_limit import BacklogRate
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.reporting.conditions import status_of
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.reporting.judgement import Judgement
from stationkeeper_operator.reporting.status_writer import StatusWriter
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA, Key, decode_resource
from stationkeeper_operator.rollout.rollout_tracker import RolloutTracker
from stationkeeper_operator.turns.known_resources import KnownResources
from stationkeeper_operator.turns.status_loop import StatusLoop, StatusRates
from stationkeeper_operator.turns.status_merge import StatusMerge
from stationkeeper_operator.watching.resource_store import ResourceStore
from tests.operator.resource_building import NOW
from tests.operator.seeing import delivery, eui, saw
from tests.operator.small_api_server import SmallApiServer, small_api_server
from tests.operator.test_status_writer import until

FLEET = 10_000
ACCEPTED = Verdict(True, "Accepted", "fine", "registry-00")
REFUSED = Verdict(False, "URIInvalid", "not a URI", "registry-00")


def key(number: int) -> Key:
    return Key(GATEWAY, "lorawan", f"gw-{number}")


class Stage:
    def __init__(self, server: SmallApiServer, api: KubernetesApi, per_second: float, burst: int) -> None:
        self.server = server
        self.store = ResourceStore()
        self.tracker = tracker = RolloutTracker(self.store.get, "release", asks=False)
        self.state = tracker.observed
        self.writer = StatusLoop(
            StatusWriter(api, lambda: None, "release"),
            KnownResources(self.store),
            EventRecorder(api, "test", lambda: None),
            StatusMerge("release", lambda: datetime.now(UTC), tracker),
            rates=StatusRates(observed=BacklogRate(per_second, per_second, 1, burst)),
        )

    def lay(self, gateways: int) -> None:
        """Add Gateways whose conditions are written already, and the TrustedCA that vouches for them."""
        ca = {"name": "acme", "namespace": "lorawan", "uid": "uid-acme", "resourceVersion": "1"}
        self.store.put(decode_resource(TRUSTED_CA, {"metadata": ca, "spec": {"certificates": "x"}}))
        for number in range(gateways):
            found = {"namespace": "lorawan", "uid": f"uid-lorawan-gw-{number}", "generation": 1}
            body = {"metadata": {**found, "name": f"gw-{number}"}, "spec": {"eui": eui(number)}}
            made = decode_resource(GATEWAY, body)
            body["status"] = status_of(made, ACCEPTED, True, "", NOW, self.tracker.enforced(made, ACCEPTED))
            self.store.put(decode_resource(GATEWAY, self.server.put(self.path(number), body)))
        self.state.take_in_resources(self.store.changes().world.resources)

    def judge(self, gateways: int, verdict: Verdict = ACCEPTED) -> None:
        judged = {key(each): Judgement(f"uid-lorawan-gw-{each}", 1, ACCEPTED, True) for each in range(gateways)}
        self.writer.judge(judged | {key(0): Judgement("uid-lorawan-gw-0", 1, verdict, True)})

    def path(self, number: int) -> str:
        return f"/apis/stationkeeper.io/v1alpha1/namespaces/lorawan/gateways/gw-{number}"

    def status(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.server.objects[self.path(number)]["status"]
        return found

    @property
    def told(self) -> list[tuple[str, str]]:
        events = [each for path, each in self.server.objects.items() if "/events/" in path]
        return [(each["reason"], each["involvedObject"]["name"]) for each in events]


@pytest.fixture
async def stage(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    per_second, burst = getattr(request, "param", (10_000, 10_000))
    async with small_api_server(tmp_path) as (server, api):
        made = Stage(server, api, per_second, burst)
        running = asyncio.create_task(made.writer.run())
        yield made
        running.cancel()


@pytest.mark.slow
@pytest.mark.parametrize("stage", [(10, 10)], indirect=True)
async def test_ten_thousand_gateways_in_a_minute_give_a_bounded_number_of_writes(stage: Stage) -> None:
    stage.lay(FLEET)
    stage.judge(FLEET)
    await until(lambda: stage.writer.is_idle)
    assert stage.server.writes == []
    begun = time.monotonic()
    for minute in range(3):
        stage.writer.queue_observations(stage.state.take_in("a", [saw(each, minute) for each in range(FLEET)], NOW))
        await asyncio.sleep(0.5)
    stage.judge(FLEET, REFUSED)
    await until(lambda: stage.status(0)["conditions"][0]["reason"] == "URIInvalid")

    assert 10 <= len(stage.server.writes) <= 15 + 10 * (time.monotonic() - begun)


async def test_the_newest_observation_is_written_once(stage: Stage) -> None:
    stage.lay(50)
    stage.judge(50)
    await until(lambda: stage.writer.is_idle)
    before = len(stage.server.writes)
    for _ in range(3):
        stage.writer.queue_observations(stage.state.take_in("a", [saw(each) for each in range(50)], NOW))
        await until(lambda: stage.writer.is_idle)
    assert len(stage.server.writes) - before == 50
    assert {stage.status(each)["lastSeen"] for each in range(50)} == {"2026-06-01T00:00:00Z"}


async def test_a_gateway_that_does_not_converge_is_an_event_once(stage: Stage) -> None:
    stage.lay(1)
    stage.judge(1)
    for minute, state in enumerate([DeliveryState.PENDING, *[DeliveryState.NOT_CONVERGING] * 3]):
        seen = saw(0, minute, delivery=delivery(state, minute))
        stage.writer.queue_observations(stage.state.take_in("a", [seen], NOW))
        await until(lambda: stage.writer.is_idle)
    assert stage.status(0)["delivery"]["state"] == "NotConverging"
    assert stage.told == [("NotConverging", "gw-0")]
    (event,) = [each for path, each in stage.server.objects.items() if "/events/" in path]
    assert "LNSCredentials" in event["message"]
    assert "see the gateway's log" in event["message"]


async def test_a_gateway_that_fell_back_is_an_event_each_time_it_does(stage: Stage) -> None:
    stage.lay(1)
    stage.judge(1)
    fell_back, delivered = DeliveryState.FELL_BACK, DeliveryState.DELIVERED
    for minute, (pod, state) in enumerate(
        [("a", delivered), ("a", fell_back), ("b", fell_back), ("a", fell_back), ("b", delivered), ("a", fell_back)]
    ):
        stage.writer.queue_observations(
            stage.state.take_in(pod, [saw(0, minute, delivery=delivery(state, minute))], NOW)
        )
        await until(lambda: stage.writer.is_idle)
        assert stage.status(0)["delivery"]["state"] == state
    assert stage.told == [("FellBack", "gw-0")] * 2
    event = next(each for path, each in stage.server.objects.items() if "/events/" in path)
    assert event["type"] == "Warning"
    assert "correct that server, its trust or the client certificate in spec.cups" in event["message"]
    assert "keep the CA of that certificate" in event["message"]


async def test_a_certificate_that_is_a_ca_is_noted_on_the_gateway_until_it_comes_with_another(stage: Stage) -> None:
    stage.lay(1)
    stage.judge(1)
    regular = saw(0).certificate
    assert regular is not None
    ca = msgspec.structs.replace(regular, is_ca=True, not_before=NOW)
    for minute, certificate in enumerate((ca, regular, ca, None)):
        seen = saw(0, minute, certificate=certificate)
        stage.writer.queue_observations(stage.state.take_in("a", [seen], NOW))
        await until(lambda: stage.writer.is_idle)
        (accepted,) = [each for each in stage.status(0)["conditions"] if each["type"] == "Accepted"]
        assert ("a certificate that is a CA (CA:TRUE)" in accepted["message"]) is (certificate is ca)
        shown = stage.status(0).get("certificate", {})
        assert (shown.get("isCA"), shown.get("notBefore")) == (
            (True, "2026-06-01T00:00:00Z") if certificate is ca else (None, None)
        )
    before = len(stage.server.writes)
    stage.writer.note_other_write(key(0))
    await until(lambda: stage.writer.is_idle)
    assert len(stage.server.writes) == before


async def test_a_gateway_that_comes_by_a_token_shows_no_certificate_any_more(stage: Stage) -> None:
    stage.lay(1)
    stage.judge(1)
    stage.writer.queue_observations(stage.state.take_in("a", [saw(0)], NOW))
    await until(lambda: stage.writer.is_idle)
    assert "certificate" in stage.status(0)
    stage.writer.queue_observations(stage.state.take_in("a", [saw(0, 1, certificate=None)], NOW))
    await until(lambda: stage.writer.is_idle)
    assert stage.status(0).get("certificate") is None
