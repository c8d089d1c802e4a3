import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.leadership import NotLeadingError
from stationkeeper_operator.compiling.verdict import RevocationListStatus, Use, Validity, Verdict
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.reporting.judgement import Judgement
from stationkeeper_operator.reporting.status_writer import StatusWriter
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA, Key, decode_resource
from stationkeeper_operator.turns.known_resources import KnownResources
from stationkeeper_operator.turns.status_loop import StatusLoop, StatusRates
from stationkeeper_operator.turns.status_merge import StatusMerge
from stationkeeper_operator.watching.resource_store import ResourceStore
from tests.operator.small_api_server import SmallApiServer, small_api_server
from tests.waiting import EVENTUALLY

KEY = Key(GATEWAY, "team", "one")
PATH = "/apis/stationkeeper.io/v1alpha1/namespaces/team/gateways/one"
EVENTS = "/api/v1/namespaces/team/events"
GOOD = Judgement("u1", 1, Verdict(True, "Accepted", "fine", "registry-00"), True)
BAD = Judgement("u1", 1, Verdict(False, "URIInvalid", "not a URI", None), False)
SUSPENDED = Judgement("u1", 1, Verdict(False, "Suspended", "by its spec", "registry-00"), True)


class Stage:
    def __init__(self, server: SmallApiServer, api: KubernetesApi) -> None:
        self.server = server
        self.store = ResourceStore()
        self.leading = True
        self.late = timedelta()
        self.api = api
        self.running: asyncio.Task[None] | None = None

    def lead(self) -> None:
        """Begin a term of leadership, and end the one before."""
        self.stop()
        self.writer = StatusLoop(
            StatusWriter(self.api, self.permit, "release"),
            KnownResources(self.store),
            EventRecorder(self.api, "test", self.permit),
            StatusMerge("release", lambda: datetime.now(UTC) + self.late),
            rates=StatusRates(sweep_seconds=0.05),
        )
        self.running = asyncio.create_task(self.writer.run())

    def stop(self) -> None:
        if self.running is not None:
            self.running.cancel()

    def lay(self, uid: str = "u1", generation: int = 1, status: dict[str, Any] | None = None) -> None:
        metadata = {"namespace": "team", "uid": uid, "generation": generation}
        body = {"metadata": metadata, "spec": {"eui": "0000000000000001"}, "status": status or {}}
        self.store.put(decode_resource(GATEWAY, self.server.put(PATH, body)))

    async def judge(self, judgement: Judgement) -> None:
        self.writer.judge({KEY: judgement})
        await until(lambda: self.writer.is_idle)

    def permit(self) -> None:
        if not self.leading:
            raise NotLeadingError

    @property
    def told(self) -> list[tuple[str, str]]:
        events = [each for path, each in self.server.objects.items() if path.startswith(EVENTS)]
        return [(each["type"], each["reason"]) for each in events]

    @property
    def conditions(self) -> dict[str, str]:
        listed = self.server.objects[PATH]["status"].get("conditions", [])
        return {each["type"]: each["status"] for each in listed}


async def until(probe: Callable[[], bool]) -> None:
    async with asyncio.timeout(EVENTUALLY):
        while not probe():  # noqa: ASYNC110 - the writer has no event for it
            await asyncio.sleep(0.005)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with small_api_server(tmp_path) as (server, api):
        made = Stage(server, api)
        made.lead()
        yield made
        made.stop()


async def test_a_status_is_written_once(stage: Stage) -> None:
    stage.lay()
    await stage.judge(GOOD)
    assert stage.conditions == {"Accepted": "True", "Published": "True", "Ready": "True"}
    written = len(stage.server.writes)
    stage.writer.note_other_write(KEY)
    await until(lambda: stage.writer.is_idle)
    stage.lead()
    await stage.judge(GOOD)
    assert len(stage.server.writes) == written
    assert stage.told == []


async def test_a_refusal_is_reported_once_and_so_is_its_end(stage: Stage) -> None:
    stage.lay()
    await stage.judge(BAD)
    stage.lead()
    await stage.judge(BAD)
    assert stage.told == [("Warning", "URIInvalid")]
    await stage.judge(GOOD)
    assert sorted(stage.told) == [("Normal", "Accepted"), ("Warning", "URIInvalid")]


async def test_intended_states_cause_no_event(stage: Stage) -> None:
    stage.lay()
    await stage.judge(SUSPENDED)
    await stage.judge(GOOD)
    assert stage.told == []


