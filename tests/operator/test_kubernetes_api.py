import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from stationkeeper_operator.api import kubernetes_credentials
from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi, path_of
from stationkeeper_operator.api.kubernetes_credentials import Credentials, CredentialsError
from tests.operator.small_api_server import client_of, small_api_server, write_kubeconfig

SECRET = "/api/v1/namespaces/team/secrets/token"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (path_of("v1", None, "secrets"), "/api/v1/secrets"),
        (path_of("v1", "team", "secrets", "token"), SECRET),
        (path_of("g/v2", "team", "things", "one", "status"), "/apis/g/v2/namespaces/team/things/one/status"),
    ],
)
def test_paths(path: str, expected: str) -> None:
    assert path == expected


async def test_without_tls_no_certificate_of_the_machine_is_read_and_none_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = list[str]()
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *_: read.append("the machine's"))
    for scheme, expected in (("http", []), ("https", ["the machine's"])):
        read.clear()
        async with KubernetesApi(Credentials(write_kubeconfig(tmp_path, f"{scheme}://127.0.0.1:9"))):
            assert read == expected


async def test_a_renewed_token_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_credentials, "REFRESH_SECONDS", 0.0)
    async with small_api_server(tmp_path) as (server, api):
        server.put(SECRET, {})
        await api.get(SECRET)
        (tmp_path / "token").write_text("second")
        await api.get(SECRET)
        assert server.tokens == ["Bearer first", "Bearer second"]


async def test_a_token_that_was_refused_is_read_again_at_once(tmp_path: Path) -> None:
    async with small_api_server(tmp_path) as (server, api):
        server.put(SECRET, {})
        server.failing[SECRET] = 401
        with pytest.raises(ApiError):
            await api.get(SECRET)
        server.failing.clear()
        (tmp_path / "token").write_text("second")
        await api.get(SECRET)
        assert server.tokens == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    ("status", "missing", "conflict"), [(404, True, False), (409, False, True), (503, False, False)]
)
async def test_a_refusal_is_reported_by_status(tmp_path: Path, status: int, missing: bool, conflict: bool) -> None:
    async with small_api_server(tmp_path) as (server, api):
        server.failing[SECRET] = status
        with pytest.raises(ApiError) as caught:
            await api.get(SECRET)
        assert (caught.value.is_not_found, caught.value.is_conflict) == (missing, conflict)
        assert "quote a Secret" not in str(caught.value)


async def test_a_missing_answer_is_not_a_404(tmp_path: Path) -> None:
    async with KubernetesApi(Credentials(write_kubeconfig(tmp_path, "http://127.0.0.1:9"))) as api:
        with pytest.raises(ApiError) as caught:
            await api.get(SECRET)
        assert not caught.value.is_not_found


async def test_missing_credentials_say_where_they_were_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="nowhere"):
        await Credentials(tmp_path / "nowhere").load()


async def test_outside_a_pod_and_without_a_kubeconfig_the_missing_service_account_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(CredentialsError, match="the ServiceAccount of the pod"):
        await Credentials(None).load()


@pytest.mark.parametrize("body", [b"<html>", b'{"metadata": {"resourceVersion": "7"}, "items": 7}', b'"\xff"', b""])
async def test_a_list_that_cannot_be_read_is_an_error_and_no_empty_list(tmp_path: Path, body: bytes) -> None:
    async with answering(tmp_path, 200, body) as api:
        with pytest.raises(ApiError, match="MalformedAnswer"):
            _ = [page async for page in api.pages("/api/v1/secrets")]


async def test_the_next_page_is_requested_while_one_is_used(tmp_path: Path) -> None:
    requested: list[str] = []
    is_next_requested, may_answer = asyncio.Event(), asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        requested.append(request.query.get("continue", ""))
        if requested[-1]:
            is_next_requested.set()
            await may_answer.wait()
        rest = "" if requested[-1] else "next"
        return web.json_response({"metadata": {"resourceVersion": "7", "continue": rest}, "items": [{}]})

    async with client_of(handle, tmp_path) as api:
        pages = api.pages("/api/v1/secrets")
        assert len((await anext(pages)).items) == 1
        async with asyncio.timeout(30):
            await is_next_requested.wait()
        await pages.aclose()
        assert all("KubernetesApi._page" not in repr(each) for each in asyncio.all_tasks()), "the request has ended"
        may_answer.set()
        assert len([page async for page in api.pages("/api/v1/secrets")]) == 2
    assert requested == ["", "next", "", "next"]


@pytest.mark.parametrize("body", [b"<html>a Secret</html>", b'"\xff"', b"", b"[]"])
async def test_a_refusal_without_a_status_has_that_of_http_and_quotes_nothing(tmp_path: Path, body: bytes) -> None:
    async with answering(tmp_path, 404, body) as api:
        with pytest.raises(ApiError) as caught:
            await api.get(SECRET)
    assert caught.value.is_not_found
    assert "Secret" not in str(caught.value)


@contextlib.asynccontextmanager
async def answering(folder: Path, status: int, body: bytes) -> AsyncIterator[KubernetesApi]:
    """Yield a client of a server that answers every request in the same way."""

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    async with client_of(handle, folder) as api:
        yield api
