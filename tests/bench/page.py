"""Measure the page of a fleet: the first paint in a browser, the server's CPU per page, and the memory of the fleet."""

import argparse
import asyncio
import gc
import json
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stationkeeper_tools.page.application import PAGES
from stationkeeper_tools.page.fleet_view import FleetView
from stationkeeper_tools.page.freshness import Freshness
from stationkeeper_tools.page.history import History
from stationkeeper_tools.page.queries import read_query
from stationkeeper_tools.page.rendering import Request
from tests.browser.chromium import MISSING, PROGRAM, browser
from tests.browser.pages import ADDRESSES, fleet, served_fleet
from tests.tools.page.fleets import shown

SHOWN = ("fleet", "gateways", "search", "search for nothing", "gateway", "CAs", "enforcement", "none")
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1"


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateways", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--without-browser", action="store_true")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    figures = {"gateways": options.gateways, **held(options.gateways), "drawn": drawn(options.gateways, options.rounds)}
    print(f"{options.gateways} gateways: {figures['microseconds']:.0f} us and {figures['bytes']:.0f} bytes each")
    for name, milliseconds in figures["drawn"].items():
        print(f"{name}: drawn in {milliseconds:.1f} ms")
    if options.without_browser:
        pass
    elif PROGRAM:
        figures["painted"] = asyncio.run(painted(options.gateways, options.rounds))
        for name, (paint, work) in figures["painted"].items():
            print(f"{name}: first paint after {paint:.0f} ms; the browser's main thread works {work:.0f} ms")
    else:
        print(MISSING)
    if options.json:
        print(json.dumps(figures))


def held(count: int) -> dict[str, float]:
    """Return the memory and the time that one gateway takes."""
    now, view = datetime.now(UTC), FleetView(2, History())
    items = list(fleet(count, now))
    before, spent = resident(), 0.0
    for each in items:
        began = time.process_time()
        view.put(shown(each), "1", now, is_first=True)
        spent += time.process_time() - began
    gc.collect()
    return {"bytes": (resident() - before) / count, "microseconds": spent / count * 1e6}


def resident() -> int:
    """Return the resident memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def drawn(count: int, rounds: int) -> dict[str, float]:
    """Return the median of the milliseconds of CPU for each page."""
    now, view = datetime.now(UTC), FleetView(2, History())
    for each in fleet(count, now):
        view.put(shown(each), "1", now, is_first=True)
    found = {}
    for name in SHOWN:
        place, _, text = ADDRESSES[name].partition("?")
        parameters: dict[str, str] = dict(each.split("=") for each in text.split("&")) if text else {}
        asked = Request(read_query(parameters), now, Freshness("the API server", now, is_complete=True))
        spent: list[float] = []
        for _ in range(rounds):
            began = time.process_time()
            PAGES[f"/{place}"](view, asked)
            spent.append(1000 * (time.process_time() - began))
        found[name] = statistics.median(spent)
    return found


async def painted(count: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Medians in milliseconds: from a navigation to the first paint, and CPU of the browser's main thread."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in SHOWN}
    async with served_fleet(count) as (base, _), browser() as running:
        for _ in range(rounds):
            # One page after the other, by turns, so that other work on the machine slows all of them; the last one is
            # almost empty.
            for name in SHOWN:
                tab: Any = await running.tab()
                await tab.send("Performance.enable", timeDomain="threadTicks")
                await tab.open(base + ADDRESSES[name])
                await tab.until(f"({PAINT}) > 0")
                paint, told = await tab.does(PAINT), (await tab.send("Performance.getMetrics"))["metrics"]
                work = next(each["value"] for each in told if each["name"] == "TaskDuration")
                times[name].append((paint, 1000 * work))
    return {name: (_median(each, 0), _median(each, 1)) for name, each in times.items()}


def _median(pairs: Sequence[tuple[float, float]], place: int) -> float:
    return statistics.median(each[place] for each in pairs)
