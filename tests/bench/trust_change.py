"""Measure the effect of a change of trust on open connections, and on gateways that ask meanwhile."""

import json
import resource
import socket
import ssl
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from stationkeeper_core.published.documents import TRUST, encode
from tests.bench.fleet import Fleet, Member, contexts
from tests.bench.servers import Server, lay, stationkeeper
from tests.cups.documents import Gateway, Trusted, contents

Ask = Callable[[int, Member, ssl.SSLContext], None]

# The server ends a connection that is silent for 15 s, and opening all of them may take longer.
_FRESH_SECONDS = 5.0
_WAIT_SECONDS = 60.0
_CHANGE_SECONDS = 3.0
# Where the machine is busy; connections that stay must not become idle meanwhile.
_MORE_SECONDS = 5


@dataclass
class _Held:
    """A gateway's open connection."""

    member: Member
    connection: ssl.SSLSocket
    asked_at: float

    def ask(self, body: bytes) -> None:
        head = f"POST /update-info HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.connection.sendall(head.encode() + body)
        if not self.connection.recv(4096).startswith(b"HTTP/1.1 200"):
            raise RuntimeError("a connection has ended while others were opened: the machine is too busy for so many")
        self.asked_at = time.monotonic()

    def is_open(self) -> bool:
        self.connection.setblocking(False)
        try:
            return bool(self.connection.recv(1))
        except (ssl.SSLWantReadError, BlockingIOError):
            return True
        except OSError:
            return False


class _Asker(threading.Thread):
    """A gateway that asks all the time, and records the time of each answer, from its connection on."""

    def __init__(self, ask: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self._stopped = threading.Event()
        self.seconds: list[tuple[float, float]] = []

    def run(self) -> None:
        while not self._stopped.is_set():
            begun = time.monotonic()
            self._ask()
            self.seconds.append((begun, time.monotonic() - begun))

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def report(number: int, body: Callable[[Member], bytes], ask: Ask) -> None:
    """Print which of `number` open connections a change of trust closes, and how long answers take meanwhile.

    Args:
        number: of connections; one half is of gateways of a CA that is taken away.
        body: what a gateway reports.
        ask: asks once on a connection of its own.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    staying, leaving = Fleet("ECDSA"), Fleet("ECDSA", "Leaving")
    staying_members = staying.gateways(number // 2 + 1)
    leaving_members = leaving.gateways(number + 1)[number // 2 + 1 :]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lay(folder, staying)
        server = stack.enter_context(stationkeeper(folder, staying, (*staying_members, *leaving_members)))
        _publish(folder, 2, staying, leaving)
        known = list(contexts(staying, staying_members, ssl.TLSVersion.TLSv1_2))
        others = list(contexts(leaving, leaving_members, ssl.TLSVersion.TLSv1_2))
        for each in others:
            # The server is the same for all; its CA is the other fleet's.
            each.check_hostname, each.verify_mode = False, ssl.CERT_NONE
        _wait_until_let_in(lambda: ask(server.port, leaving_members[0], others[0]))
        held = _open(server, [*zip(staying_members[1:], known[1:], strict=True)], body)
        held_leaving = _open(server, [*zip(leaving_members, others, strict=True)], body, held)
        asker = _Asker(lambda: ask(server.port, staying_members[0], known[0]))
        asker.start()
        time.sleep(1)
        changed = time.monotonic()
        _publish(folder, 3, staying)
        # Do not look at the connections meanwhile: that would delay the asking thread, and not the server.
        time.sleep(_CHANGE_SECONDS)
        closed = sum(not each.is_open() for each in held_leaving)
        for _ in range(_MORE_SECONDS):
            if closed == len(held_leaving):
                break
            time.sleep(1)
            closed = sum(not each.is_open() for each in held_leaving)
        asker.stop()
        _print(asker, changed, closed, len(held_leaving), sum(not each.is_open() for each in held), len(held))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _publish(folder: Path, generation: int, *fleets: Fleet) -> None:
    trusted = [Trusted(f"vendor-{number}", each.ca) for number, each in enumerate(fleets)]
    fresh = folder / "documents" / "..trust"
    fresh.write_bytes(encode(TRUST, generation, contents(trusted, list[Gateway]())[TRUST]))
    fresh.rename(folder / "documents" / TRUST)


def _wait_until_let_in(ask: Callable[[], None]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError, RuntimeError):
            ask()
            return
        time.sleep(0.1)
    raise RuntimeError("the second CA is not in force")


def _open(
    server: Server,
    clients: Sequence[tuple[Member, ssl.SSLContext]],
    body: Callable[[Member], bytes],
    before: Sequence[_Held] = (),
) -> list[_Held]:
    """Open a connection for each of `clients`; keep these and the earlier ones in `before` from becoming idle."""
    found: list[_Held] = []
    for member, context in clients:
        raw = socket.create_connection(("127.0.0.1", server.port))
        found.append(_Held(member, context.wrap_socket(raw, server_hostname="localhost"), 0.0))
        found[-1].ask(body(member))
        oldest = min((*before[:1], *found[:1]), key=lambda each: each.asked_at)
        if time.monotonic() - oldest.asked_at > _FRESH_SECONDS:
            for each in (*before, *found):
                each.ask(body(each.member))
    return found


def _print(asker: _Asker, changed: float, closed: int, concerned: int, others: int, staying: int) -> None:
    before = [seconds for begun, seconds in asker.seconds if begun < changed]
    after = [seconds for begun, seconds in asker.seconds if begun >= changed]
    print(f"closed {closed} of {concerned} connections that it concerns, {others} of {staying} others")
    print(f"an answer took {statistics.median(before) * 1e3:.1f} ms before, the longest {max(before) * 1e3:.1f} ms")
    print(f"and {statistics.median(after) * 1e3:.1f} ms after, the longest {max(after) * 1e3:.1f} ms")
    summary = {"closed": closed, "concerned": concerned, "others_closed": others, "longest_ms": max(after) * 1e3}
    print(json.dumps(summary | {"longest_before_ms": max(before) * 1e3}))
