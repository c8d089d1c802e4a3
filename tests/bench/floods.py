"""Measure the cost of floods: CPU per connection, memory during and after the flood, and the wait of a gateway."""

import argparse
import json
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.bench.crowd import Crowd
from tests.bench.cups import request
from tests.bench.fleet import Fleet, contexts
from tests.bench.servers import Server, lay, stationkeeper

_SOURCES = 200
_AT_ONCE = 50
_AFTER_SECONDS = 12.0
_RECORD = b"\x16\x03\x03\x40\x00"


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connections", type=int, default=3000, help="of each flood")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    fleet = Fleet("ECDSA")
    members = fleet.gateways(50)
    known = list(contexts(fleet, members, ssl.TLSVersion.TLSv1_2))
    for each in known:
        each.check_hostname = False
        each.verify_mode = ssl.CERT_NONE
    hello = _hello(known[0])
    # Handshakes that begin with a Certificate message of 64 KiB and do not come to its end.
    huge = hello + _RECORD + b"\x0b\x00\xff\xff" + bytes(0x3FFC) + (_RECORD + bytes(0x4000)) * 2
    floods: dict[str, Callable[[socket.socket], None]] = {
        "silent": lambda _each: None,
        "half-done handshakes": lambda each: each.sendall(hello),
        "huge certificates": lambda each: each.sendall(huge),
        "no TLS at all": lambda each: each.sendall(b"GET / HTTP/1.1\r\n\r\n"),
        "gone after their hello": lambda each: _leave(each, hello),
    }
    found: dict[str, dict[str, float]] = {}
    print(f"{'flood':26}{'CPU each':>11}{'before':>12}{'in it':>12}{'after':>12}{'a gateway waits':>18}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lay(folder, fleet)
        server = stack.enter_context(stationkeeper(folder, fleet, members))
        asked = [request(each, server.port) for each in members]
        Crowd((server.port,), known, asked, 60).rate(8, 2)
        for name, say in floods.items():
            figures = found[name] = _flood(server, options.connections, say, known, asked)
            print(
                f"{name:26}{figures['cpu_us']:8.0f} µs{figures['before_mib']:8.1f} MiB{figures['in_it_mib']:8.1f} MiB"
                f"{figures['after_mib']:8.1f} MiB{figures['wait_s']:16.3f} s",
                flush=True,
            )
    if options.json:
        print(json.dumps(found))


def _flood(
    server: Server,
    number: int,
    say: Callable[[socket.socket], None],
    known: Sequence[ssl.SSLContext],
    asked: Sequence[bytes],
) -> dict[str, float]:
    before, cpu = server.resident_bytes(), server.cpu_seconds()
    held: list[socket.socket] = []
    for place in range(0, number, _AT_ONCE):
        new = [_connect(server.port, place + each) for each in range(_AT_ONCE)]
        time.sleep(0.01)
        for each in new:
            with suppress(OSError):
                say(each)
        held += new
    time.sleep(1)
    cpu = server.cpu_seconds() - cpu
    in_it = server.resident_bytes()
    gateways = Crowd((server.port,), known, asked, 30)
    gateways.rate(1, 2)
    waits = [each.ended - each.begun for each in gateways.attempts if each.outcome == "200"]
    for each in held:
        each.close()
    time.sleep(_AFTER_SECONDS)
    return {
        "cpu_us": cpu / number * 1e6,
        "before_mib": before / 2**20,
        "in_it_mib": in_it / 2**20,
        "after_mib": server.resident_bytes() / 2**20,
        "wait_s": statistics.median(waits) if waits else float("inf"),
    }


def _connect(port: int, number: int) -> socket.socket:
    made = socket.socket()
    made.setblocking(False)
    made.bind((f"127.0.2.{1 + number % _SOURCES}", 0))
    made.connect_ex(("127.0.0.1", port))
    return made


def _leave(connection: socket.socket, said: bytes) -> None:
    connection.sendall(said)
    connection.close()


def _hello(context: ssl.SSLContext) -> bytes:
    out = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    return out.read()
