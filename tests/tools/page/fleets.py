"""Resources in the form of an API server, and a view of them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from stationkeeper_core.timestamps import rfc3339
from stationkeeper_tools.operating.fleet import FleetResource
from stationkeeper_tools.page.fleet_view import FleetView
from stationkeeper_tools.page.freshness import Freshness
from stationkeeper_tools.page.history import History
from stationkeeper_tools.page.queries import Query
from stationkeeper_tools.page.rendering import Request
from stationkeeper_tools.page.shown_fields import shown_resource

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
Item = dict[str, Any]


def ago(**span: float) -> str:
    return rfc3339(NOW - timedelta(**span))


def ahead(**span: float) -> str:
    return rfc3339(NOW + timedelta(**span))


def condition(kind: str, status: str = "True", reason: str = "Reason", message: str = "why") -> Item:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": ago(days=3),
    }


ENFORCED = [condition(kind) for kind in ("Accepted", "Published", "Enforced", "Vouched", "Ready")]


def item(kind: str, name: str, namespace: str, spec: Item, status: Item) -> Item:
    metadata = {"namespace": namespace, "name": name, "generation": 1, "resourceVersion": "1", "uid": f"uid-{name}"}
    known = {key: each for key, each in status.items() if each is not None}
    return {"kind": kind, "metadata": metadata, "spec": spec, "status": known}


def gateway(number: int = 0, namespace: str = "radio", spec: Item | None = None, **status: Any) -> Item:
    told = {
        "conditions": ENFORCED,
        "lastSeen": ago(hours=1),
        "station": "2.0.6(linux/std)",
        "model": "linux",
        "lnsURI": "wss://lns.example.com:8887",
        "certificate": {
            "serial": f"{number:X}",
            "sha256": f"{number:064x}",
            "notAfter": ahead(days=200),
            "trustedCA": "radio/vendor",
        },
        "delivery": {"state": "Delivered"},
        **status,
    }
    return item("Gateway", f"roof-{number:06}", namespace, {"eui": f"{number:016X}", **(spec or {})}, told)


def ca(name: str = "vendor", namespace: str = "radio", spec: Item | None = None, **status: Any) -> Item:
    told = {
        "conditions": ENFORCED,
        "gatewaysSeen": 2,
        "certificates": [
            {"subject": "CN=Root", "sha256": "a" * 64, "role": "Anchor", "notAfter": ahead(days=900)},
            {"subject": "CN=Issuing", "sha256": "b" * 64, "role": "Intermediate", "notAfter": ahead(days=3)},
        ],
        "unregistered": [{"eui": "0123456789ABCDEF", "lastSeen": ago(hours=2), "model": "m", "station": "2.0.6"}],
        "revocationLists": [
            {
                "issuer": "CN=Root",
                "entries": 3,
                "thisUpdate": ago(days=1),
                "nextUpdate": ahead(days=6),
                "overdue": False,
            }
        ],
        **status,
    }
    return item("TrustedCA", name, namespace, spec or {}, told)


def shown(one: Item) -> FleetResource:
    found = shown_resource(one["kind"], one)
    assert found is not None
    return found


def view_of(items: Iterable[Item], now: datetime = NOW) -> FleetView:
    view = FleetView(2, History())
    for each in items:
        view.put(shown(each), each["metadata"]["resourceVersion"], now, is_first=True)
    return view


def request(now: datetime = NOW, freshness: Freshness | None = None, user: str = "", **query: Any) -> Request:
    heard = freshness or Freshness("the API server", now, is_complete=True)
    return Request(Query(**query), now, heard, user)
