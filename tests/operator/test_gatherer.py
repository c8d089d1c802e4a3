import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_core.published.documents import (
    TRUST,
    RegisteredGateway,
    RegistryDocument,
    TrustDocument,
    TrustedAuthority,
)
from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.compiling.retention.document_changes import document_changes
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.observing import asked_pods, pod_client, pod_events
from stationkeeper_operator.observing.asked_pods import AskedPods
from stationkeeper_operator.observing.handover import Handover
from stationkeeper_operator.observing.loaded_reports import LoadedReports
from stationkeeper_operator.observing.pod_events import PodEvents
from stationkeeper_operator.observing.pod_rounds import PodRounds
from stationkeeper_operator.observing.seen_pages import SeenPages
from stationkeeper_operator.publishing.stored_document import PublishedValue
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.reporting.judgement import Judgement
from stationkeeper_operator.reporting.status_writer import StatusWriter
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA, Key, decode_resource
from stationkeeper_operator.rollout.generation_report import Loaded, LoadRefusal, ServerCertificate
from stationkeeper_operator.rollout.rollout_tracker import RolloutTracker
from stationkeeper_operator.rollout.step_fact import PodReport
from stationkeeper_operator.turns import rollout_flow, rollout_loop
from stationkeeper_operator.turns.known_resources import KnownResources
from stationkeeper_operator.turns.rollout_flow import RolloutFlow
from stationkeeper_operator.turns.rollout_loop import RolloutLoop
from stationkeeper_operator.turns.status_loop import StatusLoop
from stationkeeper_operator.turns.status_merge import StatusMerge
from stationkeeper_operator.watching.resource_store import ResourceStore
from tests.operator.internal_port import TOKEN, InternalPort, internal_port
from tests.operator.resource_building import der, make_pem
from tests.operator.seeing import eui, saw
from tests.operator.small_api_server import SmallApiServer, small_api_server
from tests.operator.test_status_writer import until

CA, GTW = Key(TRUSTED_CA, "lorawan", "acme"), Key(GATEWAY, "lorawan", "gw-0")
PATHS = {
    CA: "/apis/stationkeeper.io/v1alpha1/namespaces/lorawan/trustedcas/acme",
    GTW: "/apis/stationkeeper.io/v1alpha1/namespaces/lorawan/gateways/gw-0",
}
DOCUMENTS = {CA: TRUST, GTW: "registry-00"}


def authority(name: str = "acme", *anchors: str) -> TrustedAuthority:
    ders = tuple(sorted(der(make_pem(each)) for each in anchors or ("one",)))
    return TrustedAuthority(namespace="lorawan", name=name, uid=f"uid-{name}", anchors=ders)


def trust(*authorities: TrustedAuthority) -> TrustDocument:
    return TrustDocument(release_namespace="release", authorities=authorities)


REGISTRY = RegistryDocument(
    bucket=0, gateways=(RegisteredGateway(eui=eui(0), namespace="lorawan", name="gw-0", uid="uid-lorawan-gw-0"),)
)


