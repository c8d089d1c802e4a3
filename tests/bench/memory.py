"""Measure the memory of the operator for many Gateways: after everything is published, and the maximum."""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from tests.bench.large_cluster import Usage, large_cluster, say
from tests.bench.operator import until_published, until_written


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateways", type=int, action="append", help="may be given several times; default: 1000, 5000")
    parser.add_argument("--authorities", type=int, default=200, help="TrustedCAs")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    found: dict[str, dict[str, float]] = {}
    for gateways in options.gateways or (1000, 5000):
        with tempfile.TemporaryDirectory() as folder:
            found[str(gateways)] = asyncio.run(_measure(Path(folder), gateways, options.authorities))
        say(f"{gateways} Gateways: {found[str(gateways)]}")
    if options.json:
        say(json.dumps(found))


async def _measure(folder: Path, gateways: int, authorities: int) -> dict[str, float]:
    async with large_cluster(folder, gateways, authorities) as cluster:
        operator = cluster.release.start("first")
        await until_published(cluster)
        published = Usage.of(operator)
        await until_written(operator)
        written = Usage.of(operator)
        operator.terminate()
        again = cluster.release.start("second")
        await until_written(again)
        restarted = Usage.of(again)
    return {
        "rss_published_mb": round(published.resident),
        "rss_written_mb": round(written.resident),
        "rss_most_mb": round(written.peak),
        "rss_restarted_mb": round(restarted.resident),
        "rss_restarted_most_mb": round(restarted.peak),
    }
