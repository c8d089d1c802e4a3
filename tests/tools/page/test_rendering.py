"""The content of the pages; authors of its texts can add only text."""

import itertools
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stationkeeper_core.eui64 import EUI64
from stationkeeper_tools.operating.fleet_status import GatewayState, UnregisteredGateway
from stationkeeper_tools.page.fleet_view import FleetView
from stationkeeper_tools.page.freshness import Freshness
from stationkeeper_tools.page.registration import registration_manifest
from stationkeeper_tools.page.rendering import (
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
from stationkeeper_tools.registering.registration import FoundGateway, registrations
from tests.examples import examples
from tests.tools.page.fleets import NOW, ago, ahead, ca, condition, gateway, request, shown, view_of
from tests.tools.page.markup import Markup

Draw = Callable[[FleetView, Request], str | None]

PAGES: dict[str, tuple[Draw, dict[str, Any]]] = {
    "overview": (overview_page, {}),
    "gateways": (gateways_page, {}),
    "gateway": (gateway_page, {"namespace": "radio", "name": "roof-000000"}),
    "cas": (cas_page, {}),
    "ca": (ca_page, {"namespace": "radio", "name": "vendor"}),
    "unregistered": (unregistered_page, {}),
    "enforcement": (enforcement_page, {}),
    "message": (lambda _view, asked: message_page("Title", "text", asked), {}),
}
HOSTILE = st.text(max_size=40) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "</title></style></textarea><b>",
        "{{ 7*7 }}{% raw %}",
        "--><!--",
        "&lt;b&gt;",
        "javascript:alert(1)",
        "a\u202eb\x00\x1b[2J\r\n",
    ]
)


def hostile(text: str) -> FleetView:
    """Return a fleet in which everything that a tenant or a gateway writes is `text`."""
    told = [{**each, "reason": text, "message": text} for each in (condition("Accepted"), condition("Published"))]
    told.append({**condition(text), "status": text})
    refusal = {"reason": text, "time": ago(minutes=1)}
    one = gateway(
        conditions=told,
        station=text,
        model=text,
        package=text,
        lnsURI=text,
        certificate={"serial": text, "sha256": text, "notAfter": ahead(days=1), "trustedCA": f"{text}/{text}"},
        lastRefusal=refusal,
        delivery={"state": text, "deliveries": 2, "outstanding": [text]},
        spec={"eui": text, "cups": {"uri": text}},
    )
    certificate = {"subject": text, "sha256": text, "role": text, "problem": text, "notAfter": ahead(days=3)}
    other = ca(
        conditions=told,
        certificates=[certificate],
        unregistered=[{"eui": "0123456789ABCDEF", "lastSeen": ago(hours=1), "model": text, "station": text}],
        revocationLists=[{"issuer": text, "entries": 1, "nextUpdate": ahead(days=1), "overdue": True}],
    )
    view = view_of([one, other])
    view.put(shown(gateway(conditions=[{**condition("Enforced"), "message": text}])), "2", NOW)
    view.put(shown(one), "3", NOW)
    return view


@settings(deadline=None, max_examples=examples(100))
@given(HOSTILE)
@example("<script>alert(1)</script>")
def test_text_from_tenants_and_gateways_is_shown_as_text(text: str) -> None:
    # A shown text is never empty, because the page leaves out the element around an empty text.
    text += "x"
    plain, attacked = hostile("a"), hostile(text)
    for name, (draw, query) in PAGES.items():
        pages = [draw(view, request(user=who, **query)) for view, who in ((plain, "a"), (attacked, text))]
        before, after = (Markup(each or "") for each in pages)
        assert after.shape == before.shape, name
        assert after.comments == []
        for _, attribute, value in after.values:
            if attribute in {"href", "src", "action"}:
                assert not urlsplit(value).scheme
                assert not urlsplit(value).netloc


def test_the_parameters_of_an_address_are_text_too() -> None:
    text = '"><script>alert(1)</script>'
    for draw, query in PAGES.values():
        page = draw(view_of([gateway(), ca()]), request(**{"search": text, "trusted_ca": text, **query}))
        assert page is None or "<script" not in page


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_one_heading_landmarks_and_nothing_from_elsewhere(name: str) -> None:
    draw, query = PAGES[name]
    page = Markup(draw(view_of([gateway(), ca()]), request(**query)) or "")
    tags = [tag for tag, _ in page.shape]
    for tag in ("h1", "main", "header", "footer", "title"):
        assert tags.count(tag) == 1
    assert "script" not in tags
    assert ("html", "lang", "en") in page.values
    assert [each for each in page.of("a", "href") if "//" in each] == []
    assert not [value for _, name, value in page.values if name == "style" or name.startswith("on")]
    labelled = set(page.of("label", "for"))
    assert set(page.of("input", "id") + page.of("select", "id") + page.of("progress", "id")) <= labelled
    ids = [value for _, name, value in page.values if name == "id"]
    assert len(ids) == len(set(ids))