class Stage:
    """The part of an operator that asks the pods, and pods that are real TLS servers."""

    def __init__(
        self, server: SmallApiServer, api: KubernetesApi, token_file: Path | None, key_file: Path | None = None
    ) -> None:
        self.server = server
        self.published: dict[str, PublishedValue] = {}
        self.noted: list[Mapping[str, int]] = []
        self.store = ResourceStore()
        self.tracker = RolloutTracker(self.store.get, "release", asks=True)
        events = self.events = EventRecorder(api, "test", lambda: None)
        self.writer = StatusLoop(
            StatusWriter(api, lambda: None, "release"),
            KnownResources(self.store),
            events,
            StatusMerge("release", _now, self.tracker),
        )
        self.flow = RolloutFlow(self.tracker, self.writer, events)
        pods = AskedPods(api, "release")
        self.gatherer = RolloutLoop(
            PodRounds(
                pods,
                LoadedReports(pods, Handover(key_file, lambda: self.published), PodEvents(_now)),
                SeenPages(pods),
            ),
            self.flow,
            events,
            token_file=token_file,
            may_ask=lambda: self.tracker.is_known,
            now=_now,
            note_pod_generations=self.noted.append,
        )

    def lay(self) -> None:
        """Add a TrustedCA and a Gateway with their verdicts."""
        specs: dict[Key, dict[str, Any]] = {CA: {"certificates": "x"}, GTW: {"eui": eui(0)}}
        uids = {CA: "uid-acme", GTW: "uid-lorawan-gw-0"}
        for key, spec in specs.items():
            metadata = {"namespace": key.namespace, "uid": uids[key], "generation": 1}
            body = self.server.put(PATHS[key], {"metadata": metadata, "spec": spec, "status": {}})
            self.store.put(decode_resource(key.kind, body))
        self.flow.take_in_resources(self.store.changes().world.resources)
        verdicts = {key: Verdict(True, "Accepted", "fine", DOCUMENTS[key]) for key in specs}
        self.writer.judge({key: Judgement(uids[key], 1, verdict, True) for key, verdict in verdicts.items()})

    def add_pod(
        self, name: str, port: InternalPort, *, ready: bool = True, terminating: bool = False, phase: str = "Running"
    ) -> None:
        metadata: dict[str, Any] = {"uid": f"uid-{name}"}
        if terminating:
            metadata["deletionTimestamp"] = "2026-06-01T00:00:00Z"
        ports = [{"name": "cups", "containerPort": 1}, {"name": "internal", "containerPort": port.port}]
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        self.server.put(
            f"/api/v1/namespaces/release/pods/{name}",
            {
                "metadata": metadata,
                "spec": {"containers": [{"name": "cups", "ports": ports}]},
                "status": {"podIP": "127.0.0.1", "phase": phase, "conditions": [condition]},
            },
        )

    def remove_pod(self, name: str) -> None:
        del self.server.objects[f"/api/v1/namespaces/release/pods/{name}"]

    async def publish(self, document: str, before: Any, after: Any, generation: int) -> None:
        await self.flow.published({document: document_changes(before, after)}, {document: generation})

    def status(self, key: Key) -> dict[str, Any]:
        found: dict[str, Any] = self.server.objects[PATHS[key]]["status"]
        return found

    def enforced(self, key: Key) -> tuple[str, str, str]:
        for each in self.status(key).get("conditions", ()):
            if each["type"] == "Enforced":
                return each["status"], each["reason"], each["message"]
        return "", "", ""

    @property
    def told(self) -> list[tuple[str, str]]:
        events = [each for path, each in self.server.objects.items() if "/events/" in path]
        return [(each["reason"], each["involvedObject"]["name"]) for each in events]


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(asked_pods, "GATHER_SECONDS", 0.1)
    monkeypatch.setattr(rollout_loop, "COUNT_SECONDS", 0.1)
    monkeypatch.setattr(rollout_flow, "QUICK_SECONDS", 0.02)
    (tmp_path / "internal-token").write_text(TOKEN)
    async with small_api_server(tmp_path) as (server, api):
        made = Stage(server, api, tmp_path / "internal-token")
        tasks = [asyncio.create_task(part()) for part in (made.writer.run, made.gatherer.run, made.events.run)]
        yield made
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[InternalPort]:
    async with internal_port(tmp_path) as made:
        yield made


@pytest.fixture
async def other_port(tmp_path: Path) -> AsyncIterator[InternalPort]:
    async with internal_port(tmp_path) as made:
        yield made


async def test_a_resource_that_every_pod_has_loaded_is_enforced_and_then_ready(
    stage: Stage, port: InternalPort, other_port: InternalPort
) -> None:
    port.loaded = other_port.loaded = Loaded({TRUST: 4})
    stage.add_pod("cups-0", port)
    stage.add_pod("cups-1", other_port)
    stage.lay()
    await stage.publish(TRUST, None, trust(authority()), 5)
    await until(lambda: stage.enforced(CA)[:2] == ("False", "Pending"))
    port.loaded = Loaded({TRUST: 5})
    other_port.loaded = Loaded({TRUST: 4}, {TRUST: LoadRefusal("DigestMismatch", "not what it says")})
    await until(lambda: stage.enforced(CA)[1] == "PodCannotLoad")
    assert "cups-1 cannot load trust: DigestMismatch" in stage.enforced(CA)[2]
    await until(lambda: ("PodCannotLoad", "cups-1") in stage.told)
    other_port.loaded = Loaded({TRUST: 5})
    await until(lambda: stage.enforced(CA)[0] == "True")
    assert " s after it was published" in stage.enforced(CA)[2]
    assert {each["type"]: each["status"] for each in stage.status(CA)["conditions"]}["Ready"] == "True"
    assert stage.told == [("PodCannotLoad", "cups-1")]


