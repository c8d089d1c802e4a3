"""The page over HTTP: read a request, check its access, and answer. It changes nothing, and waits for no API server."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from stationkeeper_cups.log_budget import LogBudget
from stationkeeper_tools.page.access import Access, Refused, authenticate
from stationkeeper_tools.page.fleet_view import FleetView
from stationkeeper_tools.page.freshness import Freshness
from stationkeeper_tools.page.queries import read_query
from stationkeeper_tools.page.rendering import (
    ICON,
    Request,
    ca_page,
    cas_page,
    enforcement_page,
    gateway_page,
    gateways_page,
    message_page,
    overview_page,
    unregistered_page,
)
from stationkeeper_tools.page.security_headers import HEADERS

_Draw = Callable[[FleetView, Request], str | None]

PAGES: dict[str, _Draw] = {
    "/": overview_page,
    "/gateways": gateways_page,
    "/gateway": gateway_page,
    "/cas": cas_page,
    "/ca": ca_page,
    "/unregistered": unregistered_page,
    "/enforcement": enforcement_page,
}
_OPEN = frozenset({"/healthz", "/readyz"})
_USER = web.RequestKey("user", str)
_CHALLENGE = 'Basic realm="Stationkeeper: any name, and the token as the password", charset="UTF-8"'
_log = logging.getLogger("stationkeeper.page")


@dataclass(frozen=True)
class Shown:
    """The content of the page.

    Attributes:
        view: the view of the fleet.
        freshness: the age of the view.
        now: returns the time, aware.
    """

    view: FleetView
    freshness: Callable[[], Freshness]
    now: Callable[[], datetime]


def page_application(shown: Shown, access: Access, clock: Callable[[], float] = time.monotonic) -> web.Application:
    """Return the application that answers requests.

    Args:
        shown: the content of the answers.
        access: the requirements for access.
        clock: monotonic seconds.
    """
    application = web.Application(middlewares=[_with_headers, _authenticated(access, LogBudget(clock))])
    for path, draw in PAGES.items():
        application.router.add_get(path, _page(shown, draw))
    application.router.add_get("/icon.svg", _icon)
    application.router.add_get("/healthz", _health(lambda: True))
    application.router.add_get("/readyz", _health(lambda: shown.freshness().is_complete))
    return application


@web.middleware
async def _with_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.headers.update(HEADERS)
        raise
    except Exception:
        _log.exception("a page could not be drawn", extra={"fields": {"path": request.path[:100]}})
        response = web.Response(status=500, text="The page could not be drawn; the log says why.\n")
    response.headers.update(HEADERS)
    return response


def _authenticated(access: Access, budget: LogBudget) -> Middleware:
    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in _OPEN:
            return await handler(request)
        user = authenticate(access, request.remote or "", lambda name: request.headers.getall(name, []))
        if isinstance(user, Refused):
            left_out = budget.take()
            if left_out is not None:
                fields = {"peer": request.remote, "detail": user.why, "left_out": left_out}
                _log.warning("a request was refused", extra={"fields": fields})
            return _refusal(user)
        request[_USER] = user
        return await handler(request)

    return ask


def _refusal(refused: Refused) -> web.Response:
    if refused.wants_token:
        headers = {"WWW-Authenticate": _CHALLENGE}
        return web.Response(status=401, text="This page needs its token.\n", headers=headers)
    return web.Response(status=403, text="This page is not shown to you: the log of its process says why.\n")


def _page(shown: Shown, draw: _Draw) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        asked = Request(read_query(request.query), shown.now(), shown.freshness(), request[_USER])
        text = draw(shown.view, asked)
        if text is None:
            text = message_page("There is none", "This resource does not exist, or was deleted.", asked)
            return web.Response(status=404, text=text, content_type="text/html", charset="utf-8")
        return web.Response(text=text, content_type="text/html", charset="utf-8")

    return answer


async def _icon(_request: web.Request) -> web.Response:
    return web.Response(body=ICON, content_type="image/svg+xml")


def _health(holds: Callable[[], bool]) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="yes\n") if holds() else web.Response(status=503, text="not yet\n")

    return answer
