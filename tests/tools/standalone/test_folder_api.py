"""The API server inside one process, with the operator's own client."""

import base64
from collections.abc import Mapping

import msgspec
import pytest

from stationkeeper_operator.api.kubernetes_api import METADATA_ONLY, ApiError
from stationkeeper_operator.api.resource_paths import referenced_path, resource_path
from stationkeeper_tools.standalone.folder_api import FolderApi
from stationkeeper_tools.standalone.manifest_files import ObjectKey

ROOF = ObjectKey("Gateway", "radio", "roof")
TOKEN = ObjectKey("Secret", "radio", "token")
TRUST = "/api/v1/namespaces/stationkeeper/secrets/stationkeeper-trust"
IDENTITY = {"uid": "u", "generation": 1}
LABEL = {"stationkeeper.io/credentials": "true"}


class Kept:
    """The published documents; the disk may be full."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.is_full = False

    async def keep(self, document: str, content: bytes) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.documents[document] = content


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def api(kept: Kept) -> FolderApi:
    made = FolderApi("stationkeeper", {}, kept.keep, {"u": {"lastSeen": "before"}})
    made.put(ROOF, {"kind": "Gateway", "metadata": {"name": "roof", "namespace": "radio"}, "spec": {}}, IDENTITY)
    return made


def content(labels: Mapping[str, str] = LABEL) -> dict[str, object]:
    return {"kind": "Secret", "metadata": {"name": "token", "namespace": "radio", "labels": labels}, "data": {}}


async def test_nothing_is_listed_before_all_is_known(api: FolderApi) -> None:
    with pytest.raises(ApiError) as refused:
        [page async for page in api.pages(resource_path("Gateway", None))]
    assert not refused.value.is_not_found
    api.set_known()

    pages = [page async for page in api.pages(resource_path("Gateway", None))]
    elsewhere = [page async for page in api.pages(resource_path("Gateway", "elsewhere"))]

    assert ([len(each.items) for each in pages], [len(each.items) for each in elsewhere]) == ([1], [0])
    assert await api.get(f"{resource_path('Gateway', None)}?limit=1")


async def test_a_status_is_merged_where_the_resource_is_the_one_that_was_judged(api: FolderApi) -> None:
    path = resource_path("Gateway", "radio", "roof")
    held = msgspec.json.decode(await api.get(path))
    condition = {"uid": "u", "resourceVersion": held["metadata"]["resourceVersion"]}
    told: list[ObjectKey] = []
    api.on_status = lambda key, _resource: told.append(key)

    patch = {"metadata": condition, "status": {"a": 1, "lastSeen": None}, "spec": {"eui": "not this"}}
    answer = msgspec.json.decode(await api.merge_patch(f"{path}/status", patch))
    with pytest.raises(ApiError) as again:
        await api.merge_patch(f"{path}/status", patch)

    assert held["status"] == {"lastSeen": "before"}
    assert (answer["status"], answer["spec"], told) == ({"a": 1}, {}, [ROOF])
    assert again.value.is_conflict


async def test_a_document_is_stored_before_it_counts(api: FolderApi, kept: Kept) -> None:
    before = msgspec.json.decode(await api.get(TRUST, METADATA_ONLY))["metadata"]
    body = {"metadata": before, "data": {"trust": base64.b64encode(b"document").decode()}}
    kept.is_full = True
    with pytest.raises(ApiError):
        await api.apply(TRUST, body)
    assert "trust" not in msgspec.json.decode(await api.get(TRUST)).get("data", {})

    kept.is_full = False
    await api.apply(TRUST, body)

    assert kept.documents == {"trust": b"document"}
    with pytest.raises(ApiError) as late:
        await api.apply(TRUST, body)
    assert late.value.is_conflict


async def test_a_secret_that_loses_its_label_leaves_what_is_watched(api: FolderApi) -> None:
    api.put(TOKEN, content(), {"uid": "s", "generation": 1})
    query = {"labelSelector": "stationkeeper.io/credentials=true"}
    lines = api.watch(referenced_path("Secret", None), query, METADATA_ONLY)
    seen = [await anext(lines), await anext(lines)]
    api.put(TOKEN, content({}), {"uid": "s", "generation": 1})
    seen.append(await anext(lines))
    api.put(TOKEN, content(), {"uid": "s", "generation": 1})
    seen.append(await anext(lines))
    api.remove(TOKEN)
    seen.append(await anext(lines))
    await lines.aclose()

    assert seen[0] == b""
    assert [msgspec.json.decode(each)["type"] for each in seen[1:]] == ["ADDED", "DELETED", "MODIFIED", "DELETED"]
    with pytest.raises(ApiError) as gone:
        await api.get(referenced_path("Secret", "radio", "token"))
    assert gone.value.is_not_found