@pytest.mark.parametrize(("ready", "terminating"), [(False, False), (True, True), (False, True)])
async def test_an_unready_or_terminating_pod_is_asked_only_for_loaded_generations(
    stage: Stage, port: InternalPort, other_port: InternalPort, ready: bool, terminating: bool
) -> None:
    port.loaded, other_port.loaded = Loaded({TRUST: 5}), Loaded({TRUST: 4})
    stage.add_pod("cups-0", port)
    stage.add_pod("cups-1", other_port, ready=ready, terminating=terminating)
    stage.lay()
    await stage.publish(TRUST, None, trust(authority()), 5)
    await until(lambda: "pod cups-1" in stage.enforced(CA)[2])
    assert stage.enforced(CA)[:2] == ("False", "Pending")
    stage.remove_pod("cups-1")
    await until(lambda: stage.enforced(CA)[0] == "True")
    assert set(other_port.paths) == {"/generation"}


async def test_a_missing_secret_of_a_pod_is_reported_once_with_its_name_and_keys(
    stage: Stage, port: InternalPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_events, "WAITING_SECONDS", 0.3)
    port.loaded = Loaded({}, secrets_missing="stationkeeper-server-tls (keys tls.crt and tls.key)")
    stage.add_pod("cups-0", port, ready=False)
    stage.lay()
    await until(lambda: stage.told == [("WaitsForSecret", "cups-0")])
    event = next(each for path, each in stage.server.objects.items() if "/events/" in path)
    assert "stationkeeper-server-tls (keys tls.crt and tls.key)" in event["message"]
    asked = len(port.paths)
    await until(lambda: len(port.paths) > asked + 5)
    assert len(stage.told) == 1


async def test_the_generations_before_a_restart_count_as_loaded(stage: Stage, port: InternalPort) -> None:
    port.loaded = Loaded({TRUST: 5}, secrets_missing="stationkeeper-registry-00", kept={"registry-00": 7, "other": 9})
    stage.add_pod("cups-0", port, ready=False)
    stage.lay()
    await until(lambda: bool(stage.noted))
    assert stage.noted[0] == {TRUST: 5, "registry-00": 7}


async def test_a_pod_that_is_over_is_not_asked(stage: Stage, port: InternalPort, other_port: InternalPort) -> None:
    port.loaded = Loaded({TRUST: 5})
    stage.add_pod("cups-0", port)
    stage.add_pod("cups-1", other_port, ready=False, phase="Failed")
    stage.lay()
    await stage.publish(TRUST, None, trust(authority()), 5)
    await until(lambda: stage.enforced(CA)[0] == "True")
    assert other_port.paths == []


@pytest.fixture
def endless_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_client, "REQUEST_SECONDS", 600.0)


async def test_a_silent_unready_pod_delays_no_other(
    endless_requests: None, stage: Stage, port: InternalPort, other_port: InternalPort
) -> None:
    port.loaded = Loaded({TRUST: 5})
    other_port.silent = True
    stage.add_pod("cups-0", port)
    stage.add_pod("cups-1", other_port, ready=False)
    stage.lay()
    await stage.publish(TRUST, None, trust(authority()), 5)
    await until(lambda: stage.enforced(CA)[0] == "True")
    assert stage.enforced(CA)[2].endswith("not ready and without an answer: pod cups-1")


async def test_a_pod_that_cannot_be_reached_is_named_and_logged_once(
    stage: Stage, port: InternalPort, caplog: pytest.LogCaptureFixture
) -> None:
    stage.add_pod("cups-0", port)
    port.port = 1
    stage.add_pod("cups-1", port)
    caplog.set_level(logging.INFO, "stationkeeper.operator.gatherer")
    stage.lay()
    await stage.publish(TRUST, None, trust(authority()), 5)
    await until(lambda: stage.enforced(CA)[:2] == ("Unknown", "PodUnreachable"))
    assert "pod cups-1" in stage.enforced(CA)[2]
    asked = len(port.paths)
    await until(lambda: len(port.paths) > asked + 6)
    told = [record for record in caplog.records if getattr(record, "fields", {}).get("pod") == "cups-1"]
    assert sorted(record.__dict__["fields"]["what"] for record in told) == ["loaded", "seen"]


