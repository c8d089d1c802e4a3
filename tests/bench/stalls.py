"""Measure how long one callback blocks the operator's event loop: first publish, changes, a scrape, a resync.

It prints two times. CPU time is the computing of the callback alone. Wall time also has what other threads and other
processes took meanwhile; a thread that computes holds Python's lock for 5 ms.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tests.bench.changes import Changes, percentile
from tests.bench.large_cluster import LargeCluster, large_cluster, say
from tests.bench.operator import BACKLOG, until_published
from tests.controlplane.operator_process import OperatorProcess

GOAL_MS = 10.0

_RESYNC_SECONDS = 330.0
_SHOWN = 6


class Note(msgspec.Struct, array_like=True, frozen=True):
    """A long callback: its begin in monotonic seconds, its wall and CPU seconds, and its name."""

    began: float
    wall: float
    cpu: float
    name: str


class Noted(msgspec.Struct, frozen=True):
    """The records of `loop_watch`: the long callbacks by kind, and the number of turns of the loop by second."""

    long: dict[str, list[Note]]
    counted: dict[int, int]


@dataclass
class Phases:
    """The times of the phases."""

    found: dict[str, tuple[float, float]] = field(default_factory=dict)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.found[name] = began, time.monotonic()
            say(f"{name}: {time.monotonic() - began:.0f} s")


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateways", type=int, default=5000)
    parser.add_argument("--authorities", type=int, default=200, help="TrustedCAs")
    parser.add_argument("--changes", type=int, default=30)
    parser.add_argument("--reductions", type=int, default=10)
    parser.add_argument("--resync", type=float, default=_RESYNC_SECONDS, help="seconds to wait for a resync; 0: none")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(_measure(Path(folder), options))
    if options.json:
        print(json.dumps(found))


async def _measure(folder: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    phases = Phases()
    async with large_cluster(folder, options.gateways, options.authorities) as cluster:
        noted_in = folder / "noted.json"
        command = (sys.executable, "-m", "tests.bench.loop_watch", str(noted_in))
        operator = OperatorProcess(cluster.release.environment("watched"), folder / "watched.log", command)
        try:
            await _phases(cluster, operator, phases, options)
            operator.terminate()
        finally:
            if operator.is_running():
                operator.kill()
    noted = msgspec.json.decode(noted_in.read_bytes(), type=Noted)
    return {name: _tell(name, noted, *times) for name, times in phases.found.items()}


async def _phases(
    cluster: LargeCluster, operator: OperatorProcess, phases: Phases, options: argparse.Namespace
) -> None:
    with phases.of("first publish"):
        await until_published(cluster)
    with phases.of("changes"):
        await Changes(cluster).many(options.changes, options.reductions)
    with phases.of("a scrape of the metrics"):
        await asyncio.to_thread(operator.metric, BACKLOG)
    if options.resync:
        with phases.of("resync"):
            await asyncio.sleep(options.resync)


def _tell(name: str, noted: Noted, begins: float, ends: float) -> dict[str, float]:
    """Print the figures of a phase; return them, in milliseconds."""
    turns = sum(count for second, count in noted.counted.items() if begins - 1 <= second <= ends)
    within = {kind: [each for each in notes if begins <= each.began <= ends] for kind, notes in noted.long.items()}
    callbacks = within["callback"]
    found = {
        "turns_of_the_loop": turns,
        "longest_callback_cpu_ms": _longest([each.cpu for each in callbacks]),
        "longest_callback_wall_ms": _longest([each.wall for each in callbacks]),
        "longest_turn_wall_ms": _longest([each.wall for each in within["turn"]]),
        "p99_9_turn_cpu_ms": _p99_9([each.cpu for each in within["turn"]], turns),
        "p99_9_turn_wall_ms": _p99_9([each.wall for each in within["turn"]], turns),
        "callbacks_over_10_ms_cpu": sum(each.cpu * 1000 > GOAL_MS for each in callbacks),
        "longest_gc_cpu_ms": _longest([each.cpu for each in within["gc"]]),
    }
    say(f"{name}: {found}")
    for kind in ("callback", "gc"):
        for note in _worst_by_name(within[kind]):
            say(f"  {kind}: {note.cpu * 1000:.1f} ms of CPU, {note.wall * 1000:.1f} ms: {note.name}")
    return found


def _worst_by_name(notes: Sequence[Note]) -> list[Note]:
    worst: dict[str, Note] = {}
    for each in notes:
        if each.name not in worst or worst[each.name].cpu < each.cpu:
            worst[each.name] = each
    return sorted(worst.values(), key=lambda each: -each.cpu)[:_SHOWN]


def _longest(seconds: Sequence[float]) -> float:
    return round(1000 * max(seconds, default=0.0), 1)


def _p99_9(long: Sequence[float], count: int) -> float:
    """Return the percentile of `count` values, of which only the long ones are known; the others count as 0."""
    values: list[Any] = [0.0] * max(0, count - len(long)) + list(long)
    return round(1000 * percentile(values, 99.9), 1) if values else 0.0
