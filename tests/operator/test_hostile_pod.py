"""A hostile CUPS pod, over real TLS: its reports are bounded, cut, and compared with the existing resources."""

import asyncio
import contextlib
import itertools
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from stationkeeper_core.published.documents import TRUST
from stationkeeper_core.published.observation import (
    MAX_PAGE,
    Observation,
    ObservationPage,
    SeenCertificate,
    SeenRefusal,
)
from stationkeeper_operator.observing import asked_pods
from stationkeeper_operator.observing.pod_client import MAX_INSTANCE, PodClient, PodError
from stationkeeper_operator.resources.records import TRUSTED_CA, Key
from stationkeeper_operator.rollout.generation_report import Loaded, LoadRefusal, bounded
from stationkeeper_operator.turns import rollout_loop
from tests.operator.internal_port import TOKEN, InternalPort, internal_port
from tests.operator.seeing import CA, Fleet, at, eui, refusal, saw
from tests.operator.small_api_server import small_api_server
from tests.operator.test_gatherer import CA as STAGE_CA
from tests.operator.test_gatherer import GTW, Stage
from tests.operator.test_status_writer import until
from tests.waiting import EVENTUALLY

MAX_MIB = 16
ATTACK_SECONDS = 3.0


class Hostile(InternalPort):
    """A pod that always reports something new.

    Attributes:
        make: the observation of a number.
        size: observations of a page.
    """

    def __init__(self, make: Callable[[int], Observation], size: int = MAX_PAGE) -> None:
        super().__init__()
        self.make = make
        self.size = size
        self._numbers = itertools.count()

    def page(self, since: int) -> ObservationPage:
        found = tuple(self.make(next(self._numbers)) for _ in range(self.size))
        return ObservationPage(instance="first", cursor=since + self.size, more=True, observations=found)


def _stranger(number: int, name: str, *, text: str = "x") -> Observation:
    certificate = SeenCertificate(serial="1", sha256="ab", not_after=datetime.now(UTC), trusted_ca=name)
    fields: dict[str, Any] = {"station": text, "model": text, "package": text}
    return Observation(eui=eui(number), last_seen=datetime.now(UTC), certificate=certificate, **fields)


ATTACKS: dict[str, Callable[[int], Observation]] = {
    "ever new TrustedCAs": lambda number: _stranger(number, f"lorawan/{number:02500d}"),
    "ever new EUIs": lambda number: _stranger(number, "lorawan/acme", text="y" * 600),
    "long refusals": lambda number: saw(
        0,
        last_seen=datetime.now(UTC),
        refusal=SeenRefusal(reason=f"{number:02000d}", at=datetime.now(UTC), trusted_ca="lorawan/acme"),
    ),
    "other tenants": lambda number: saw(0, ca=f"other/{number:02000d}", last_seen=datetime.now(UTC)),
    "EUIs that are none": lambda number: Observation(eui="z" * 2000, uid=str(number), last_seen=datetime.now(UTC)),
}


@contextlib.asynccontextmanager
async def _attacked(folder: Path, hostile: Hostile) -> AsyncIterator[tuple[Stage, InternalPort]]:
    (folder / "internal-token").write_text(TOKEN)
    async with (
        small_api_server(folder) as (server, api),
        internal_port(folder, made=hostile),
        internal_port(folder) as honest,
    ):
        stage = Stage(server, api, folder / "internal-token")
        stage.lay()
        stage.add_pod("cups-0", hostile)
        stage.add_pod("cups-1", honest)
        tasks = [asyncio.create_task(part()) for part in (stage.writer.run, stage.gatherer.run, stage.events.run)]
        try:
            yield stage, honest
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS)
async def test_its_reports_take_little_memory_and_other_pods_still_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: str
) -> None:
    monkeypatch.setattr(asked_pods, "GATHER_SECONDS", 0.1)
    monkeypatch.setattr(rollout_loop, "COUNT_SECONDS", 0.1)
    async with _attacked(tmp_path, hostile := Hostile(ATTACKS[attack])) as (stage, honest):
        await until(lambda: len(hostile.paths) > 1)
        tracemalloc.start()
        try:
            await asyncio.sleep(ATTACK_SECONDS)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < MAX_MIB * 1024 * 1024
        later = datetime.now(UTC) + timedelta(seconds=2)
        honest.seen = [saw(0, last_seen=later, station="honest")]
        async with asyncio.timeout(EVENTUALLY):
            while not _is_newer(stage, later):  # noqa: ASYNC110 - the writer has no event for it
                await asyncio.sleep(0.1)
        listed = stage.status(STAGE_CA).get("unregistered", ())
        assert len(listed) <= 50
        assert len(msgspec.json.encode(stage.status(GTW))) < 8192
        assert len(msgspec.json.encode(stage.status(STAGE_CA))) < 64 * 1024


def _is_newer(stage: Stage, time: datetime) -> bool:
    seen = stage.status(GTW).get("lastSeen")
    return seen is not None and datetime.fromisoformat(str(seen)) >= time.replace(microsecond=0)


