"""A term of leadership with a small API server: it begins empty, and has no effect after its end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_core.published.documents import DOCUMENTS, secret_name
from stationkeeper_operator import term as term_module
from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.leadership import NotLeadingError
from stationkeeper_operator.compiling.incremental.turn_compiler import TurnCompiler
from stationkeeper_operator.compiling.world_changes import WorldChanges
from stationkeeper_operator.metrics import Metrics
from stationkeeper_operator.publishing.generation_floor import GenerationFloor
from stationkeeper_operator.reporting.watch_lag import WatchLag
from stationkeeper_operator.resources.records import GATEWAY, Key, decode_resource
from stationkeeper_operator.settings import read_settings
from stationkeeper_operator.term import LeaderTerm, SharedParts
from stationkeeper_operator.turns.known_resources import KnownResources
from stationkeeper_operator.turns.reconciler import Turn
from stationkeeper_operator.watching.reference_reader import ReferenceReader
from stationkeeper_operator.watching.resource_store import ResourceStore
from tests.operator.small_api_server import SmallApiServer, small_api_server
from tests.waiting import wait_for

RELEASE = "release"
ROOF = Key(GATEWAY, "team", "roof")


class Stage:
    """A process that leads several times."""

    def __init__(self, server: SmallApiServer, api: KubernetesApi) -> None:
        self.server = server
        self.leading = ""
        self.store = ResourceStore()
        self.shared = SharedParts(
            settings=read_settings(("--namespace", RELEASE, "--identity", "one"), {}),
            api=api,
            known=KnownResources(self.store, lag=WatchLag()),
            reader=ReferenceReader(api, self.store.references, ()),
            metrics=Metrics(),
            now=lambda: datetime.now(UTC),
            floor=GenerationFloor(),
        )

    def win(self, name: str, may_act: Callable[[], bool] | None = None) -> LeaderTerm:
        self.leading = name

        def permit() -> None:
            if self.leading != name:
                raise NotLeadingError

        return LeaderTerm(name, self.shared, permit, may_act or (lambda: self.leading == name))

    def put(self, version: int, spec: dict[str, Any]) -> None:
        metadata = {"name": ROOF.name, "namespace": ROOF.namespace, "uid": "u", "resourceVersion": str(version)}
        self.store.put(decode_resource(GATEWAY, {"metadata": metadata, "spec": spec}))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with small_api_server(tmp_path) as (server, api):
        for document in DOCUMENTS:
            server.put(f"/api/v1/namespaces/{RELEASE}/secrets/{secret_name(document)}", {})
        yield Stage(server, api)


async def test_a_term_begins_empty_and_reads_what_the_earlier_one_published(stage: Stage) -> None:
    stage.put(1, {"eui": "0000000000000001", "lns": {"uri": "ws://lns:1"}})
    first = stage.win("first")
    assert await first.turn() is Turn.DONE
    second = stage.win("second")
    assert not second.verdicts
    written = len(stage.server.writes)
    assert await second.turn() is Turn.DONE
    assert second.verdicts[ROOF].accepted
    marks = stage.server.writes[written:]
    assert len(marks) == len(DOCUMENTS), "each Secret is marked with the term, and none is written anew"


async def test_a_term_reads_the_documents_before_its_first_turn(stage: Stage) -> None:
    stage.put(1, {"eui": "0000000000000001", "lns": {"uri": "ws://lns:1"}})
    assert await stage.win("first").turn() is Turn.DONE
    second = stage.win("second")
    before = len(stage.server.requests)
    running = asyncio.create_task(second.run())

    def are_marked() -> bool:
        return len([each for each in stage.server.requests[before:] if each[0] != "GET"]) >= len(DOCUMENTS)

    await asyncio.to_thread(wait_for, are_marked, "each Secret is marked with the term")
    requests = len(stage.server.requests)
    assert await second.turn() is Turn.DONE
    assert [path for _, path in stage.server.requests[requests:] if "/secrets/" in path] == []
    running.cancel()


@pytest.fixture
def taken_in(monkeypatch: pytest.MonkeyPatch) -> list[frozenset[Key]]:
    """Record the resources that compilers take in, for each call."""
    found: list[frozenset[Key]] = []
    original = TurnCompiler.take_in

    def take_in(self: TurnCompiler, changes: WorldChanges) -> None:
        found.append(frozenset(changes.resources))
        original(self, changes)

    monkeypatch.setattr(TurnCompiler, "take_in", take_in)
    return found


async def test_a_term_takes_in_resources_while_they_are_listed(stage: Stage, taken_in: list[frozenset[Key]]) -> None:
    is_listed = False
    term = stage.win("first", lambda: is_listed)
    running = asyncio.create_task(term.run())
    stage.put(1, {"eui": "0000000000000001", "lns": {"uri": "ws://lns:1"}})
    await asyncio.to_thread(wait_for, lambda: frozenset({ROOF}) in taken_in, "the Gateway is taken in before the end")
    assert not term.verdicts
    is_listed = True
    before = len(taken_in)
    assert await term.turn() is Turn.DONE
    assert frozenset[Key]().union(*taken_in[before:]) == frozenset()
    assert term.verdicts[ROOF].accepted
    running.cancel()


async def test_documents_that_cannot_be_read_before_the_first_turn_are_read_by_it(stage: Stage) -> None:
    stage.put(1, {"eui": "0000000000000001", "lns": {"uri": "ws://lns:1"}})
    secret = f"/api/v1/namespaces/{RELEASE}/secrets/{secret_name(DOCUMENTS[0])}"
    stage.server.failing[secret] = 503
    term = stage.win("first")
    running = asyncio.create_task(term.run())
    await asyncio.to_thread(wait_for, lambda: ("GET", secret) in stage.server.requests, "the Secret is read")
    assert await term.turn() is Turn.AGAIN
    assert not running.done()
    del stage.server.failing[secret]
    assert await term.turn() is Turn.DONE
    assert term.verdicts[ROOF].accepted
    running.cancel()


async def test_a_turn_without_a_certain_lease_is_taken_again(stage: Stage) -> None:
    stage.put(1, {"eui": "0000000000000001", "lns": {"uri": "ws://lns:1"}})
    term = stage.win("first")
    assert await term.turn() is Turn.DONE
    stage.put(2, {"eui": "0000000000000001", "suspended": True})
    stage.leading = ""
    assert await term.turn() is Turn.AGAIN
    stage.leading = "first"
    assert await term.turn() is Turn.DONE
    assert term.verdicts[ROOF].reason == "Suspended"


async def test_an_ended_term_has_no_effect(stage: Stage) -> None:
    stage.put(1, {"eui": "0000000000000001", "lns": {"uri": "ws://lns:1"}})
    first = stage.win("first")
    assert await first.turn() is Turn.DONE
    stage.put(2, {"eui": "0000000000000001", "suspended": True})
    second = stage.win("second")
    written = len(stage.server.writes)
    assert await first.turn() is Turn.AGAIN
    assert len(stage.server.writes) == written
    assert await second.turn() is Turn.DONE
    assert second.verdicts[ROOF].reason == "Suspended"


async def test_a_late_turn_of_an_ended_term_takes_no_change_from_the_next_term(
    stage: Stage, taken_in: list[frozenset[Key]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(term_module, "_PREPARE_SECONDS", 3600.0)
    stage.put(1, {"eui": "0000000000000001", "lns": {"uri": "ws://lns:1"}})
    first = stage.win("first")
    assert await first.turn() is Turn.DONE
    is_listed, before = False, len(taken_in)
    second = stage.win("second", lambda: is_listed)
    running = asyncio.create_task(second.run())
    await asyncio.to_thread(wait_for, lambda: frozenset({ROOF}) in taken_in[before:], "the Gateway is taken in again")
    stage.put(2, {"eui": "0000000000000001", "suspended": True})
    assert await first.turn() is Turn.AGAIN
    is_listed = True
    assert await second.turn() is Turn.DONE
    assert second.verdicts[ROOF].reason == "Suspended"
    running.cancel()
