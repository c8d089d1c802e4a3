"""Check that memory, descriptors, tasks and threads of the operator do not grow under a long mixed load.

Run it by hand, not in CI. One document changes each second. The first half of the time is the start; growth after that
is a leak.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from tests.bench.changes import Changes, percentile
from tests.bench.large_cluster import Usage, large_cluster, say
from tests.bench.operator import until_published

_LOOK_SECONDS = 15.0
_SWAP_SECONDS = 1.0
_KINDS = 4


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateways", type=int, default=2000)
    parser.add_argument("--authorities", type=int, default=1000, help="TrustedCAs, some of which are removed")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(_soak(Path(folder), options))
    if options.json:
        say(json.dumps(found))


async def _soak(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    async with large_cluster(folder, options.gateways, options.authorities) as cluster:
        operator = cluster.release.start("soaked")
        await until_published(cluster)
        changes, looks, ends = Changes(cluster), list[Usage](), time.monotonic() + options.minutes * 60
        tasks: list[float] = []
        load = asyncio.create_task(_load(changes))
        while time.monotonic() < ends:
            await asyncio.wait({load}, timeout=_LOOK_SECONDS)
            if load.done():
                load.result()
            looks.append(Usage.of(operator))
            found = await asyncio.to_thread(operator.metric, "stationkeeper_operator_tasks")
            tasks.append(found or 0.0)
            made = f"{len(changes.to_secret)} changes, {len(changes.reductions)} reductions"
            say(f"{looks[-1]}, {tasks[-1]:.0f} tasks, {made}")
        load.cancel()
        lost = sum(line["event"] == "no longer leading" for line in operator.lines())
    later = looks[len(looks) // 2 :]
    return {
        "minutes": options.minutes,
        "changes": len(changes.to_secret),
        "reductions": len(changes.reductions),
        "change_to_secret_p99_s": round(percentile(changes.to_secret, 99), 3),
        "rss_mb": round(later[-1].resident, 1),
        "rss_growth_mb": round(later[-1].resident - later[0].resident, 1),
        "descriptors_growth": later[-1].descriptors - later[0].descriptors,
        # The median of each half of that time: a request that is under way is a task too.
        "tasks_growth": statistics.median(tasks[-len(later) // 2 :]) - statistics.median(tasks[-len(later) :]),
        "threads_growth": later[-1].threads - later[0].threads,
        "lease_lost": lost,
    }


async def _load(changes: Changes) -> None:
    number = 0
    while True:
        began = time.monotonic()
        await (changes.change() if number % _KINDS else changes.reduce(number // _KINDS))
        number += 1
        await asyncio.sleep(max(0.0, began + _SWAP_SECONDS - time.monotonic()))
