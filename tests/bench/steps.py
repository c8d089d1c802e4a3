"""Measure the work of the server for one request, step by step: the calls of functions, and the CPU of each part.

Server and client are two threads of this process. The figures are those of the server: medians of many requests, each
on a new connection. Calls are counted exactly, also those of C. The time of a part does not include parts inside it.
The figures show where time goes, not how much a request costs: for that, see the bench `cups`, whose server process
does nothing else.
"""

import argparse
import asyncio
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

from OpenSSL import SSL

from stationkeeper_core.in_force.judgement_memory import JudgementMemory
from stationkeeper_cups.accepting.listener import Listener
from stationkeeper_cups.admission.admission import Admission
from stationkeeper_cups.http.connection import HTTPConnection
from stationkeeper_cups.http.handler import UpdateInfoHandler
from stationkeeper_cups.main import serve
from stationkeeper_cups.observations import Observations
from stationkeeper_cups.process.event_loop import EpollSelector, new_event_loop
from stationkeeper_cups.process.json_log import LineHandler, log_as_json
from stationkeeper_cups.settings import read_settings
from stationkeeper_cups.tls.connection import TLSConnection
from stationkeeper_cups.tls.transport import TLSTransport
from stationkeeper_tools.ports import free_port
from tests.bench.cups import ask, request
from tests.bench.fleet import Fleet, contexts
from tests.bench.servers import documents, lay

_REST_SECONDS = 0.003
# What is less is not listed.
_LEAST = 0.1

Client = tuple[ssl.SSLContext, bytes]

# Methods by the part of a request that begins with them. What they call belongs to it, unless it is listed too.
PARTS: tuple[tuple[type, str, str], ...] = (
    (EpollSelector, "select", "event loop and sockets"),
    (TLSTransport, "__init__", "transport"),
    (TLSTransport, "write", "transport"),
    (Listener, "handshake_done", "bookkeeping of the listener"),
    (Listener, "closed", "bookkeeping of the listener"),
    (TLSConnection, "__init__", "TLS: a connection is made"),
    (TLSConnection, "receive", "TLS: bytes in"),
    (TLSConnection, "examine", "TLS: questions of OpenSSL"),
    (TLSConnection, "write", "TLS: bytes out"),
    (TLSConnection, "data_to_send", "TLS: bytes out"),
    (SSL.Connection, "do_handshake", "OpenSSL: handshake"),
    (Admission, "judge", "judgement"),
    (JudgementMemory, "judge_uncached", "judgement, for the first time"),
    (HTTPConnection, "data_received", "HTTP"),
    (HTTPConnection, "connection_lost", "HTTP"),
    (UpdateInfoHandler, "answer", "decision and answer"),
    (Observations, "visited", "observation"),
    (LineHandler, "handle", "log line"),
)


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests", type=int, default=200, help="of each kind")
    parser.add_argument("--functions", type=int, default=0, help="list so many functions, those called most first")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    fleet = Fleet("ECDSA")
    members = fleet.gateways(3 * options.requests)
    port = free_port()
    known = contexts(fleet, members, ssl.TLSVersion.TLSv1_2)
    clients = [(context, request(member, port)) for context, member in zip(known, members, strict=True)]
    warm, cold, newer = (clients[place::3] for place in range(3))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay(folder, fleet)
        (folder / "documents").mkdir()
        for document, value in documents(fleet, members, 1).items():
            (folder / "documents" / document).write_bytes(value)
        with _Running(folder, port) as server:
            server.visit(warm)
            calls = {kind: server.count(each) for kind, each in (("warm", warm), ("cold", cold))}
            times = {kind: server.time(each) for kind, each in (("warm", warm), ("cold", newer))}
    _print_calls(calls, options.functions)
    _print_times(times)


