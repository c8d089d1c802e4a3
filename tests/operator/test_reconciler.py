"""One turn with a small API server: a resource with unknown references is not judged."""

import base64
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published.documents import DOCUMENTS, REGISTRY, TRUST, bucket_of, secret_name
from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.compiling.incremental import pause
from stationkeeper_operator.compiling.world_changes import ResourceChange
from stationkeeper_operator.metrics import Metrics
from stationkeeper_operator.publishing.publisher import Publisher
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.reporting.judgement import Judgement
from stationkeeper_operator.reporting.status_writer import StatusWriter
from stationkeeper_operator.resources.records import GATEWAY, GATEWAY_DEFAULTS, TRUSTED_CA, Key, decode_resource
from stationkeeper_operator.rollout.rollout_tracker import RolloutTracker
from stationkeeper_operator.turns import judging, known_resources
from stationkeeper_operator.turns.compilation import Compilation
from stationkeeper_operator.turns.known_resources import KnownResources
from stationkeeper_operator.turns.reconciler import Reconciler, Turn
from stationkeeper_operator.turns.rollout_flow import RolloutFlow
from stationkeeper_operator.turns.status_loop import StatusLoop
from stationkeeper_operator.turns.status_merge import StatusMerge
from stationkeeper_operator.watching.reference_index import ReferenceIndex
from stationkeeper_operator.watching.reference_reader import ReferenceReader
from stationkeeper_operator.watching.resource_store import ResourceStore
from tests.operator.resource_building import make_pem
from tests.operator.small_api_server import SmallApiServer, small_api_server

RELEASE = "release"
SECRETS = f"/api/v1/namespaces/{RELEASE}/secrets/"
SECRET_PATH = f"/api/v1/namespaces/{RELEASE}/secrets/lns-token"
DEFAULTS = Key(GATEWAY_DEFAULTS, RELEASE, "default")
CA = Key(TRUSTED_CA, RELEASE, "ca")
SHORT, LONG = Key(GATEWAY, "team", "short"), Key(GATEWAY, "team", "long")
LNS = {"uri": "wss://lns.example.com:8887", "trust": make_pem("lns-root")}
WITH_TOKEN = {**LNS, "auth": {"token": {"secretKeyRef": {"name": "lns-token", "key": "token"}}}}


