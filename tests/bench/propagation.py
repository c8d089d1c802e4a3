"""Measure how long a change and a reduction of trust take until they are published, with many Gateways."""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from tests.bench.changes import Changes, percentile
from tests.bench.large_cluster import LargeCluster, large_cluster, say
from tests.bench.operator import until_published, until_written

_PERCENTS = (50, 90, 99, 100)


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateways", type=int, default=2000)
    parser.add_argument("--authorities", type=int, default=200, help="TrustedCAs")
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--reductions", type=int, default=50)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        changes = asyncio.run(_measure(Path(folder), options))
    rows = {"change_to_secret": changes.to_secret, "change_to_status": changes.to_status}
    rows["reduction_to_secret"] = changes.reductions
    found: dict[str, float] = {"gateways": options.gateways}
    for name, values in rows.items():
        figures = {f"{name}_p{percent}_s": round(percentile(values, percent), 3) for percent in _PERCENTS}
        say(", ".join(f"{figure} {value}" for figure, value in figures.items()))
        found |= figures
    if options.json:
        say(json.dumps(found))


async def _measure(folder: Path, options: argparse.Namespace) -> Changes:
    async with large_cluster(folder, options.gateways, options.authorities) as cluster:
        await _settle(cluster)
        changes = Changes(cluster)
        await changes.many(options.changes, options.reductions)
        return changes


async def _settle(cluster: LargeCluster) -> None:
    operator = cluster.release.start("settled")
    await until_published(cluster)
    await until_written(operator)
