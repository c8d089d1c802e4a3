"""The page over HTTP, as a browser or a proxy requests it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from stationkeeper_tools.input_errors import InputError
from stationkeeper_tools.page import application
from stationkeeper_tools.page.access import Access
from stationkeeper_tools.page.application import PAGES, Shown, page_application
from stationkeeper_tools.page.fleet_view import FleetView
from stationkeeper_tools.page.freshness import Freshness
from stationkeeper_tools.page.secret_file import SecretFile
from stationkeeper_tools.page.serving import PageAddress, check_address, serve_page
from stationkeeper_tools.ports import free_port
from stationkeeper_tools.sample_pki import make_root, make_server
from tests.tools.page.fleets import NOW, ca, gateway, view_of

FRESH = Freshness("the API server", NOW, is_complete=True)
TOKEN = "0123456789abcdef0123456789abcdef"
ADDRESSES = [*PAGES, "/icon.svg", "/healthz", "/readyz", "/none"]


class Browser:
    """A client of one server."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self._base = base
        self._session = session

    async def get(
        self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> tuple[int, Mapping[str, str], str]:
        async with self._session.request(method, self._base + path, headers=headers) as response:
            return response.status, response.headers, await response.text()


@asynccontextmanager
async def served(
    access: Access | None = None, view: FleetView | None = None, freshness: Freshness = FRESH
) -> AsyncIterator[Browser]:
    shown = Shown(view or view_of([gateway(), ca()]), lambda: freshness, lambda: NOW)
    port = free_port()
    async with (
        serve_page(page_application(shown, access or Access()), PageAddress("127.0.0.1", port)),
        aiohttp.ClientSession() as session,
    ):
        yield Browser(f"http://127.0.0.1:{port}", session)


@pytest.mark.parametrize("path", ADDRESSES)
async def test_every_answer_forbids_the_browser_to_load_or_run_anything(path: str) -> None:
    async with served() as browser:
        for method in ("GET", "POST"):
            _, headers, _ = await browser.get(path, method=method)
            policy = dict(each.split(" ", 1) for each in headers["Content-Security-Policy"].split("; "))
            assert policy["default-src"] == "'none'"
            assert "script-src" not in policy
            assert policy["style-src"].startswith("'sha256-")
            assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["Cache-Control"] == "no-store"
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert headers["Server"] == "stationkeeper"
            assert "Set-Cookie" not in headers


async def test_a_page_is_html_and_what_is_not_there_is_404() -> None:
    async with served() as browser:
        status, headers, text = await browser.get("/gateway?namespace=radio&name=roof-000000")
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert "radio/roof-000000" in text
        assert (await browser.get("/gateway?namespace=radio&name=none"))[0] == 404
        assert (await browser.get("/ca"))[0] == 404
        assert (await browser.get("/none"))[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_but_reading_is_done(method: str) -> None:
    async with served() as browser:
        assert (await browser.get("/", method=method))[0] == 405


async def test_a_token_is_asked_for_on_each_page_but_not_by_a_kubelet(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    async with served(Access(SecretFile(token))) as browser:
        for path in (*PAGES, "/icon.svg", "/none"):
            status, headers, text = await browser.get(path)
            assert status == 401
            assert headers["WWW-Authenticate"].startswith("Basic ")
            assert "radio" not in text
        assert (await browser.get("/", {"Authorization": f"Bearer {TOKEN}"}))[0] == 200
        assert (await browser.get("/", {"Authorization": f"Bearer {TOKEN}x"}))[0] == 401
        assert (await browser.get("/healthz"))[0] == 200


async def test_a_website_whose_name_leads_to_this_machine_gets_nothing() -> None:
    async with served() as browser:
        status, _, text = await browser.get("/", {"Host": "evil.example.com"})
        assert (status, "radio" in text) == (403, False)


async def test_it_is_ready_once_all_was_read_and_then_stays_so() -> None:
    async with served(freshness=Freshness("the API server")) as browser:
        assert (await browser.get("/readyz"))[0] == 503
        assert (await browser.get("/healthz"))[0] == 200
    old = Freshness("the API server", NOW - timedelta(days=1), is_complete=True)
    async with served(freshness=old) as browser:
        assert (await browser.get("/readyz"))[0] == 200
        assert "last heard from the API server 24 h ago" in (await browser.get("/"))[2]


async def test_a_page_that_cannot_be_drawn_says_nothing_of_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("secret detail")

    monkeypatch.setitem(application.PAGES, "/", fail)
    async with served() as browser:
        status, headers, text = await browser.get("/")
        assert (status, "secret detail" in text) == (500, False)
        assert headers["Content-Security-Policy"]


async def test_more_connections_than_there_are_places_take_the_oldest_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stationkeeper_tools.page.serving.MAX_CONNECTIONS", 4)
    async with served() as browser:
        base = browser._base.removeprefix("http://")
        host, _, port = base.partition(":")
        held = [await asyncio.open_connection(host, int(port)) for _ in range(8)]
        assert (await browser.get("/healthz"))[0] == 200
        async with asyncio.timeout(60):
            assert await held[0][0].read() == b""
        for _, writer in held:
            writer.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "page.example.com"])
def test_without_authentication_only_this_machine_may_connect(host: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="open to everybody"):
        check_address(PageAddress(host, 8090), Access())
    token = tmp_path / "token"
    token.write_text(TOKEN)
    check_address(PageAddress(host, 8090), Access(SecretFile(token)))
    check_address(PageAddress("127.0.0.1", 8090), Access())


def test_a_token_file_is_read_again_and_accepts_nobody_once_it_is_gone(tmp_path: Path) -> None:
    path, clock = tmp_path / "token", [0.0]
    path.write_text(TOKEN)
    secret = SecretFile(path, lambda: clock[0])
    path.write_text(TOKEN[::-1])
    assert secret() == TOKEN.encode()
    clock[0] += 5
    assert secret() == TOKEN[::-1].encode()
    path.unlink()
    clock[0] += 5
    assert secret() == b""


@pytest.mark.parametrize("content", ["", "short", "x" * 5000])
def test_a_file_without_a_good_token_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    with pytest.raises(InputError, match="openssl rand -hex 32"):
        SecretFile(path)


async def test_it_speaks_tls(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    root = make_root("root", now)
    authority, _ = root.write(tmp_path, "root")
    certificate, key = make_server(["localhost"], ["127.0.0.1"], root, now).write(tmp_path, "server")
    port = free_port()
    shown = Shown(view_of([]), lambda: FRESH, lambda: NOW)
    address = PageAddress("127.0.0.1", port, certificate, key)
    context = ssl.create_default_context(cafile=str(authority))
    async with (
        serve_page(page_application(shown, Access()), address),
        aiohttp.ClientSession() as session,
        session.get(f"https://127.0.0.1:{port}/", ssl=context) as response,
    ):
        assert response.status == 200