class _Running:
    """A server in its own thread.

    Args:
        folder: what it reads, as `lay` writes it.
        port: where gateways connect.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._port = port
        self._settings = read_settings(
            [
                *(f"--listen=127.0.0.1:{port}", f"--internal-listen=127.0.0.1:{free_port()}"),
                *(
                    f"--directory={folder}/documents",
                    f"--tls-cert={folder}/server.crt",
                    f"--tls-key={folder}/server.key",
                ),
            ],
            {},
        )
        self._log = (folder / "log").open("w")
        self._serves = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "_Running":
        with redirect_stderr(self._log):
            log_as_json("INFO")
        self._thread.start()
        self._serves.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._log.close()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            self._loop, self._stop = runner.get_loop(), asyncio.Event()
            runner.run(serve(self._settings, self._stop, on_serving=self._serves.set))

    def visit(self, clients: Sequence[Client], after_each: Callable[[], object] = lambda: None) -> None:
        """Let each of `clients` ask once, and give the server time to close the connection."""
        for context, asked in clients:
            ask(self._port, context, asked)
            time.sleep(_REST_SECONDS)
            after_each()

    def count(self, clients: Sequence[Client]) -> dict[str, float]:
        """Return how often each function is called for a request, without the calls of the timers."""
        requests: list[Counter[str]] = [Counter()]

        def take_note(frame: FrameType, event: str, function: Any) -> None:
            if event == "call":
                requests[-1][f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}"] += 1
            elif event == "c_call":
                owner = getattr(function, "__module__", None) or type(getattr(function, "__self__", None)).__name__
                requests[-1][f"{owner}.{function.__name__}"] += 1

        self._loop.call_soon_threadsafe(sys.setprofile, take_note)
        self.visit(clients, lambda: requests.append(Counter()))
        self._loop.call_soon_threadsafe(sys.setprofile, None)
        names = set().union(*requests)
        return {name: statistics.median(each[name] for each in requests) for name in names}

    def time(self, clients: Sequence[Client]) -> dict[str, float]:
        """Return the CPU of each part of a request, in µs."""
        requests: list[dict[str, float]] = []
        with _Stopwatch() as watch:
            self.visit(clients, lambda: requests.append(watch.take()))
        parts = dict.fromkeys(part for *_, part in PARTS)
        return {part: statistics.median(each.get(part, 0.0) for each in requests) for part in parts}


class _Stopwatch:
    """Measures the CPU that a thread spends in the methods of `PARTS`, without the methods that they call."""

    def __init__(self) -> None:
        self._spent: Counter[str] = Counter()
        self._inner = [0]

    def __enter__(self) -> "_Stopwatch":
        self._methods = [(owner, name, getattr(owner, name)) for owner, name, _ in PARTS]
        for owner, name, part in PARTS:
            setattr(owner, name, self._timed(getattr(owner, name), part))
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, method in self._methods:
            setattr(owner, name, method)

    def take(self) -> dict[str, float]:
        """Return the CPU spent since the last call, in µs."""
        spent, self._spent = self._spent, Counter()
        return {part: nanoseconds / 1e3 for part, nanoseconds in spent.items()}

    def _timed(self, method: Callable[..., Any], part: str) -> Callable[..., Any]:
        @wraps(method)
        def timed(*args: Any, **named: Any) -> Any:
            self._inner.append(0)
            begun = time.thread_time_ns()
            try:
                return method(*args, **named)
            finally:
                whole = time.thread_time_ns() - begun
                self._spent[part] += whole - self._inner.pop()
                self._inner[-1] += whole

        return timed


def _print_calls(calls: dict[str, dict[str, float]], functions: int) -> None:
    warm, cold = calls["warm"], calls["cold"]
    print(f"{'calls of functions for a request':64}{'warm':>8}{'cold':>8}")
    modules: dict[str, list[float]] = {}
    for name in {*warm, *cold}:
        counts = modules.setdefault(_module(name), [0.0, 0.0])
        counts[0] += warm.get(name, 0.0)
        counts[1] += cold.get(name, 0.0)
    for name, counts in sorted(modules.items(), key=lambda each: -each[1][1]):
        _print_row(name, *counts)
    _print_row("all", sum(warm.values()), sum(cold.values()))
    for name in sorted({*warm, *cold}, key=lambda each: -cold.get(each, 0.0))[:functions]:
        _print_row(name, warm.get(name, 0.0), cold.get(name, 0.0))


def _print_times(times: dict[str, dict[str, float]]) -> None:
    warm, cold = times["warm"], times["cold"]
    print(f"\n{'µs of CPU':64}{'warm':>8}{'cold':>8}")
    for part in warm:
        _print_row(part, warm[part], cold[part])
    _print_row("all", sum(warm.values()), sum(cold.values()))


def _print_row(name: str, warm: float, cold: float) -> None:
    if max(warm, cold) >= _LEAST:
        print(f"{name:64}{warm:8.1f}{cold:8.1f}", flush=True)


def _module(function: str) -> str:
    """Return the module of a function; functions of C are grouped by their type or module."""
    return next((name for name in sys.modules if function.startswith(f"{name}.")), function.partition(".")[0])