class OverheardStatusLoop(StatusLoop):
    """A status loop that records its judgements."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.judgements: dict[Key, Judgement] = {}
        self.news: set[Key] = set()

    def judge(
        self, judgements: Mapping[Key, Judgement], gone: Iterable[Key] = (), *, is_change: bool | None = None
    ) -> None:
        self.judgements |= judgements
        if is_change:
            self.news |= judgements.keys()
        super().judge(judgements, gone, is_change=is_change)


class Stage:
    def __init__(self, server: SmallApiServer, api: KubernetesApi) -> None:
        self.server = server
        self.version = 0
        self.store = ResourceStore()
        events = EventRecorder(api, "test", _permit)
        self.known = KnownResources(self.store)
        self.status = OverheardStatusLoop(
            StatusWriter(api, _permit, "release"), self.known, events, StatusMerge("release", _now)
        )
        self.tracker = RolloutTracker(self.store.get, "release", asks=False)
        self.metrics = Metrics()
        self.reconciler = Reconciler(
            Compilation(RELEASE, (), self.known, ReferenceReader(api, self.store.references, ()), self.metrics),
            publisher=Publisher(api, RELEASE, _permit, lambda: 5000, lambda: ""),
            status=self.status,
            flow=RolloutFlow(self.tracker, self.status, events),
            now=_now,
        )

    def put(self, key: Key, spec: dict[str, Any], status: dict[str, Any] | None = None) -> None:
        self.version += 1
        metadata = {"name": key.name, "namespace": key.namespace, "uid": f"uid-{key.name}"}
        metadata |= {"resourceVersion": str(self.version)}
        self.store.put(decode_resource(key.kind, {"metadata": metadata, "spec": spec, "status": status or {}}))

    def compiled(self, what: str) -> float:
        line = f'stationkeeper_operator_compiled_total{{what="{what}"}} '
        lines = self.metrics.exposition().decode().splitlines()
        return sum(float(each.removeprefix(line)) for each in lines if each.startswith(line))

    def reasons(self) -> dict[Key, str]:
        return {key: judgement.verdict.reason for key, judgement in self.status.judgements.items()}


def _permit() -> None:
    """Allow every write: this process leads."""


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with small_api_server(tmp_path) as (server, api):
        for document in DOCUMENTS:
            server.put(f"/api/v1/namespaces/{RELEASE}/secrets/{secret_name(document)}", {})
        yield Stage(server, api)


async def test_gateways_are_not_judged_while_it_is_not_known_what_their_default_names(stage: Stage) -> None:
    stage.put(DEFAULTS, {"lns": WITH_TOKEN})
    stage.put(SHORT, {"eui": "0000000000000001"})
    stage.put(LONG, {"eui": "0000000000000002", "lns": LNS})
    labels = {"stationkeeper.io/credentials": "true"}
    data = {"token": base64.b64encode(b"Bearer ONE").decode()}
    stage.server.put(SECRET_PATH, {"metadata": {"namespace": RELEASE, "labels": labels}, "data": data})
    stage.server.failing[SECRET_PATH] = 503
    assert await stage.reconciler.turn() is Turn.AGAIN
    assert stage.reasons() == {LONG: "Accepted"}
    del stage.server.failing[SECRET_PATH]
    assert await stage.reconciler.turn() is Turn.DONE
    assert stage.reasons() == dict.fromkeys((DEFAULTS, SHORT, LONG), "Accepted")


async def test_a_default_that_names_what_does_not_exist_is_judged_and_so_are_its_gateways(stage: Stage) -> None:
    stage.put(DEFAULTS, {"lns": WITH_TOKEN})
    stage.put(SHORT, {"eui": "0000000000000001"})
    assert await stage.reconciler.turn() is Turn.DONE
    assert stage.reasons() == {DEFAULTS: "ReferenceNotFound", SHORT: "LNSMissing"}


async def test_a_delivered_gateway_is_pending_after_a_new_publish(stage: Stage) -> None:
    delivered = {"lastSeen": "2026-01-01T00:00:00Z", "delivery": {"state": "Delivered"}}
    stage.put(LONG, {"eui": "0000000000000002", "lns": LNS}, delivered)
    assert await stage.reconciler.turn() is Turn.DONE
    assert not stage.tracker.fields(stage.store.snapshot().resources[LONG])

    stage.put(LONG, {"eui": "0000000000000002", "lns": {**LNS, "uri": "wss://other.example.com:8887"}}, delivered)
    assert await stage.reconciler.turn() is Turn.DONE

    shown = stage.tracker.fields(stage.store.snapshot().resources[LONG])
    assert shown["delivery"] == {"state": "Pending", "deliveries": 0, "outstanding": []}


async def test_a_resource_that_changes_while_its_turn_runs_is_not_judged_by_the_turn(stage: Stage) -> None:
    stage.put(LONG, {"eui": "0000000000000002", "lns": LNS})
    published = stage.status.judge

    def judge(judgements: Mapping[Key, Judgement], gone: Iterable[Key] = (), *, is_change: bool | None = None) -> None:
        stage.put(LONG, {"eui": "0000000000000002", "lns": {"uri": "nonsense"}})
        published(judgements, gone, is_change=is_change)

    stage.version = 10
    stage.status.judge = judge  # type: ignore[method-assign]
    assert await stage.reconciler.turn() is Turn.DONE
    assert stage.status.judgements[LONG].generation == 0
    stage.status.judge = published  # type: ignore[method-assign]
    assert await stage.reconciler.turn() is Turn.DONE
    assert stage.reasons() == {LONG: "URIInvalid"}


async def test_trust_that_is_removed_is_written_before_any_gateway_is_compiled(stage: Stage) -> None:
    stage.put(CA, {"certificates": make_pem("root")})
    stage.put(LONG, {"eui": "0000000000000002", "lns": LNS})
    assert await stage.reconciler.turn() is Turn.DONE
    stage.put(CA, {"certificates": make_pem("root"), "suspended": True})
    written: list[tuple[str, float]] = []
    stage.server.overheard = lambda path: written.append((path, stage.compiled("Gateway")))
    for number in range(5):
        stage.put(Key(GATEWAY, "team", f"new-{number}"), {"eui": f"000000000000001{number}", "lns": LNS})
    before = stage.compiled("Gateway")
    assert await stage.reconciler.turn() is Turn.DONE
    assert written[0] == (SECRETS + secret_name(TRUST), before)
    assert stage.compiled("Gateway") >= before + 5


async def test_a_turn_stops_between_writes_and_reports_only_written_documents(stage: Stage) -> None:
    for number in range(64):
        stage.put(Key(GATEWAY, "team", f"g{number}"), {"eui": f"00000000000000{number:02X}", "lns": LNS})
    stage.known.changes.wake()
    assert await stage.reconciler.turn() is Turn.MORE
    assert 0 < len(stage.status.judgements) < 64
    assert all(each.published for each in stage.status.judgements.values())
    assert stage.compiled("Gateway") == 64
    stage.known.changes.clear()
    while await stage.reconciler.turn() is not Turn.DONE:
        assert all(each.published for each in stage.status.judgements.values())
    assert len(stage.status.judgements) == 64
    assert all(each.published for each in stage.status.judgements.values())


async def test_everything_is_written_and_judged_despite_constant_changes(stage: Stage) -> None:
    for number in range(500):
        stage.put(Key(GATEWAY, "team", f"g{number}"), {"eui": f"0000000000000{number:03X}", "lns": LNS})
    stage.known.changes.wake()
    assert await stage.reconciler.turn() is Turn.MORE
    assert len(stage.status.judgements) < 500
    turns = 1
    while len(stage.status.judgements) < 500:
        assert await stage.reconciler.turn() in {Turn.MORE, Turn.DONE}
        turns += 1
        assert turns < 20
    assert all(each.published for each in stage.status.judgements.values())


async def test_a_change_during_the_first_compile_is_judged_before_the_backlog(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(64):
        stage.put(Key(GATEWAY, "team", f"g{number}"), {"eui": f"00000000000000{number:02X}", "lns": LNS})
    monkeypatch.setattr(pause, "LEAST_BEFORE_PAUSE", 50)
    stage.known.changes.wake()
    assert await stage.reconciler.turn() is Turn.MORE
    assert not stage.status.judgements
    stage.put(Key(GATEWAY, "team", "g7"), {"eui": "0000000000000007", "lns": LNS, "suspended": True})
    stage.known.changes.clear()
    while not stage.status.judgements:
        await stage.reconciler.turn()
    assert len(stage.status.judgements) > 1
    assert next(iter(stage.status.judgements)).name == "g7"
    assert {key.name for key in stage.status.news} == {"g7"}


async def test_statuses_that_a_trusted_ca_changes_come_after_those_of_changed_gateways(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "FEW", 10)
    stage.put(CA, {"certificates": make_pem("root"), "serves": [{"namespace": "*"}]})
    for number in range(40):
        stage.put(Key(GATEWAY, "team", f"g{number}"), {"eui": f"00000000000000{number:02X}", "lns": LNS})
    while await stage.reconciler.turn() is not Turn.DONE:
        pass
    stage.status.judgements.clear()
    stage.status.news.clear()
    stage.put(CA, {"certificates": make_pem("root"), "suspended": True})
    stage.put(Key(GATEWAY, "team", "g7"), {"eui": "0000000000000007", "lns": LNS, "suspended": True})
    while await stage.reconciler.turn() is not Turn.DONE:
        pass
    assert len(stage.status.judgements) == 41
    assert {key.name for key in stage.status.news} == {"ca", "g7"}


async def test_an_unwritten_document_is_reported_on_all_its_resources(stage: Stage) -> None:
    stage.put(LONG, {"eui": "0000000000000002", "lns": LNS})
    assert await stage.reconciler.turn() is Turn.DONE
    stage.put(LONG, {"eui": "0000000000000002", "lns": {**LNS, "uri": "wss://other.example.com:8887"}})
    path = SECRETS + secret_name(REGISTRY[bucket_of(EUI64(2))])
    stage.server.failing_writes[path] = 503
    assert await stage.reconciler.turn() is Turn.AGAIN
    assert not stage.status.judgements[LONG].published
    del stage.server.failing_writes[path]
    assert await stage.reconciler.turn() is Turn.DONE
    assert stage.status.judgements[LONG].published


async def test_a_release_without_resources_hands_documents_over_too(stage: Stage) -> None:
    assert await stage.reconciler.turn() is Turn.DONE
    assert stage.tracker.is_known


async def test_a_gateway_that_changes_often_before_the_first_turn_is_one_change(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_in: list[tuple[Key, ResourceChange]] = []
    monkeypatch.setattr(stage.tracker, "take_in_resources", lambda changes: taken_in.extend(changes.items()))
    for number in range(5):
        stage.put(SHORT, {"eui": "0000000000000001", "lns": {**LNS, "uri": f"wss://lns-{number}.example.com:8887"}})
        stage.put(LONG, {"eui": "0000000000000002", "lns": LNS})
        await stage.reconciler.prepare()
    long = stage.store.get(LONG)
    assert long is not None
    stage.store.remove(long)
    assert await stage.reconciler.turn() is Turn.DONE
    assert taken_in == [(SHORT, ResourceChange(None, stage.store.get(SHORT))), (LONG, ResourceChange(None, None))]
    assert stage.reasons() == {SHORT: "Accepted"}


async def test_a_preparation_does_not_go_through_all_named_secrets(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone_through: list[int] = []
    original: Callable[[ReferenceIndex], object] = vars(ReferenceIndex)["never_read"].fget

    def never_read(self: ReferenceIndex) -> object:
        gone_through.append(len(self.unresolved))
        return original(self)

    monkeypatch.setattr(ReferenceIndex, "never_read", property(never_read))
    stage.put(LONG, {"eui": "0000000000000002", "lns": WITH_TOKEN})
    await stage.reconciler.prepare()
    await stage.reconciler.prepare()
    assert gone_through == []
    stage.server.failing["/api/v1/namespaces/team/secrets/lns-token"] = 503
    assert await stage.reconciler.turn() is Turn.AGAIN
    assert gone_through == [1]
    assert stage.reasons() == {}


async def test_written_statuses_are_taken_in_without_another_judgement(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.put(SHORT, {"eui": "0000000000000001", "lns": LNS})
    stage.put(LONG, {"eui": "0000000000000002", "lns": LNS})
    for _ in range(2):
        assert await stage.reconciler.turn() is Turn.DONE
    taken_in: list[Key] = []
    monkeypatch.setattr(stage.tracker, "take_in_resources", taken_in.extend)
    stage.status.judgements.clear()
    compiled = stage.compiled("Gateway")
    stage.put(SHORT, {"eui": "0000000000000001", "lns": LNS}, {"lastSeen": "2026-01-01T00:00:00Z"})
    stage.put(LONG, {"eui": "0000000000000002", "lns": LNS, "suspended": True})
    assert await stage.reconciler.turn() is Turn.DONE
    assert stage.status.judgements.keys() == {LONG}
    assert taken_in == [LONG]
    assert stage.compiled("Gateway") == compiled + 1
    assert stage.store.restated == 0


async def test_very_many_written_statuses_cause_a_turn(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_resources, "MOST_RESTATED", 2)
    for key, eui in ((SHORT, "0000000000000001"), (LONG, "0000000000000002")):
        stage.put(key, {"eui": eui, "lns": LNS})
    assert await stage.reconciler.turn() is Turn.DONE
    stage.known.changes.clear()
    for key, is_enough in ((SHORT, False), (LONG, True)):
        resource = stage.store.get(key)
        assert resource is not None
        metadata = replace(resource.metadata, resource_version=str(resource.metadata.version + 10))
        stage.known.take_in_write(replace(resource, metadata=metadata))
        assert stage.known.changes.is_waiting is is_enough