@pytest.mark.parametrize(("uid", "generation"), [("u2", 1), ("u1", 2)])
async def test_a_judgement_on_a_deleted_resource_is_not_written(stage: Stage, uid: str, generation: int) -> None:
    stage.lay(uid, generation)
    await stage.judge(GOOD)
    assert stage.server.writes == []


async def test_a_resource_recreated_meanwhile_is_not_written(stage: Stage) -> None:
    stage.lay()
    stage.server.objects[PATH]["metadata"]["uid"] = "u2"
    await stage.judge(GOOD)
    assert stage.conditions == {}


async def test_a_deleted_resource_is_not_an_error(stage: Stage) -> None:
    stage.lay()
    del stage.server.objects[PATH]
    await stage.judge(GOOD)
    assert stage.server.objects == {}


async def test_a_status_edited_by_another_writer_is_corrected(stage: Stage) -> None:
    stage.lay()
    await stage.judge(GOOD)
    stage.lay(status={"conditions": []})
    stage.writer.note_other_write(KEY)
    await until(lambda: stage.writer.is_idle)
    assert stage.conditions["Ready"] == "True"


async def test_without_the_lease_nothing_is_written(stage: Stage) -> None:
    stage.lay()
    stage.leading = False
    await stage.judge(GOOD)
    assert stage.server.writes == []


CA = Key(TRUSTED_CA, "team", "ca")
CA_PATH = "/apis/stationkeeper.io/v1alpha1/namespaces/team/trustedcas/ca"


def with_list(next_update: str, *, overdue: bool) -> Judgement:
    lists = (RevocationListStatus("CN=Root", 3, "2026-01-01T00:00:00Z", next_update, overdue),)
    return Judgement("u1", 1, Verdict(True, "Accepted", "fine", "trust", revocation_lists=lists), True)


async def test_an_overdue_list_is_reported_once_and_so_is_the_next_one(stage: Stage) -> None:
    body = {"metadata": {"namespace": "team", "uid": "u1", "generation": 1}, "spec": {}, "status": {}}
    stage.store.put(decode_resource(TRUSTED_CA, stage.server.put(CA_PATH, body)))
    told = ("Warning", "CRLExpired")
    for next_update, overdue, expected in (
        ("2026-06-01T00:00:00Z", False, []),
        ("2026-06-01T00:00:00Z", True, [told]),
        ("2026-06-01T00:00:00Z", True, [told]),
        ("2026-07-01T00:00:00Z", False, [told]),
        ("2026-07-01T00:00:00Z", True, [told, told]),
    ):
        stage.lead()
        stage.writer.judge({CA: with_list(next_update, overdue=overdue)})
        await until(lambda: stage.writer.is_idle)
        assert stage.told == expected
    (shown,) = stage.server.objects[CA_PATH]["status"]["revocationLists"]
    assert shown == {
        "issuer": "CN=Root",
        "entries": 3,
        "thisUpdate": "2026-01-01T00:00:00Z",
        "nextUpdate": "2026-07-01T00:00:00Z",
        "overdue": True,
    }


async def test_another_resource_that_does_not_fit_is_reported_too(stage: Stage) -> None:
    stage.lay()
    for message, expected in (("is full", 1), ("is full", 1), ("what it revokes does not act", 2)):
        await stage.judge(Judgement("u1", 1, Verdict(False, "CapacityExceeded", message, "trust"), True))
        assert stage.told == [("Warning", "CapacityExceeded")] * expected


async def test_each_expiry_threshold_is_written_and_reported_once(stage: Stage) -> None:
    stage.lay()
    trust = Validity(Use.LNS_TRUST, "CN=lns", datetime.now(UTC) + timedelta(days=40))
    await stage.judge(Judgement("u1", 1, Verdict(True, "Accepted", "fine", "registry-00", validities=(trust,)), True))
    assert stage.conditions["Expiring"] == "False"
    assert stage.told == []
    expected = []
    for days, reason in ((15, "ExpiresWithin30Days"), (35, "ExpiresWithin7Days"), (41, "Expired")):
        stage.late = timedelta(days=days)
        expected.append(("Warning", reason))
        await until(lambda: len(stage.told) == len(expected))
        assert sorted(stage.told) == sorted(expected)
    assert stage.conditions["Expiring"] == "True"
    assert stage.conditions["Ready"] == "True"
