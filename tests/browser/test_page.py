"""The page in a real browser: with a keyboard, on a phone, in the dark, without scripts, and with hostile texts."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import pytest
import pytest_asyncio

from tests.browser.chromium import MISSING, PROGRAM, Tab, browser
from tests.browser.pages import ADDRESSES, HOSTILE, served_fleet
from tests.tools.page.fleets import ENFORCED, gateway, shown

pytestmark = [pytest.mark.skipif(not PROGRAM, reason=MISSING), pytest.mark.slow]

COUNT = 10_000
FOCUS = """(() => {
  const at = document.activeElement, style = getComputedStyle(at);
  return [at.tagName, (at.textContent || at.id || '').trim().slice(0, 40), at.getAttribute('href') || at.id,
          style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0];
})()"""
CAN_HAVE_FOCUS = "[...document.querySelectorAll('a[href], input, select, button, summary, [tabindex=\"0\"]')]"
REACHABLE = f"{CAN_HAVE_FOCUS}.filter(each => each.checkVisibility()).map(each => each.tagName)"
WIDTHS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
AXE = (
    "axe.run().then(found => found.violations.map(each => [each.id, each.nodes.map(node => node.html.slice(0, 200))]))"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place() -> AsyncIterator[tuple[str, Any]]:
    async with served_fleet(COUNT) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tab() -> AsyncIterator[Tab]:
    async with browser() as running:
        yield await running.tab()


@pytest.fixture(autouse=True)
def fresh(tab: Tab) -> None:
    tab.forget()


in_one_loop = pytest.mark.asyncio(loop_scope="module")


@in_one_loop
@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
async def test_a_page_loads_itself_and_its_icon_and_complains_of_nothing(
    place: tuple[str, Any], tab: Tab, address: str
) -> None:
    base, _ = place
    await tab.screen(1200)
    await tab.open(base + address)
    assert {each for each in tab.requests if each not in {base + address, f"{base}icon.svg"}} == set()
    # Chromium itself complains of the status of a page that is not there.
    assert [each for each in tab.complaints if "404" not in each] == []
    await tab.until("performance.getEntriesByType('paint').length > 0")


@in_one_loop
@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
async def test_a_text_of_a_tenant_or_a_gateway_is_shown_as_text(place: tuple[str, Any], tab: Tab, address: str) -> None:
    base, _ = place
    await tab.open(base + address)
    assert await tab.does("document.querySelectorAll('script, img').length") == 0
    assert await tab.does("typeof window.pwned") == "undefined"
    if address == ADDRESSES["hostile gateway"]:
        assert HOSTILE[:60] in await tab.does("document.body.textContent")


@in_one_loop
async def test_a_script_that_stood_in_the_page_all_the_same_would_not_run(place: tuple[str, Any], tab: Tab) -> None:
    base, _ = place
    await tab.open(base)
    await tab.does(
        "(() => { const made = document.createElement('script'), body = document.body; made.text = 'window.pwned = 1';"
        " body.append(made); body.insertAdjacentHTML('beforeend', \"<p onclick='window.pwned = 1'>\");"
        " body.lastElementChild.click() })()"
    )
    assert await tab.does("typeof window.pwned") == "undefined"
    assert any("Content Security Policy" in each for each in tab.complaints)


@in_one_loop
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
async def test_a_page_is_as_wide_as_its_screen(place: tuple[str, Any], tab: Tab, address: str, width: int) -> None:
    base, _ = place
    await tab.screen(width)
    await tab.open(base + address)
    content, screen = await tab.does(WIDTHS)
    assert (content <= screen, screen <= width) == (True, True)


@in_one_loop
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
async def test_axe_finds_nothing_in_the_light_or_in_the_dark(
    place: tuple[str, Any], tab: Tab, address: str, scheme: str
) -> None:
    base, _ = place
    await tab.screen(1200)
    await tab.scheme(scheme)
    await tab.open(base + address)
    red, green, blue = await tab.does(
        "getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).map(Number)"
    )
    assert (max(red, green, blue) < 64) == (scheme == "dark")
    await tab.does(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8") + "; null")
    assert await tab.does(AXE) == []


@in_one_loop
@pytest.mark.parametrize("address", [ADDRESSES["fleet"], ADDRESSES["search"], ADDRESSES["unregistered"]])
async def test_the_keyboard_reaches_everything_in_its_order_and_shows_where_it_is(
    place: tuple[str, Any], tab: Tab, address: str
) -> None:
    base, _ = place
    await tab.screen(1200)
    await tab.open(base + address)
    expected = await tab.does(REACHABLE)
    reached = []
    for _ in expected:
        await tab.press("Tab")
        reached.append(await tab.does(FOCUS))
    assert [tag for tag, *_ in reached] == expected
    assert reached[0][1] == "Skip to the content"
    assert [each for each in reached if not each[3]] == []


@in_one_loop
async def test_the_first_link_skips_to_the_content(place: tuple[str, Any], tab: Tab) -> None:
    base, _ = place
    await tab.open(f"{base}gateways")
    await tab.press("Tab")
    await tab.press("Enter", "\r")
    await tab.until("location.hash === '#content'")
    await tab.press("Tab")
    assert (await tab.does(FOCUS))[2] == "q"


@in_one_loop
async def test_without_scripts_a_person_searches_by_the_keyboard_alone(place: tuple[str, Any], tab: Tab) -> None:
    base, _ = place
    await tab.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        await tab.open(f"{base}gateways")
        await tab.does("document.getElementById('q').focus()")
        await tab.type("ROOF-009999")
        await tab.submit()
        assert "q=ROOF-009999" in await tab.does("location.search")
        assert "1 gateway" in await tab.does("document.querySelector('caption').textContent")
    finally:
        await tab.send("Emulation.setScriptExecutionDisabled", value=False)


@in_one_loop
async def test_progress_into_force_is_shown_as_it_happens_without_a_hand(place: tuple[str, Any], tab: Tab) -> None:
    base, view = place
    await tab.open(f"{base}enforcement")
    assert "radio/roof-000007: published" in await tab.does("document.body.textContent")
    view.put(shown(gateway(7, conditions=ENFORCED)), "2", datetime.now(UTC))
    text = "document.body.textContent"
    await tab.until(f"{text}.includes('Enforced holds') && !{text}.includes('radio/roof-000007: published')")


@in_one_loop
async def test_a_manifest_can_be_opened_and_copied(place: tuple[str, Any], tab: Tab) -> None:
    base, _ = place
    await tab.open(f"{base}unregistered")
    await tab.does("document.querySelector('summary').focus()")
    await tab.press("Enter", "\r")
    await tab.until("document.querySelector('details').open")
    text = await tab.does(
        "getSelection().selectAllChildren(document.querySelector('pre')) || getSelection().toString()"
    )
    assert text.startswith("apiVersion: stationkeeper.io/v1alpha1\nkind: Gateway\n")
    assert 'eui: "FFFF000000000000"' in text or "eui: FFFF000000000000" in text
