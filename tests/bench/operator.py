"""What the operator needs at scale: time to publish after a restart, and after a change; LISTs, memory, CPU at rest.

It is started twice on a real API server: on resources without a status, all of which it has to write, and again, after
a change that nobody saw. Changes are measured while the backlog of statuses is written.
"""

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stationkeeper_core.published import DOCUMENTS, RegistryDocument
from tests.bench.changes import Changes, percentile
from tests.bench.large_cluster import LargeCluster, Usage, large_cluster, say
from tests.controlplane.operator_process import OperatorProcess

_FIRST_SECONDS = 600.0
_REST_SECONDS = 600.0
_BACKLOG = "stationkeeper_operator_statuses_waiting"
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Figures:
    """As `operator --json` gives them."""

    gateways: int
    first_publish_over_list: float
    rss_mb: float
    change_to_secret_p50_s: float
    change_to_secret_p99_s: float
    reduction_to_secret_p99_s: float
    lists_in_10_min: int
    cpu_at_rest_percent: float


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateways", type=int, default=5000)
    parser.add_argument("--authorities", type=int, default=200, help="TrustedCAs")
    parser.add_argument("--changes", type=int, default=60)
    parser.add_argument("--reductions", type=int, default=30)
    parser.add_argument("--rest", type=float, default=_REST_SECONDS, help="seconds to look at it while nothing changes")
    parser.add_argument("--backlog", type=float, default=1800.0, help="seconds to wait until all statuses are written")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(_measure(Path(folder), options))
    if options.json:
        print(json.dumps({name: getattr(figures, name) for name in Figures.__dataclass_fields__}))


async def _measure(folder: Path, options: argparse.Namespace) -> Figures:
    async with large_cluster(folder, options.gateways, options.authorities) as cluster:
        changes = Changes(cluster)
        await _first_start(cluster, changes, options)
        return await _restart(cluster, changes, options)


async def _first_start(cluster: LargeCluster, changes: Changes, options: argparse.Namespace) -> None:
    began = time.monotonic()
    operator = cluster.release.start("first")
    async with asyncio.timeout(_FIRST_SECONDS):
        counts = await asyncio.gather(*(_published(cluster, each) for each in DOCUMENTS[1:]))
    say(f"first start: {sum(counts)} Gateways published after {time.monotonic() - began:.1f} s")
    await changes.many(options.changes, options.reductions)
    _tell("while statuses are written", changes)
    await _backlog_is_written(operator, began, options.backlog)
    _tell_process(operator)
    operator.terminate()


async def _published(cluster: LargeCluster, document: str) -> int:
    found: list[int] = []

    def holds(content: object) -> bool:
        assert isinstance(content, RegistryDocument)
        found[:] = [len(content.gateways)]
        return bool(found[0])

    await cluster.documents.until(document, holds, _FIRST_SECONDS)
    return found[0]


async def _backlog_is_written(operator: OperatorProcess, began: float, seconds: float) -> None:
    ends = time.monotonic() + seconds
    waiting = await asyncio.to_thread(operator.metric, _BACKLOG)
    while waiting and time.monotonic() < ends:
        await asyncio.sleep(_POLL_SECONDS)
        waiting = await asyncio.to_thread(operator.metric, _BACKLOG)
    left = "all statuses are written" if waiting == 0 else f"{waiting} statuses are not written"
    say(f"first start: {left} after {time.monotonic() - began:.1f} s")


async def _restart(cluster: LargeCluster, changes: Changes, options: argparse.Namespace) -> Figures:
    unseen = await changes.ask_to_suspend()
    listing = await cluster.list_seconds()
    began, began_at = time.monotonic(), datetime.now(UTC)
    operator = cluster.release.start("second")
    first = await changes.published_suspension(unseen) - began
    say(f"restart: published after {first:.1f} s, a plain LIST takes {listing:.1f} s")
    for each in (changes.to_secret, changes.to_status, changes.reductions):
        each.clear()
    await changes.many(options.changes, options.reductions)
    _tell("after a restart", changes)
    before = Usage.of(operator)
    await asyncio.sleep(options.rest)
    usage, elapsed = Usage.of(operator), time.monotonic() - began
    _tell_process(operator)
    lists = await cluster.lists_since(began_at)
    say(f"{lists} LISTs in {elapsed:.0f} s since the restart")
    return Figures(
        gateways=options.gateways,
        first_publish_over_list=round(first / listing, 2),
        rss_mb=round(usage.peak),
        change_to_secret_p50_s=round(percentile(changes.to_secret, 50), 3),
        change_to_secret_p99_s=round(percentile(changes.to_secret, 99), 3),
        reduction_to_secret_p99_s=round(percentile(changes.reductions, 99), 3),
        lists_in_10_min=lists,
        cpu_at_rest_percent=round((usage.cpu_seconds - before.cpu_seconds) / options.rest * 100, 2),
    )


def _tell(when: str, changes: Changes) -> None:
    rows = {
        "change to Secret": changes.to_secret,
        "change to status": changes.to_status,
        "reduction to Secret": changes.reductions,
    }
    for name, values in rows.items():
        shares = ", ".join(f"p{percent} {percentile(values, percent):.2f} s" for percent in (50, 90, 99))
        say(f"{when}: {name}: {shares} ({len(values)})")


def _tell_process(operator: OperatorProcess) -> None:
    usage = Usage.of(operator)
    lost = sum(line.get("event") == "no longer leading" for line in operator.lines())
    say(f"RSS {usage.resident:.0f} MiB, at most {usage.peak:.0f} MiB; Lease lost {lost} times")
