"""The basis of the page tests: a page counts as open when all of it is loaded, and not the page before."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.browser.chromium import MISSING, PROGRAM, Tab, browser

pytestmark = [pytest.mark.skipif(not PROGRAM, reason=MISSING), pytest.mark.slow]


class SlowPages:
    """Pages whose parts are sent when a test asks for it.

    `/again` replaces itself at once by a page with an image at its end; the last part of `/next` is sent later.

    Attributes:
        asked: set when the browser requests the image of the page that replaced `/again`.
        drawn: set to answer with that image.
        told: set when that page reports that it is loaded.
        ended: set to answer with the last part of `/next`.
    """

    def __init__(self) -> None:
        self.asked, self.drawn, self.told, self.ended = (asyncio.Event() for _ in range(4))

    def application(self) -> web.Application:
        made = web.Application()
        made.router.add_get("/again", self._again)
        made.router.add_get("/image", self._image)
        made.router.add_get("/told", self._told)
        made.router.add_get("/next", self._next)
        return made

    async def _again(self, request: web.Request) -> web.Response:
        first = "<meta http-equiv=refresh content='0;url=again?second'>"
        second = "<img src=image><script>window.onload = () => fetch('told')</script>"
        return web.Response(text=second if request.query_string else first, content_type="text/html")

    async def _image(self, _: web.Request) -> web.Response:
        self.asked.set()
        await self.drawn.wait()
        return web.Response(text="<svg xmlns='http://www.w3.org/2000/svg'/>", content_type="image/svg+xml")

    async def _told(self, _: web.Request) -> web.Response:
        self.told.set()
        return web.Response()

    async def _next(self, request: web.Request) -> web.StreamResponse:
        self.drawn.set()
        await self.told.wait()
        answer = web.StreamResponse(headers={"Content-Type": "text/html"})
        await answer.prepare(request)
        await answer.write(b"<p id=first>" + b" " * 4096)
        await self.ended.wait()
        await answer.write(b"<p id=last>")
        return answer


@pytest_asyncio.fixture
async def tab() -> AsyncIterator[Tab]:
    async with browser() as running:
        yield await running.tab()


async def test_a_page_is_open_when_it_was_loaded_and_not_when_the_page_before_was(tab: Tab) -> None:
    pages = SlowPages()
    async with TestServer(pages.application()) as server, asyncio.timeout(60):
        await tab.open(str(server.make_url("/again")))
        await pages.asked.wait()
        opening = asyncio.create_task(tab.open(str(server.make_url("/next"))))
        try:
            await tab.until("document.querySelector('#first') !== null")
            assert pages.told.is_set()
            assert not opening.done()
        finally:
            pages.ended.set()
        await opening
        assert await tab.does("document.querySelector('#last') !== null")
