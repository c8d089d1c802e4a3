"""Compare two processes of CUPS as two pods, and as two workers of one port: answers, CPU for each, and memory.

Workers share a port by SO_REUSEPORT. They are forked from one parent after all imports, so that they share memory. Each
pod has its own port, and the gateways alternate between them, as behind a Service. All variants are measured by turns,
round by round, and the medians are printed. On a machine with two cores, the gateways use a part of both.
"""

import argparse
import json
import os
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from stationkeeper_tools.ports import free_port
from tests.bench.crowd import Crowd
from tests.bench.cups import request
from tests.bench.fleet import Fleet, Member, contexts
from tests.bench.servers import Server, documents, lay, wait

AT_A_TIME = 64
_ONE = "from stationkeeper_cups.main import main; main()"
_WORKERS = """
import os, socket, sys
from stationkeeper_cups import main

class Shared(main.ListeningSocket):
    def bind(self, address):
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().bind(address)

main.ListeningSocket = Shared
others = [os.fork() for _ in range(1)]
main.main()
"""


@dataclass(frozen=True)
class Variant:
    """One way to run the processes.

    Attributes:
        processes: how many serve.
        ports: how many they listen on.
    """

    processes: int
    ports: int


VARIANTS = {"one pod": Variant(1, 1), "two pods": Variant(2, 2), "two workers": Variant(2, 1)}


@dataclass
class Figures:
    """The figures of each round: answers a second, µs of CPU per answer, MiB of all processes (shared pages split)."""

    rate: list[float]
    cost: list[float]
    memory: list[float]


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateways", type=int, default=1000, help="that come in turn")
    parser.add_argument("--registered", type=int, default=20_000, help="that the server knows, those among them")
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    fleet = Fleet("ECDSA")
    members = fleet.gateways(options.gateways)
    known = list(contexts(fleet, members, ssl.TLSVersion.TLSv1_2))
    for each in known:
        each.check_hostname = False
        each.verify_mode = ssl.CERT_NONE
    others = tuple(Member(f"{0xB0 << 56 | number:016X}", members[0].pair) for number in range(options.registered))
    found = {name: Figures([], [], []) for name in VARIANTS}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lay(folder, fleet)
        published = folder / "documents"
        published.mkdir()
        for document, value in documents(fleet, (*members, *others[len(members) :]), 1).items():
            (published / document).write_bytes(value)
        for _ in range(options.rounds):
            for name, variant in VARIANTS.items():
                with _serving(variant, folder) as servers:
                    _measure(servers, members, known, options.seconds, found[name])
    for name, figures in found.items():
        rate, cost, memory = map(statistics.median, (figures.rate, figures.cost, figures.memory))
        print(f"{name:14}{rate:8.0f} answers/s{cost:8.0f} µs of CPU each{memory:8.1f} MiB")
    if options.json:
        print(json.dumps({name: {"cost_us": figures.cost, "mib": figures.memory} for name, figures in found.items()}))


def _measure(
    servers: list[Server], members: tuple[Member, ...], known: list[ssl.SSLContext], seconds: float, found: Figures
) -> None:
    crowd = Crowd([each.port for each in servers], known, [request(each, 8987) for each in members], 60)
    crowd.rate(AT_A_TIME, seconds)
    before = sum(each.cpu_seconds() for each in servers)
    crowd.attempts.clear()
    rate = crowd.rate(AT_A_TIME, seconds)
    cost = sum(each.cpu_seconds() for each in servers) - before
    found.rate.append(rate)
    found.cost.append(cost / max(1, len(crowd.attempts)) * 1e6)
    pids = [pid for each in servers for pid in (each.pid, *_workers(each.pid))]
    found.memory.append(sum(map(_proportional_bytes, pids)) / 2**20)


@contextmanager
def _serving(variant: Variant, folder: Path) -> Iterator[list[Server]]:
    shares = variant.processes > variant.ports
    with ExitStack() as stack:
        found = []
        for _ in range(variant.ports):
            port = free_port()
            command = [
                *(sys.executable, "-c", _WORKERS if shares else _ONE),
                *(f"--listen=127.0.0.1:{port}", f"--internal-listen=127.0.0.1:{free_port()}"),
                *(f"--directory={folder}/documents", f"--tls-cert={folder}/server.crt"),
                f"--tls-key={folder}/server.key",
            ]
            log = stack.enter_context((folder / "log").open("ab"))
            process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
            stack.callback(process.terminate)
            wait(process, port, listeners=variant.processes // variant.ports)
            for pid in _workers(process.pid):
                stack.callback(os.kill, pid, signal.SIGTERM)
            found.append(Server("stationkeeper-cups", process.pid, port))
        yield found


def _workers(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _proportional_bytes(pid: int) -> int:
    """Return the memory of a process, with its share of the pages that it shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