def test_headings_leave_no_level_out() -> None:
    for draw, query in PAGES.values():
        page = Markup(
            draw(view_of([gateway(lastSeen=None, delivery={"state": "FellBack"}), ca()]), request(**query)) or ""
        )
        levels = [int(tag[1]) for tag, _ in page.shape if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_fleet_is_counted_by_state() -> None:
    gateways = [gateway(1), gateway(2, lastSeen=None), gateway(3, delivery={"state": "FellBack"}), gateway(4)]
    page = Markup(overview_page(view_of([*gateways, ca()]), request()))
    text = " ".join(page.text.split())
    assert "4 gateways" in text
    for expected in ("2 fine", "1 never seen", "1 fell back", "0 refused"):
        assert expected in text
    assert "gateways?state=FellBack" in page.of("a", "href")
    assert "radio/roof-000003" in text
    assert "1 gateway with a good certificate is not registered" in text


def test_a_ca_is_shown_with_its_users_and_its_ends() -> None:
    page = cas_page(view_of([ca()]), request())
    text = " ".join(Markup(page).text.split())
    assert "2 gateways in 25 h" in text
    assert "CN=Root (anchor) ends in 2 years, 2028-11-17" in text
    assert "CN=Issuing (intermediate) ends in 3 days, 2026-06-04" in text
    assert "a certificate ends within 7 days" in text
    assert Markup(page).of("rect", "width") == ["100.0%", "0.3%"]
    assert Markup(page).of("rect", "class") == ["bar", "bar bad"]


def test_the_history_of_a_gateway_is_what_its_status_reports_and_what_was_seen() -> None:
    view = view_of([gateway()])
    view.put(shown(gateway(lastSeen=ago(minutes=1))), "2", NOW)
    text = " ".join(Markup(gateway_page(view, request(namespace="radio", name="roof-000000")) or "").text.split())
    history = text.partition("History")[2]
    assert history.index("60 s ago visit it came") < history.index("3 days ago enforcement")


def test_an_unregistered_gateway_comes_with_a_manifest_that_registers_it() -> None:
    page = Markup(unregistered_page(view_of([ca()]), request()))
    manifest = registration_manifest(UnregisteredGateway("0123456789ABCDEF", "radio/vendor", ""))
    assert manifest in page.text
    (made,) = registrations([FoundGateway("", EUI64(0x0123456789ABCDEF))], "radio")
    assert yaml.safe_load(manifest) == made.gateway


@pytest.mark.parametrize("eui", ["", "0123", "0123456789abcdeg", "0123456789ABCDEF\nspec: {}"])
def test_what_is_not_an_eui_has_no_manifest(eui: str) -> None:
    assert registration_manifest(UnregisteredGateway(eui, "radio/vendor", "")) == ""


def test_progress_into_force_is_reported_and_the_page_asks_again_by_itself() -> None:
    published = [condition("Accepted"), condition("Published", message="Secret x is written")]
    page = Markup(enforcement_page(view_of([gateway(1), gateway(2, conditions=published)]), request()))
    text = " ".join(page.text.split())
    assert "1 of 2 accepted resources are enforced" in text
    assert "Gateway radio/roof-000002: published, not loaded by every CUPS pod yet, since 3 days ago" in text
    assert ("meta", "content", "5") in page.values


@pytest.mark.parametrize(("refresh", "expected"), [(None, 0), (0, 0), (30, 1)])
def test_a_page_asks_again_only_where_a_person_says_so(refresh: int | None, expected: int) -> None:
    page = gateways_page(view_of([gateway()]), request(refresh=refresh, search="x", state=GatewayState.FINE))
    assert page.count('http-equiv="refresh"') == expected
    (link,) = (each for each in Markup(page).of("a", "href") if each.endswith("refresh=5"))
    assert parse_qs(urlsplit(link).query) == {"q": ["x"], "state": ["Fine"], "refresh": ["5"]}


@pytest.mark.parametrize(
    ("freshness", "expected"),
    [
        (Freshness("the API server", NOW, is_complete=True), None),
        (
            Freshness("the API server", NOW - timedelta(minutes=5), is_complete=True),
            "last heard from the API server 5 min ago",
        ),
        (Freshness("the API server"), "The API server is not completely read yet"),
        (Freshness("the API server", None, is_complete=False, problem="403 Forbidden"), "403 Forbidden"),
    ],
)
def test_a_page_says_where_it_may_be_out_of_date(freshness: Freshness, expected: str | None) -> None:
    page = overview_page(view_of([gateway()]), request(freshness=freshness))
    assert ('class="notice"' in page) == (expected is not None)
    assert expected is None or expected in page


def test_a_page_further_on_than_the_list_leads_back() -> None:
    page = Markup(gateways_page(view_of(map(gateway, range(150))), request(page=9)))
    assert "No gateway is on this page" in page.text
    assert "gateways?page=2" in page.of("a", "href")


def test_a_resource_that_is_not_there_has_no_page() -> None:
    fields: dict[str, Any] = {"namespace": "radio", "name": "none"}
    assert gateway_page(view_of([]), request(**fields)) is None
    assert ca_page(view_of([]), request(**fields)) is None
