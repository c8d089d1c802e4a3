"""Measure a server on one core while all gateways ask at once, as after an outage of their LNS.

The load is open: gateways come at two and three times the rate that the server can answer, and earlier gateways do not
change this rate. A gateway gives up after some time, and comes again a minute later, as a Basics Station does. Good-put
is the number of answers with 200 that reach a gateway that still waits, in percent of the answers without overload. It
is given by the clock, and by the server's CPU time, for machines that have other work as well.
"""

import argparse
import json
import os
import ssl
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from stationkeeper_core.published.documents import TRUST
from tests.bench.crowd import Attempt, Crowd
from tests.bench.cups import request
from tests.bench.fleet import Fleet, Member, contexts
from tests.bench.servers import Server, documents, lay, stationkeeper

CHANGE_SECONDS, CALM_SECONDS, CALM_FACTOR = 5.0, 10.0, 0.5
AT_A_TIME = 64
# A gateway that comes after the overload and waits longer than this has not met a server that has recovered.
SLOW_SECONDS = 1.0
# The first seconds, until as many wait as will.
_SETTLED_AFTER = 2.0
_CAPACITY_SECONDS = 5.0


@dataclass(frozen=True)
class Case:
    """The figures of one herd.

    Attributes:
        factor, patience: of the load, in multiples of the capacity; in seconds.
        capacity: answers a second without overload, the mean of before and after.
        good_put: in percent of the capacity.
        good_put_by_cpu: answers for each second of the server's CPU, in percent of those without overload.
        p50_s, p99_s: of the answers, from the connection's begin, in seconds.
        refused: answers with another status than 200.
        outcomes: attempts by how they ended.
        trust_change_s: from a change of trust during the herd until it was in force, in seconds.
        recovery_s: from the last second in which more came than can be answered, those that came again included, until
            no newcomer waits longer than a second.
    """

    factor: float
    patience: float
    capacity: float
    good_put: float
    good_put_by_cpu: float
    p50_s: float
    p99_s: float
    refused: int
    outcomes: dict[str, int]
    trust_change_s: float
    recovery_s: float


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateways", type=int, default=1000, help="certificates, which come in turn")
    parser.add_argument("--seconds", type=float, default=60, help="how long more come than can be answered")
    parser.add_argument("--again", type=float, default=60, help="seconds until one that was not answered comes again")
    parser.add_argument("--factor", type=float, action="append", help="times the capacity; default: 2 and 3")
    parser.add_argument("--patience", type=float, action="append", help="seconds; default: 5, 10, 30 and 60")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    titles = "capacity", "good-put", "by CPU", "p50", "p99", "not 200", "trust", "recovery"
    print(f"{'load':>6}{'patience':>10}  " + "".join(f"{each:>10}" for each in titles))
    found: list[Case] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fleet = Fleet("ECDSA")
        members = fleet.gateways(options.gateways)
        lay(folder, fleet)
        server = stack.enter_context(stationkeeper(folder, fleet, members))
        _apart(server)
        herd = Herd(folder, fleet, server, options.seconds, options.again)
        herd.members(members)
        for factor in options.factor or (2, 3):
            for patience in options.patience or (5, 10, 30, 60):
                case = herd.meet(factor, patience)
                found.append(case)
                print(_row(case), flush=True)
    if options.json:
        print(json.dumps(_summary(found)))


def _row(case: Case) -> str:
    figures = (
        f"{case.capacity:.0f}/s",
        f"{case.good_put:.0f} %",
        f"{case.good_put_by_cpu:.0f} %",
        f"{case.p50_s:.3f} s",
        f"{case.p99_s:.2f} s",
        f"{case.refused}",
        f"{case.trust_change_s:.2f} s",
        f"{case.recovery_s:.1f} s",
    )
    row = "".join(f"{each:>10}" for each in figures)
    return f"{case.factor:4g} x{case.patience:8g} s  {row}  {case.outcomes}"


