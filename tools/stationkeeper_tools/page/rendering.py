"""Render the pages: the fleet, a query and a time in, HTML out. Pure.

The templates escape all values. There is no script, and the only style sheet is in the page itself.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stationkeeper_core.timestamps import rfc3339
from stationkeeper_core.x509.expiry import Stage
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA
from stationkeeper_tools.operating.fleet import FleetResource, ResourceName
from stationkeeper_tools.operating.fleet_status import (
    NEEDS_A_PERSON,
    CALine,
    GatewayState,
    UnregisteredGateway,
    ca_of_last_visit,
    moment,
    state_words,
)
from stationkeeper_tools.page import time_texts
from stationkeeper_tools.page.fleet_view import ON_THEIR_WAY, FleetView, Phase
from stationkeeper_tools.page.freshness import Freshness
from stationkeeper_tools.page.queries import REFRESH_CHOICES, Query
from stationkeeper_tools.page.registration import registration_manifest
from stationkeeper_tools.page.sorted_names import ObjectName
from stationkeeper_tools.page.status_changes import StatusChange, delivery_text, known_moments
from stationkeeper_tools.page.timeline import Timeline, timeline

CAS_ON_A_PAGE = 20
UNREGISTERED_ON_A_PAGE = 25
SHOWN = 20
"""The number of entries to show of a list that another page shows completely."""

_FOLDER = Path(__file__).parent / "templates"
_STYLE = (_FOLDER / "style.css").read_text(encoding="utf-8")
STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
ICON = (_FOLDER / "icon.svg").read_bytes()

_STATE_TEXTS = {
    GatewayState.SUSPENDED: "Its Gateway is suspended: CUPS refuses it.",
    GatewayState.NOT_ACCEPTED: "The spec of its Gateway is not in force as written.",
    GatewayState.REFUSED: "Its last request was refused.",
    GatewayState.FELL_BACK: "The CUPS configuration that it got does not work.",
    GatewayState.NOT_CONVERGING: "It got its configuration several times, and still reports another one.",
    GatewayState.NEVER_SEEN: "It has never asked.",
    GatewayState.SILENT: "It has not asked for too long.",
    GatewayState.FINE: "It asks in time, and reports its whole configuration.",
}
_STAGE_TEXTS = {
    Stage.EXPIRED: "has ended",
    Stage.WITHIN_7_DAYS: "ends within 7 days",
    Stage.WITHIN_30_DAYS: "ends within 30 days",
}
_PHASE_TEXTS = {
    Phase.NOT_ACCEPTED: "not accepted",
    Phase.WAITING: "not published yet",
    Phase.PUBLISHED: "published, not loaded by every CUPS pod yet",
    Phase.ENFORCED: "enforced",
}
_ENFORCEMENT_REFRESH = 5


@dataclass(frozen=True)
class Request:
    """The context of the pages.

    Attributes:
        query: the query.
        now: the time, aware.
        freshness: the freshness of the view.
        user: the name of the user, if it is known.
    """

    query: Query
    now: datetime
    freshness: Freshness
    user: str = ""


def overview_page(view: FleetView, request: Request) -> str:
    """Return the overview of the fleet."""
    counts = view.counts()
    urgent = [
        line
        for state in GatewayState
        if state in NEEDS_A_PERSON
        for line in view.gateways(Query(state=state), SHOWN).lines
    ]
    cas = sorted(view.cas(), key=lambda each: (each.is_ready or each.suspended, each.ends or request.now))
    return _draw(
        "overview.html",
        request,
        counts=[(state, counts[state]) for state in GatewayState],
        total=sum(counts.values()),
        urgent=urgent[:SHOWN],
        urgent_count=sum(counts[state] for state in NEEDS_A_PERSON),
        cas=[_ca(view, line, request.now) for line in cas[:SHOWN]],
        ca_count=len(cas),
        unregistered_count=view.unregistered_count,
        on_their_way=sum(view.phases(kind)[phase] for kind in (TRUSTED_CA, GATEWAY) for phase in ON_THEIR_WAY),
    )


def gateways_page(view: FleetView, request: Request) -> str:
    """Return one page of the gateways that match the query."""
    return _draw("gateways.html", request, listed=view.gateways(request.query), counts=view.counts())


def gateway_page(view: FleetView, request: Request) -> str | None:
    """Return a gateway with its history; None if there is no such Gateway."""
    name = ObjectName(request.query.namespace, request.query.name)
    key, line = ResourceName(GATEWAY, *name), view.gateway(name)
    resource = view.resource(key)
    if line is None or resource is None:
        return None
    certificate = resource.status.get("certificate") or {}
    around, _, ca_name = ca_of_last_visit(resource).partition("/")
    return _draw(
        "gateway.html",
        request,
        line=line,
        resource=resource,
        certificate=certificate,
        certificate_ends=moment(certificate.get("notAfter")),
        ca=ObjectName(around, ca_name) if ca_name else None,
        refusal=resource.status.get("lastRefusal") or {},
        delivery=delivery_text(resource),
        history=_history(view, resource),
    )


def cas_page(view: FleetView, request: Request) -> str:
    """Return one page of the CAs, each with its users and when its certificates end."""
    wanted = request.query
    listed = [
        line
        for line in view.cas()
        if wanted.namespace in {"", line.namespace} and wanted.search in f"{line.namespace}/{line.name}"
    ]
    first = CAS_ON_A_PAGE * (wanted.page - 1)
    shown = [_ca(view, line, request.now) for line in listed[first : first + CAS_ON_A_PAGE]]
    return _draw("cas.html", request, cas=shown, total=len(listed), pages=_pages(len(listed), CAS_ON_A_PAGE))


def ca_page(view: FleetView, request: Request) -> str | None:
    """Return a CA with its certificates; None if there is no such TrustedCA."""
    key = ResourceName(TRUSTED_CA, request.query.namespace, request.query.name)
    resource = view.resource(key)
    line = next((each for each in view.cas() if (each.namespace, each.name) == key[1:]), None)
    if line is None or resource is None:
        return None
    lists = resource.status.get("revocationLists") or ()
    return _draw(
        "ca.html",
        request,
        ca=_ca(view, line, request.now),
        resource=resource,
        lists=[(each, moment(each.get("nextUpdate"))) for each in lists],
        history=_history(view, resource),
    )


def unregistered_page(view: FleetView, request: Request) -> str:
    """Return one page of the gateways that could be registered, each with a manifest to copy."""
    wanted = request.query
    listed = [
        each
        for each in view.unregistered()
        if wanted.search in f"{each.eui} {each.trusted_ca} {each.model} {each.station}".lower()
        and wanted.namespace in {"", each.trusted_ca.partition("/")[0]}
    ]
    first = UNREGISTERED_ON_A_PAGE * (wanted.page - 1)
    shown = [_entry(each) for each in listed[first : first + UNREGISTERED_ON_A_PAGE]]
    return _draw(
        "unregistered.html",
        request,
        unregistered=shown,
        total=len(listed),
        pages=_pages(len(listed), UNREGISTERED_ON_A_PAGE),
    )


def enforcement_page(view: FleetView, request: Request) -> str:
    """Return the page about the progress of changes into force."""
    kinds = [(kind, view.phases(kind)) for kind in (TRUSTED_CA, GATEWAY)]
    waiting = [
        (resource, phase, _condition(resource, "Published" if phase is Phase.PUBLISHED else "Accepted"))
        for kind in (TRUSTED_CA, GATEWAY)
        for phase in (Phase.PUBLISHED, Phase.WAITING)
        for key in view.in_phase(kind, phase, SHOWN)
        if (resource := view.resource(key)) is not None
    ]
    return _draw(
        "enforcement.html", request, kinds=kinds, waiting=waiting, recent=view.recent, by_itself=_ENFORCEMENT_REFRESH
    )


def message_page(title: str, text: str, request: Request) -> str:
    """Return a page with only a message, for example that there is no such resource."""
    return _draw("message.html", request, title=title, text=text)


def _ca(view: FleetView, line: CALine, now: datetime) -> Mapping[str, Any]:
    resource = view.resource(ResourceName(TRUSTED_CA, line.namespace, line.name))
    status = resource.status if resource is not None else {}
    found: Timeline = timeline(status.get("certificates") or (), now)
    return {"line": line, "timeline": found, "status": status}


def _entry(each: UnregisteredGateway) -> Mapping[str, Any]:
    around, _, name = each.trusted_ca.partition("/")
    return {
        "eui": each.eui,
        "ca": ObjectName(around, name),
        "model": each.model,
        "station": each.station,
        "seen": moment(each.last_seen),
        "manifest": registration_manifest(each),
    }


def _history(view: FleetView, resource: FleetResource) -> list[StatusChange]:
    """Return the known history of a resource, the newest change first."""
    seen = view.history.of(resource.key)
    known = {(each.kind, each.text, each.at) for each in seen}
    told = [each for each in known_moments(resource) if (each.kind, each.text, each.at) not in known]
    return sorted([*told, *seen], key=lambda each: each.at, reverse=True)


def _condition(resource: FleetResource, kind: str) -> Mapping[str, Any]:
    found = resource.condition(kind)
    return {"message": found.get("message", ""), "since": moment(found.get("lastTransitionTime"))}


def _pages(total: int, size: int) -> int:
    return max(1, -(-total // size))


def _draw(name: str, request: Request, **fields: Any) -> str:
    by_itself = fields.pop("by_itself", 0)
    refresh = request.query.refresh if request.query.refresh is not None else by_itself
    return _ENVIRONMENT.get_template(name).render(
        query=request.query,
        now=request.now,
        freshness=request.freshness,
        user=request.user,
        refresh=refresh,
        **fields,
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(
        style=Markup(_STYLE),  # noqa: S704 - a file of this package
        relative=time_texts.relative,
        span=time_texts.span,
        date=time_texts.date,
        rfc3339=rfc3339,
        moment=moment,
        state_words=state_words,
        state_texts=_STATE_TEXTS,
        stage_texts=_STAGE_TEXTS,
        phase_texts=_PHASE_TEXTS,
        needs_a_person=NEEDS_A_PERSON,
        refresh_choices=REFRESH_CHOICES,
        states=tuple(GatewayState),
        phases=Phase,
        link=_link,
        min=min,
        max=max,
    )
    return environment


def _link(place: str, **fields: Any) -> str:
    """Return the relative address of another page; all pages are in one folder, below any path of a proxy."""
    text = Query(**fields).text
    return f"{place}?{text}" if text else place


_ENVIRONMENT = _environment()
