"""Measure the CPU that a request costs the server: a new connection, a full mutual handshake, and an answer.

Other servers with the same TLS run beside it. One client asks all servers by turns, a few requests each, and waits for
each answer. Printed are medians of these turns, in µs of the server's CPU. A ratio is the median of the ratios of each
turn, so that other work of the machine has little effect. Warm: the server has seen the chain before. Cold: the first
request with each chain.
"""

import argparse
import json
import socket
import ssl
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from stationkeeper_core.protocol.credentials import crc
from tests.bench import refused, trust_change
from tests.bench.fleet import Fleet, Member, contexts
from tests.bench.servers import Server, go, lay, nginx, stationkeeper
from tests.cups.documents import LNS_CREDENTIALS, LNS_URI

OURS = "stationkeeper-cups"
CASES = {
    "TLS 1.2 ECDSA": ("ECDSA", ssl.TLSVersion.TLSv1_2),
    "TLS 1.3 ECDSA": ("ECDSA", ssl.TLSVersion.TLSv1_3),
    "TLS 1.2 RSA 2048": ("RSA", ssl.TLSVersion.TLSv1_2),
    "TLS 1.3 RSA 2048": ("RSA", ssl.TLSVersion.TLSv1_3),
}
MAIN = "TLS 1.2 ECDSA"

# Requests to one server before the next one's turn.
TURN = 20

Turns = dict[str, list[float]]


@dataclass(frozen=True)
class Figures:
    """µs of CPU per request, by server, for each turn."""

    warm: Turns
    cold: Turns


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--gateways", type=int, default=1000, help="chains that are warm, all asked in each round")
    parser.add_argument("--cold", type=int, default=300, help="chains of each round that were never seen before")
    parser.add_argument("--case", action="append", choices=list(CASES), help="default: all")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="measure the server of another checkout too")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON about TLS 1.2 with ECDSA")
    parser.add_argument("--memory", type=int, metavar="CONNECTIONS", help="tell the memory after so many connections")
    parser.add_argument("--held", type=int, metavar="CONNECTIONS", help="tell what connections of each kind cost")
    parser.add_argument("--refused", type=int, metavar="HANDSHAKES", help="tell what clients cost that are refused")
    parser.add_argument("--change", type=int, metavar="CONNECTIONS", help="tell what a change of trust does to so many")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    if options.memory:
        _report_memory(options.memory)
        return
    if options.refused:
        refused.report(options.refused, options.rounds)
        return
    if options.change:
        trust_change.report(options.change, _body, lambda port, each, context: ask(port, context, request(each, port)))
        return
    if options.held:
        _report_held(options.held)
        return
    print(f"{'':20}{'':24}{'warm':>8}{'cold':>8}{'ours / it, warm':>18}{'cold':>8}")
    summary: dict[str, float] = {}
    for case in options.case or CASES:
        figures = _measure(case, options)
        _print(case, figures)
        if case == MAIN:
            summary = _summary(figures)
    if options.json:
        print(json.dumps(summary))


def _measure(case: str, options: argparse.Namespace) -> Figures:
    algorithm, version = CASES[case]
    fleet = Fleet(algorithm)
    warm = fleet.gateways(options.gateways)
    cold = [fleet.gateways(options.cold) for _ in range(options.rounds)]
    everybody = (*warm, *(member for each in cold for member in each))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lay(folder, fleet)
        running = (
            stack.enter_context(stationkeeper(folder, fleet, everybody)),
            *(stack.enter_context(each) for each in _others(folder, fleet, everybody, options.against)),
            stack.enter_context(nginx(folder)),
            stack.enter_context(go(folder)),
        )
        servers = [each for each in running if each is not None]
        found = Figures({each.name: [] for each in servers}, {each.name: [] for each in servers})
        known = list(contexts(fleet, warm, version))
        for server in servers:
            _ask_all(server, warm, known)
        for members in cold:
            new = list(contexts(fleet, members, version))
            _take_turns(servers, warm, known, found.warm)
            _take_turns(servers, members, new, found.cold)
    return found


def _take_turns(
    servers: Sequence[Server], members: Sequence[Member], contexts: Sequence[ssl.SSLContext], costs: Turns
) -> None:
    """Let each of `members` ask each server once, and record the cost; the first server changes each time."""
    for turn, begin in enumerate(range(0, len(members), TURN)):
        part = slice(begin, begin + TURN)
        first = turn % len(servers)
        for server in (*servers[first:], *servers[:first]):
            costs[server.name].append(_cost(server, members[part], contexts[part]))


def _others(
    folder: Path, fleet: Fleet, members: tuple[Member, ...], checkout: Path | None
) -> Iterator[AbstractContextManager[Server]]:
    if checkout is not None:
        python = checkout.resolve() / ".venv/bin/python"
        yield stationkeeper(folder, fleet, members, f"that of {checkout.resolve().name}", python)