class Herd:
    """Gateways that ask one running server.

    Args:
        folder: of its documents.
        fleet: whose members come.
        server: on its own core.
        seconds: how long they are too many.
        again: seconds until one comes again.
    """

    def __init__(self, folder: Path, fleet: Fleet, server: Server, seconds: float, again: float) -> None:
        self._folder, self._fleet, self._server = folder, fleet, server
        self._seconds, self._again = seconds, again
        self._generation = 1
        self._other = Fleet("ECDSA", "Other")
        self._changed_at = 0.0
        self._enforced_at = 0.0

    def members(self, members: Sequence[Member]) -> None:
        """Make the gateways, and publish them to the server."""
        self._members = tuple(members)
        self._contexts = list(contexts(self._fleet, self._members, ssl.TLSVersion.TLSv1_2))
        for each in self._contexts:
            # The server is the same for all, and what clients verify is not measured.
            each.check_hostname = False
            each.verify_mode = ssl.CERT_NONE
        self._requests = [request(each, self._server.port) for each in self._members]
        self._crowd(60).rate(AT_A_TIME, 3 + len(self._members) / 300)

    def meet(self, factor: float, patience: float) -> Case:
        """Let the gateways come at `factor` times the capacity; each waits `patience` seconds."""
        before, before_by_cpu = self._capacity()
        crowd = self._crowd(patience)
        self._changed_at = self._enforced_at = 0.0
        self._cpu = [0.0, 0.0]
        # Trust changes once the good-put is measured: after it, each gateway's first request costs more.
        phases = [
            (self._seconds, factor * before),
            (CHANGE_SECONDS, factor * before),
            (CALM_SECONDS, CALM_FACTOR * before),
        ]
        began = crowd.come(phases, self._again, self._watch)
        after, after_by_cpu = self._capacity()
        capacity = (before + after) / 2
        ends = began + self._seconds
        answered = [
            each for each in crowd.attempts if each.outcome == "200" and began + _SETTLED_AFTER <= each.ended < ends
        ]
        waits = sorted(each.ended - each.begun for each in answered) or [float("inf")]
        outcomes = Counter(each.outcome for each in crowd.attempts)
        return Case(
            factor=factor,
            patience=patience,
            capacity=capacity,
            good_put=100 * len(answered) / (self._seconds - _SETTLED_AFTER) / capacity,
            good_put_by_cpu=200 * len(answered) / (self._cpu[1] - self._cpu[0]) / (before_by_cpu + after_by_cpu),
            p50_s=statistics.median(waits),
            p99_s=waits[len(waits) * 99 // 100],
            refused=sum(number for outcome, number in outcomes.items() if outcome.isdigit() and outcome != "200"),
            outcomes=dict(outcomes),
            trust_change_s=self._enforced_at - self._changed_at,
            recovery_s=_recovery(crowd.attempts, ends + CHANGE_SECONDS, capacity),
        )

    def _capacity(self) -> tuple[float, float]:
        """Return the answers a second, and the answers per second of CPU, without overload."""
        began = self._server.cpu_seconds()
        found = self._crowd(60).rate(AT_A_TIME, _CAPACITY_SECONDS)
        return found, found * _CAPACITY_SECONDS / (self._server.cpu_seconds() - began)

    def _crowd(self, patience: float) -> Crowd:
        return Crowd((self._server.port,), self._contexts, self._requests, patience)

    def _watch(self, passed: float) -> None:
        if not self._cpu[0] and passed >= _SETTLED_AFTER:
            self._cpu[0] = self._server.cpu_seconds()
        if not self._cpu[1] and passed >= self._seconds:
            self._cpu[1] = self._server.cpu_seconds()
        self._change_trust(passed)

    def _change_trust(self, passed: float) -> None:
        """Publish another generation during the herd, and record when the server logs that it is in force."""
        if passed < self._seconds:
            return
        if not self._changed_at:
            self._generation += 1
            others = () if self._generation % 2 else (self._other.ca,)
            made = documents(self._fleet, self._members, self._generation, *others)
            self._log = (self._folder / "stationkeeper-cups.log").open("rb")
            self._log.seek(0, os.SEEK_END)
            self._changed_at = time.monotonic()
            fresh = self._folder / "documents" / ".fresh"
            fresh.write_bytes(made[TRUST])
            fresh.rename(self._folder / "documents" / TRUST)
        elif not self._enforced_at and any(_tells_of(line, self._generation) for line in self._log):
            self._enforced_at = time.monotonic()
            self._log.close()


def _tells_of(line: bytes, generation: int) -> bool:
    if b'"loaded"' not in line or b'"trust"' not in line:
        return False
    return bool(json.loads(line).get("generation") == generation)


def _recovery(attempts: Sequence[Attempt], ends: float, capacity: float) -> float:
    """Return the time after the overload when the last gateway came that waited longer than a second.

    After `ends`, the gateways without an answer come again. While these are more than `capacity` a second, it goes on.
    """
    coming = Counter(int(each.begun - ends) for each in attempts if each.begun >= ends)
    ends += max((second + 1 for second, number in coming.items() if number > capacity), default=0)
    late = [
        each.begun - ends
        for each in attempts
        if each.begun >= ends and (each.outcome != "200" or each.ended - each.begun > SLOW_SECONDS)
    ]
    return max(late, default=0.0)


def _apart(server: Server) -> None:
    """Give the server one core and the gateways the others."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        for task in Path(f"/proc/{server.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores[:1])
        os.sched_setaffinity(0, cores[1:])


def _summary(found: Sequence[Case]) -> dict[str, object]:
    return {
        "good_put_percent": {f"{each.factor:g}x, {each.patience:g} s": round(each.good_put, 1) for each in found},
        "least_good_put_percent": round(min(each.good_put for each in found), 1),
        "least_good_put_by_cpu_percent": round(min(each.good_put_by_cpu for each in found), 1),
        "not_200": sum(each.refused for each in found),
        "trust_change_s": round(max(each.trust_change_s for each in found), 2),
        "recovery_s": round(max(each.recovery_s for each in found), 1),
    }
