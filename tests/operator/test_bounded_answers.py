"""The operator reads objects of tenants in parts of limited size, however large they are."""

import json
from pathlib import Path

import pytest
from aiohttp import web

from stationkeeper_operator.api import kubernetes_api
from stationkeeper_operator.api.kubernetes_api import ApiError
from tests.operator.small_api_server import client_of


class LargeObjects:
    """An API server with a collection, in pages of the requested size.

    Attributes:
        sizes: the bytes of each object.
        largest: the bytes of the largest answer.
        encodings: the encodings that the client accepts.
    """

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes
        self.largest = 0
        self.encodings: set[str | None] = set()

    async def handle(self, request: web.Request) -> web.Response:
        self.encodings.add(request.headers.get("Accept-Encoding"))
        begin, limit = int(request.query.get("continue", "0")), int(request.query["limit"])
        sizes = self.sizes[begin : begin + limit]
        items = [{"metadata": {"name": str(begin + place)}, "data": "x" * size} for place, size in enumerate(sizes)]
        rest = str(begin + limit) if begin + limit < len(self.sizes) else ""
        body = json.dumps({"metadata": {"resourceVersion": "7", "continue": rest}, "items": items})
        self.largest = max(self.largest, len(body))
        return web.Response(text=body)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [[10] * 1200, [300_000] * 90, [10] * 600 + [3_000_000] * 9, [12_000_000, 1, 1]])
async def test_a_list_of_whatever_sizes_is_read_whole_in_pages_that_are_bounded(
    tmp_path: Path, sizes: list[int]
) -> None:
    objects = LargeObjects(sizes)
    async with client_of(objects.handle, tmp_path) as api:
        found, largest = [], 0
        async for page in api.pages("/api/v1/configmaps"):
            largest = max(largest, sum(len(bytes(item)) for item in page.items))
            found += [json.loads(bytes(item))["metadata"]["name"] for item in page.items]
    assert found == [str(number) for number in range(len(sizes))]
    assert largest < max(kubernetes_api.MAX_PAGE_BYTES, max(sizes) + 1000)
    assert objects.encodings == {"identity"}


@pytest.mark.slow
async def test_a_single_object_beyond_all_bounds_is_an_error_and_not_read(tmp_path: Path) -> None:
    async with client_of(LargeObjects([20_000_000]).handle, tmp_path) as api:
        with pytest.raises(ApiError) as caught:
            _ = [page async for page in api.pages("/api/v1/configmaps")]
    assert caught.value.is_too_large
    assert not caught.value.is_not_found
