"""The page for tests with a browser: served on this machine, with a fleet of long and hostile texts."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from stationkeeper_core.timestamps import rfc3339
from stationkeeper_tools.page.access import Access
from stationkeeper_tools.page.application import Shown, page_application
from stationkeeper_tools.page.fleet_view import FleetView
from stationkeeper_tools.page.freshness import Freshness
from stationkeeper_tools.page.serving import PageAddress, serve_page
from stationkeeper_tools.ports import free_port
from tests.tools.page.fleets import ENFORCED, Item, ca, condition, gateway, view_of

ADDRESSES = {
    "fleet": "",
    "gateways": "gateways",
    "search": "gateways?q=roof&state=Silent&namespace=radio&page=1",
    "search for nothing": "gateways?q=no-such",
    "gateway": "gateway?namespace=radio&name=roof-000001",
    "hostile gateway": "gateway?namespace=radio&name=roof-000000",
    "CAs": "cas",
    "CA": "ca?namespace=radio&name=vendor",
    "unregistered": "unregistered",
    "enforcement": "enforcement?refresh=0",
    "none": "gateway?namespace=radio&name=none",
}
HOSTILE = "</td><script>window.pwned=1</script><img src=x onerror='window.pwned=1'>" + "W" * 90


def fleet(count: int, now: datetime) -> Iterator[Item]:
    """Return gateways in each state, some with hostile texts, and CAs."""

    def ago(**span: float) -> str:
        return rfc3339(now - timedelta(**span))

    hostile: Item = {"model": HOSTILE, "station": HOSTILE, "conditions": [condition("Accepted", "False", "X", HOSTILE)]}
    odd: list[Item] = [
        hostile,
        {},
        {"lastSeen": ago(days=9)},
        {"lastSeen": None},
        {"lastRefusal": {"reason": "CertificateExpired", "time": ago(minutes=1)}},
        {"delivery": {"state": "FellBack", "outstanding": ["CUPSURI", "CUPSCredentials"]}},
        {"delivery": {"state": "NotConverging", "deliveries": 5, "outstanding": ["LNSURI"]}},
        {"conditions": [condition("Accepted"), condition("Published")]},
    ]
    for number in range(count):
        told: Item = {"lastSeen": ago(minutes=number % 1400), "conditions": ENFORCED}
        spec = {"suspended": True} if number == len(odd) else None
        yield gateway(number, spec=spec, **{**told, **(odd[number] if number < len(odd) else {})})

    def end(days: float) -> str:
        return rfc3339(now + timedelta(days=days))

    def certificate(subject: str, days: float, **more: Any) -> Item:
        return {"subject": subject, "sha256": "a" * 64, "role": "Anchor", "notAfter": end(days), **more}

    unregistered = [
        {"eui": f"FFFF{number:012X}", "lastSeen": ago(minutes=number), "model": HOSTILE, "station": "2.0.6"}
        for number in range(30)
    ]
    listed = [certificate(f"CN={'Very long ' * 12}Root", 3), certificate("CN=B", -5, problem="it has expired")]
    yield ca(certificates=[*listed, certificate("CN=C", 20), certificate("CN=D", 2000)], unregistered=unregistered)
    yield ca("a" * 200, conditions=[condition("Ready", "False", "CertificateInvalid")], unregistered=[])


@asynccontextmanager
async def served_fleet(count: int) -> AsyncIterator[tuple[str, FleetView]]:
    """Serve the page of a fleet, and yield its address."""
    now = datetime.now(UTC)
    view = view_of(fleet(count, now), now)
    shown = Shown(
        view, lambda: Freshness("the API server", datetime.now(UTC), is_complete=True), lambda: datetime.now(UTC)
    )
    port = free_port()
    async with serve_page(page_application(shown, Access()), PageAddress("127.0.0.1", port)):
        yield f"http://127.0.0.1:{port}/", view