def _cost(server: Server, members: Sequence[Member], contexts: Sequence[ssl.SSLContext]) -> float:
    before = server.cpu_seconds()
    _ask_all(server, members, contexts)
    return (server.cpu_seconds() - before) / len(members) * 1e6


def _ask_all(server: Server, members: Sequence[Member], contexts: Sequence[ssl.SSLContext]) -> None:
    for member, context in zip(members, contexts, strict=True):
        ask(server.port, context, request(member, server.port))


def _body(member: Member) -> bytes:
    """Return the report of a Station that already has its configuration."""
    return json.dumps(
        {
            "router": member.router,
            "cupsUri": "https://localhost:8987",
            "tcUri": LNS_URI,
            "cupsCredCrc": 1234567890,
            "tcCredCrc": crc(LNS_CREDENTIALS),
            "station": "2.0.6(linux/std) 2022-03-30 11:12:13",
            "model": "linux",
            "package": "2.0.0",
            "keys": [],
        }
    ).encode()


def request(member: Member, port: int) -> bytes:
    """Return the request of a gateway as plain bytes."""
    body = _body(member)
    head = (
        f"POST /update-info HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body):10}\r\n\r\n"
    )
    return head.encode() + body


def ask(port: int, context: ssl.SSLContext, asked: bytes) -> None:
    raw = socket.create_connection(("127.0.0.1", port))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with context.wrap_socket(raw, server_hostname="localhost") as connection:
        connection.sendall(asked)
        answer = connection.recv(4096)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"port {port} answers {answer[:200]!r}")


def _print(case: str, figures: Figures) -> None:
    for name in figures.warm:
        warm, cold = (statistics.median(each[name]) for each in (figures.warm, figures.cold))
        ratios = "" if name == OURS else f"{_ratio(figures.warm, name):18.2f}{_ratio(figures.cold, name):8.2f}"
        print(f"{case:20}{name:24}{warm:8.0f}{cold:8.0f}{ratios}", flush=True)


def _ratio(turns: Turns, peer: str) -> float:
    return statistics.median(ours / its for ours, its in zip(turns[OURS], turns[peer], strict=True))


def _summary(figures: Figures) -> dict[str, float]:
    found: dict[str, float] = {}
    for short, peer in (("nginx", "nginx"), ("go", "Go net/http")):
        if peer not in figures.warm:
            print(f"{peer} is not installed: it is left out", file=sys.stderr)
            continue
        found |= {
            f"ratio_{short}_warm": round(_ratio(figures.warm, peer), 3),
            f"ratio_{short}_cold": round(_ratio(figures.cold, peer), 3),
        }
    warm, cold = (round(statistics.median(each[OURS]), 1) for each in (figures.warm, figures.cold))
    return found | {"cpu_us_warm": warm, "cpu_us_cold": cold}


def _report_memory(connections: int) -> None:
    fleet = Fleet("ECDSA")
    members = fleet.gateways(1000)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lay(folder, fleet)
        server = stack.enter_context(stationkeeper(folder, fleet, members))
        known = list(contexts(fleet, members, ssl.TLSVersion.TLSv1_2))
        for asked in range(0, connections + 1, 1000):
            if asked % max(1000, connections // 10) == 0:
                print(f"{asked:8} connections {server.resident_bytes() / 2**20:8.1f} MiB", flush=True)
            if asked < connections:
                _ask_all(server, members, known)


def _report_held(number: int) -> None:
    """Print the resident memory of the server for each state of its open connections."""
    fleet = Fleet("ECDSA")
    members = fleet.gateways(number)
    known = list(contexts(fleet, members, ssl.TLSVersion.TLSv1_2))
    for kind in ("silent", "in its handshake", "idle after its handshake", "idle after a request"):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            lay(folder, fleet)
            server = stack.enter_context(stationkeeper(folder, fleet, members))
            _ask_all(server, members[:100], known[:100])
            before = server.resident_bytes()
            held = [_held(kind, server.port, member, known) for member, known in zip(members, known, strict=True)]
            cost = (server.resident_bytes() - before) / number / 1024
            print(f"{kind:28}{cost:8.1f} KiB a connection", flush=True)
            for each in held:
                each.close()


def _held(kind: str, port: int, member: Member, context: ssl.SSLContext) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", port))
    if kind == "silent":
        return raw
    if kind == "in its handshake":
        out = ssl.MemoryBIO()
        with suppress(ssl.SSLWantReadError):
            context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
        raw.sendall(out.read())
        return raw
    connection = context.wrap_socket(raw, server_hostname="localhost")
    if kind == "idle after a request":
        body = _body(member)
        head = f"POST /update-info HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        connection.recv(4096)
    return connection
