from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stationkeeper_operator.resources.records import GATEWAY, SECRET, Key, Reference, decode_resource
from stationkeeper_operator.watching.reference_reader import FEW, ReferenceReader
from stationkeeper_operator.watching.resource_store import ResourceStore
from tests.operator.small_api_server import SmallApiServer, small_api_server


def reference(name: str) -> Reference:
    return Reference(SECRET, "team", name)


class Stage:
    def __init__(self, server: SmallApiServer, store: ResourceStore, reader: ReferenceReader) -> None:
        self.server = server
        self.store = store
        self.reader = reader

    def name(self, *secrets: str) -> None:
        for number, secret in enumerate(secrets):
            auth = {"token": {"secretKeyRef": {"name": secret, "key": "token"}}}
            metadata = {"name": f"gw-{secret}", "namespace": "team", "resourceVersion": str(number + 1)}
            spec = {"eui": "0000000000000001", "lns": {"uri": "wss://a:1", "auth": auth}}
            self.store.put(decode_resource(GATEWAY, {"metadata": metadata, "spec": spec}))

    def lay(self, name: str) -> None:
        metadata = {"namespace": "team", "labels": {"stationkeeper.io/credentials": "true"}}
        self.server.put(f"/api/v1/namespaces/team/secrets/{name}", {"metadata": metadata, "data": {"token": "dA=="}})

    async def read(self) -> None:
        await self.reader.read(self.store.references.unresolved)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with small_api_server(tmp_path) as (server, api):
        store = ResourceStore()
        yield Stage(server, store, ReferenceReader(api, store.references, ["team"]))


async def test_existing_objects_are_known_and_404_means_missing(stage: Stage) -> None:
    stage.lay("one")
    stage.name("one", "two")
    await stage.read()
    assert set(stage.store.snapshot().referenced) == {reference("one")}
    assert stage.store.references.unresolved == frozenset()


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_a_failure_never_says_that_an_object_does_not_exist(stage: Stage, status: int) -> None:
    stage.lay("one")
    stage.name("one")
    stage.server.failing["/api/v1/namespaces/team/secrets/one"] = status
    await stage.read()
    assert stage.store.snapshot().undecided == {Key(GATEWAY, "team", "gw-one")}
    stage.server.failing.clear()
    await stage.read()
    assert set(stage.store.snapshot().referenced) == {reference("one")}


async def test_known_objects_stay_known_after_a_failure(stage: Stage) -> None:
    stage.lay("one")
    stage.name("one")
    await stage.read()
    stage.store.references.mark_unresolved(reference("one"))
    stage.server.failing["/api/v1/namespaces/team/secrets/one"] = 503
    await stage.read()
    assert set(stage.store.snapshot().referenced) == {reference("one")}


async def test_many_are_taken_from_a_list(stage: Stage) -> None:
    names = [f"s{number}" for number in range(FEW + 8)]
    for name in names[:-1]:
        stage.lay(name)
    stage.name(*names)
    await stage.read()
    assert len(stage.store.snapshot().referenced) == FEW + 7
    assert len(stage.server.requests) == 3, "a LIST for each label, and a GET for the one that they lack"