async def test_without_a_pod_it_is_not_known_whether_it_is_enforced(stage: Stage) -> None:
    stage.lay()
    await stage.publish(TRUST, None, trust(authority()), 5)
    await until(lambda: stage.enforced(CA)[:2] == ("Unknown", "NoCUPSPod"))


async def test_visits_seen_by_the_pods_are_in_the_statuses(
    stage: Stage, port: InternalPort, other_port: InternalPort
) -> None:
    stage.add_pod("cups-0", port)
    stage.add_pod("cups-1", other_port)
    stage.lay()
    now = datetime.now(UTC)
    strangers = [saw(number, uid="", last_seen=now) for number in range(1000, 3500)]
    port.seen = [*strangers, saw(0, 1, station="old")]
    other_port.seen = [saw(0, 2, station="new")]
    await until(lambda: stage.status(GTW).get("station") == "new")
    await until(lambda: len(stage.status(CA).get("unregistered", ())) == 50)
    await until(lambda: "/observations?since=2501" in port.paths)
    assert port.paths.count("/observations?since=0") == 1


async def test_a_restarted_pod_is_read_from_the_beginning(stage: Stage, port: InternalPort) -> None:
    stage.add_pod("cups-0", port)
    stage.lay()
    port.seen = [saw(1, uid=""), saw(0, 1, station="before")]
    await until(lambda: stage.status(GTW).get("station") == "before")
    port.instance, port.seen = "second", [saw(0, 2, station="after")]
    await until(lambda: stage.status(GTW).get("station") == "after")


async def test_a_deleted_ca_in_use_is_reported_and_then_its_end_in_all_pods(stage: Stage, port: InternalPort) -> None:
    port.loaded = Loaded({TRUST: 5})
    stage.add_pod("cups-0", port)
    stage.lay()
    now = datetime.now(UTC)
    stage.flow.visited("a", [saw(0, last_seen=now)], now)
    await stage.flow.count(now)
    before, after = trust(authority(), authority("twin")), trust(authority("twin"))
    await stage.publish(TRUST, before, after, 6)
    await stage.flow.record_removals({TRUST: after}, {})
    await until(lambda: sorted(stage.told) == [("InUse", "acme"), ("StillTrustedBy", "acme")])
    port.loaded = Loaded({TRUST: 6})
    await until(lambda: ("Enforced", "acme") in stage.told)
    (told,) = [each for each in stage.server.objects.values() if each.get("reason") == "StillTrustedBy"]
    assert "lorawan/twin" in told["message"]


async def test_a_proof_that_comes_before_the_turn_is_reported_after_the_removal(stage: Stage) -> None:
    before, after = trust(authority()), trust()
    await stage.publish(TRUST, before, after, 6)
    await stage.flow.reported([PodReport("cups-0", {TRUST: 6})])
    await stage.flow.record_removals({TRUST: after}, {})
    await until(lambda: stage.told == [("Enforced", "acme")])


async def test_a_ca_that_gives_up_an_anchor_that_another_holds_is_reported(stage: Stage) -> None:
    stage.lay()
    before = trust(authority("acme", "one", "two"), authority("twin", "two"))
    after = trust(authority("acme", "one"), authority("twin", "two"))
    await stage.publish(TRUST, before, after, 6)
    await stage.flow.record_removals({TRUST: after}, stage.store.snapshot().resources)
    await until(lambda: stage.told == [("StillTrustedBy", "acme")])


async def test_without_a_token_no_pod_is_asked_and_that_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with small_api_server(tmp_path) as (server, api):
        stage = Stage(server, api, None)
        task = asyncio.create_task(stage.gatherer.run())
        await until(lambda: "--internal-token-file" in caplog.text)
        task.cancel()
    assert server.requests == []
    assert json.dumps([record.getMessage() for record in caplog.records]).count("--internal-token-file") == 1


async def test_the_end_of_a_pods_certificate_is_reported_once_a_stage(stage: Stage, port: InternalPort) -> None:
    def ends(days: int) -> Loaded:
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
        return Loaded({TRUST: 5}, server_certificate=ServerCertificate(end))

    port.loaded = ends(20)
    stage.add_pod("cups-0", port)
    stage.lay()
    await until(lambda: stage.told == [("ServerCertificateExpiring", "cups-0")])
    port.loaded = ends(5)
    await until(lambda: len(stage.told) == 2)
    assert stage.told[1] == ("ServerCertificateExpiring", "cups-0")
