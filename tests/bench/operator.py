"""Measure the operator at scale: time to publish after a restart and after a change; LISTs, memory, CPU at rest.

The operator starts twice on a real API server: first with resources without a status, which it must all write; then
again, after a change while no operator ran. Changes are measured while the backlog of statuses is written.
"""

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

from stationkeeper_core.published.documents import RegistryDocument
from stationkeeper_core.published.registry_layout import BUCKETS
from tests.bench.changes import Changes, percentile
from tests.bench.large_cluster import LargeCluster, Usage, large_cluster, say
from tests.controlplane.operator_process import OperatorProcess

_FIRST_SECONDS = 600.0
_BACKLOG_SECONDS = 1800.0
_REST_SECONDS = 600.0
BACKLOG = "stationkeeper_operator_statuses_waiting"
_POLL_SECONDS = 1.0
FEW_GATEWAYS, BUCKETS_FOR_MORE = 30_000, 64
"""The advice of docs/operation.md, "Capacity": the gateways for which the chart's count of Secrets is right."""


@dataclass(frozen=True)
class Figures:
    """The figures, as `operator --json` prints them; `rss_mb` is the memory at the end."""

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
    parser.add_argument("--buckets", type=int, help="registry Secrets; default: as docs/operation.md advises")
    parser.add_argument("--changes", type=int, default=60)
    parser.add_argument("--reductions", type=int, default=30)
    parser.add_argument("--rest", type=float, default=_REST_SECONDS, help="seconds to look at it while nothing changes")
    parser.add_argument(
        "--backlog", type=float, default=_BACKLOG_SECONDS, help="seconds to wait until all statuses are written"
    )
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(_measure(Path(folder), options))
    if options.json:
        print(json.dumps({name: getattr(figures, name) for name in Figures.__dataclass_fields__}))


def advised_buckets(gateways: int) -> int:
    """Return the number of registry Secrets that docs/operation.md advises."""
    return BUCKETS if gateways <= FEW_GATEWAYS else BUCKETS_FOR_MORE


async def _measure(folder: Path, options: argparse.Namespace) -> Figures:
    buckets = options.buckets or advised_buckets(options.gateways)
    say(f"{buckets} registry Secrets")
    async with large_cluster(folder, options.gateways, options.authorities, buckets) as cluster:
        changes = Changes(cluster)
        await _first_start(cluster, changes, options)
        return await _restart(cluster, changes, options)


async def _first_start(cluster: LargeCluster, changes: Changes, options: argparse.Namespace) -> None:
    began = time.monotonic()
    operator = cluster.start("first")
    count = await until_published(cluster)
    say(f"first start: {count} Gateways published after {time.monotonic() - began:.1f} s")
    await changes.many(options.changes, options.reductions)
    _tell("while statuses are written", changes)
    waiting = await until_written(operator, options.backlog)
    left = f"{waiting:.0f} statuses are not written" if waiting else "all statuses are written"
    say(f"first start: {left} after {time.monotonic() - began:.1f} s")
    _tell_process(operator)
    operator.terminate()


async def until_published(cluster: LargeCluster) -> int:
    """Wait until every registry document is published; return the number of their Gateways."""
    async with asyncio.timeout(_FIRST_SECONDS):
        return sum(await asyncio.gather(*(_published(cluster, each) for each in cluster.layout.registry)))


async def _published(cluster: LargeCluster, document: str) -> int:
    found: list[int] = []

    def holds(content: object) -> bool:
        assert isinstance(content, RegistryDocument)
        found[:] = [len(content.gateways)]
        return bool(found[0])

    await cluster.documents.until(document, holds, _FIRST_SECONDS)
    return found[0]


async def until_written(operator: OperatorProcess, seconds: float = _BACKLOG_SECONDS) -> float:
    """Wait until all statuses are written, at most for `seconds`; return how many are missing."""
    ends = time.monotonic() + seconds
    # At first nothing waits, since nothing is known.
    waiting: float | None = None
    while waiting != 0 and time.monotonic() < ends:
        await asyncio.sleep(_POLL_SECONDS)
        is_ready = await asyncio.to_thread(operator.answers, "/readyz")
        waiting = await asyncio.to_thread(operator.metric, BACKLOG) if is_ready == HTTPStatus.OK else None
    return waiting or 0.0


async def _restart(cluster: LargeCluster, changes: Changes, options: argparse.Namespace) -> Figures:
    unseen = await changes.ask_to_suspend()
    listing = await cluster.list_seconds()
    began, began_at = time.monotonic(), datetime.now(UTC)
    operator = cluster.start("second")
    first = await changes.published_suspension(unseen) - began
    say(f"restart: published after {first:.1f} s, a plain LIST takes {listing:.1f} s; {_phases(operator, began_at)}")
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
        rss_mb=round(usage.resident),
        change_to_secret_p50_s=round(percentile(changes.to_secret, 50), 3),
        change_to_secret_p99_s=round(percentile(changes.to_secret, 99), 3),
        reduction_to_secret_p99_s=round(percentile(changes.reductions, 99), 3),
        lists_in_10_min=lists,
        cpu_at_rest_percent=round((usage.cpu_seconds - before.cpu_seconds) / options.rest * 100, 2),
    )


def _phases(operator: OperatorProcess, began: datetime) -> str:
    """Return the time of the first log line of each event, in seconds since `began`."""
    found: dict[str, str] = {}
    for line in operator.lines():
        seconds = (datetime.fromisoformat(line["time"]) - began).total_seconds()
        found.setdefault(f"{line['event']} {line.get('kind', '')}".strip(), f"{seconds:.1f}")
    wanted = ("leading", "listed TrustedCA", "listed Gateway", "listed GatewayDefaults", "published")
    return ", ".join(f"{name} {found[name]}" for name in wanted if name in found)


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
