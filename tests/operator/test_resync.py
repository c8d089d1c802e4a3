from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stationkeeper_operator.api.kubernetes_api import ApiError
from stationkeeper_operator.api.resource_paths import RESOURCES, resource_path
from stationkeeper_operator.resources.records import GATEWAY
from stationkeeper_operator.watching.reference_reader import ReferenceReader
from stationkeeper_operator.watching.resource_store import ResourceStore
from stationkeeper_operator.watching.resync import Resync
from stationkeeper_operator.watching.store_results import Change
from tests.operator.small_api_server import SmallApiServer, small_api_server

GATEWAYS = resource_path(GATEWAY, "team")


class Listed:
    """A store, filled by LISTs of a small API server with two items a page."""

    def __init__(self, server: SmallApiServer, store: ResourceStore, resync: Resync) -> None:
        self.server = server
        self.store = store
        self.resync = resync

    def put(self, *names: str) -> None:
        for name in names:
            metadata = {"name": name, "namespace": "team", "uid": f"uid-{name}"}
            self.server.put(f"{GATEWAYS}/{name}", {"metadata": metadata, "spec": {"eui": "0000000000000001"}})

    def delete(self, name: str) -> None:
        self.server.revision += 1
        del self.server.objects[f"{GATEWAYS}/{name}"]

    @property
    def names(self) -> list[str]:
        return sorted(key.name for key in self.store.snapshot().resources)


@pytest.fixture
async def listed(tmp_path: Path) -> AsyncIterator[Listed]:
    async with small_api_server(tmp_path) as (server, api):
        store = ResourceStore()
        server.page_size = 2
        yield Listed(server, store, Resync(api, store, ReferenceReader(api, store.references, ["team"]), ["team"]))


async def test_the_items_of_a_first_list_that_fails_stay_until_a_whole_one_says_otherwise(listed: Listed) -> None:
    listed.put("a", "b", "c", "d", "e")
    listed.server.pages = 2
    with pytest.raises(ApiError):
        await listed.resync.run()
    assert listed.names[:2] == ["a", "b"]
    listed.delete("a")
    listed.server.pages = None
    assert await listed.resync.run() is Change.REDUCTION
    assert listed.names == ["b", "c", "d", "e"]


async def test_after_a_first_list_that_fails_a_restored_etcd_is_believed(listed: Listed) -> None:
    listed.put("a", "b", "c", "d", "e")
    listed.server.pages = 2
    with pytest.raises(ApiError):
        await listed.resync.run()
    assert "a" in listed.names
    listed.server.objects.clear()
    listed.server.revision = 50
    listed.put("b")
    listed.server.pages = None
    assert await listed.resync.run() is Change.REDUCTION
    assert listed.names == ["b"]
    (held,) = listed.store.snapshot().resources.values()
    assert held.metadata.resource_version == "51"


async def test_a_later_list_that_fails_changes_nothing(listed: Listed) -> None:
    listed.put("a", "b", "c")
    assert await listed.resync.run() is Change.SPEC
    listed.put("d", "e")
    listed.delete("a")
    listed.server.pages = 1
    with pytest.raises(ApiError):
        await listed.resync.run()
    assert listed.names == ["a", "b", "c"]
    listed.server.pages = None
    assert await listed.resync.run() is Change.REDUCTION
    assert listed.names == ["b", "c", "d", "e"]


async def test_a_list_without_changes_says_so(listed: Listed) -> None:
    listed.put("a", "b", "c")
    await listed.resync.run()
    assert await listed.resync.run() is Change.NOTHING


async def test_an_api_server_that_begins_is_asked_for_every_kind_before_the_first_is_asked_again(
    listed: Listed,
) -> None:
    collections = {resource_path(kind, "team"): 429 for kind in RESOURCES}
    listed.server.failing |= collections
    with pytest.raises(ApiError, match="429"):
        await listed.resync.probe()
    assert {path for _, path in listed.server.requests} == set(collections)
    listed.server.failing.clear()
    await listed.resync.probe()


async def test_one_kind_that_cannot_be_listed_fails_the_probe(listed: Listed) -> None:
    for kind in RESOURCES:
        listed.server.failing = {resource_path(kind, "team"): 403}
        with pytest.raises(ApiError, match="403"):
            await listed.resync.probe()