@pytest.mark.parametrize(
    "answer",
    [
        {"instance": "i" * (MAX_INSTANCE + 1), "cursor": 1},
        {"instance": "i", "cursor": -1},
        {"instance": "i", "cursor": 10**18},
        {"instance": "i", "cursor": 1, "observations": [{"eui": "0"}] * (MAX_PAGE + 1)},
        {"instance": "i", "cursor": 1, "observations": [{"eui": "0" * 4_000_000}]},
    ],
)
async def test_an_answer_beyond_the_bounds_is_not_taken(tmp_path: Path, answer: dict[str, Any]) -> None:
    (tmp_path / "internal-token").write_text(TOKEN)
    async with internal_port(tmp_path) as port, PodClient(tmp_path / "internal-token") as client:
        port.answer = web.Response(body=msgspec.json.encode(answer))
        with pytest.raises(PodError):
            await client.observations(port.pod(), 0)


async def test_only_existing_documents_count_in_its_report(tmp_path: Path) -> None:
    (tmp_path / "internal-token").write_text(TOKEN)
    async with internal_port(tmp_path) as port, PodClient(tmp_path / "internal-token") as client:
        refused = {TRUST: LoadRefusal("R" * 1000, "d\x1b" * 1000), "made-up": LoadRefusal("x")}
        port.loaded = Loaded({TRUST: 7, "registry-00": -1, "registry-01": 2**63, "x" * 1000: 1}, refused)
        found = await client.loaded(port.pod())
        assert found.generations == {TRUST: 7}
        assert set(found.refused) == {TRUST}
        assert len(found.refused[TRUST].reason) + len(found.refused[TRUST].detail) < 400
        assert "\x1b" not in found.refused[TRUST].detail
        port.answer = web.Response(body=msgspec.json.encode({"generations": {str(each): 1 for each in range(20_000)}}))
        with pytest.raises(PodError):
            await client.loaded(port.pod())
    assert bounded(found) == found


async def test_refusals_with_changing_texts_are_reported_within_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked_pods, "GATHER_SECONDS", 0.01)

    class Changing(Hostile):
        async def handle(self, request: web.Request) -> web.StreamResponse:
            number = len(self.paths)
            self.loaded = Loaded({TRUST: 1}, {TRUST: LoadRefusal(f"R{number}", "x" * (number % 100))})
            return await super().handle(request)

    async with _attacked(tmp_path, hostile := Changing(saw, 1)) as (stage, _):
        await until(lambda: len(hostile.paths) > 200)
        assert sum(reason == "PodCannotLoad" for reason, _ in stage.told) <= 20


def take(fleet: Fleet, *seen: Observation) -> list[Key]:
    found = fleet.state.take_in("a", seen, at(60))
    fleet.state.count(at(60))
    return found


OTHER = Key(TRUSTED_CA, "other", "theirs")
RELEASE = Key(TRUSTED_CA, "release", "for-all")


@pytest.fixture
def fleet() -> Fleet:
    made = Fleet(1)
    for key in (OTHER, RELEASE):
        made.resources[key] = made.make(key, {"certificates": "x"})
    made.start()
    return made


def test_another_tenants_ca_writes_nothing_into_a_gateways_status(fleet: Fleet) -> None:
    take(fleet, saw(0, 1, refusal=refusal(1)))
    before = fleet.write(fleet.key())
    for name in ("other/theirs", "lorawan/made-up", "no-slash", ""):
        hostile = SeenRefusal(reason="GatewaySuspended", at=at(5), trusted_ca=name or "/")
        take(fleet, saw(0, 5, ca=name, refusal=hostile, station="theirs"))
        assert fleet.write(fleet.key()) == before
    mine = SeenRefusal(reason="EUIOutOfRange", at=at(6), trusted_ca="release/for-all")
    take(fleet, saw(0, 6, ca="release/for-all", refusal=mine))
    after = fleet.write(fleet.key())
    assert after["lastRefusal"]["reason"] == "EUIOutOfRange"
    assert after["certificate"]["trustedCA"] == "release/for-all"


def test_an_unregistered_gateway_is_listed_only_on_an_existing_ca(fleet: Fleet) -> None:
    take(fleet, *(saw(number, uid="", ca=f"lorawan/{number}") for number in range(1, 100)))
    take(fleet, saw(100, uid="", ca="other/theirs"))
    assert "unregistered" not in fleet.write(CA)
    assert [each["eui"] for each in fleet.write(OTHER)["unregistered"]] == [eui(100)]


def test_a_gateway_of_one_namespace_is_unregistered_in_another(fleet: Fleet) -> None:
    take(fleet, saw(0, uid="", ca="other/theirs"), saw(0, uid="", ca="release/for-all"), saw(0, uid=""))
    assert [each["eui"] for each in fleet.write(OTHER)["unregistered"]] == [eui(0)]
    assert "unregistered" not in fleet.write(CA)
    assert "unregistered" not in fleet.write(RELEASE)


def test_a_gateway_that_is_accepted_again_is_shown_so_at_once(fleet: Fleet) -> None:
    take(fleet, saw(0, 1))
    fleet.write(fleet.key())
    take(fleet, saw(0, 1, refusal=refusal(2)))
    assert fleet.write(fleet.key())["lastRefusal"]["reason"] == "CertificateRevoked"
    assert take(fleet, saw(0, 3, refusal=refusal(2))) == [fleet.key()]
    status = fleet.write(fleet.key())
    assert status["lastSeen"] > status["lastRefusal"]["time"]
