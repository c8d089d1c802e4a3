"""Compare the cost of refused and of accepted clients: the server's CPU per handshake."""

import socket
import ssl
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from stationkeeper_cups.log_budget import BURST
from tests.bench.fleet import Fleet, Member, contexts
from tests.bench.servers import Server, lay, stationkeeper

FORGED_ISSUERS = 10
_VERSION = ssl.TLSVersion.TLSv1_2


def report(number: int, rounds: int) -> None:
    """Print the medians of `rounds` of `number` handshakes of each kind; all certificates are new in each round."""
    fleet, stranger, namesake = Fleet("ECDSA"), Fleet("ECDSA", "Stranger"), Fleet("ECDSA")
    kinds: dict[str, Callable[[], Sequence[ssl.SSLContext]]] = {
        "let in": lambda: _contexts(fleet, fleet.gateways(number)),
        "unknown CA": lambda: _contexts(stranger, stranger.gateways(number)),
        "unknown CA with the name of a known one": lambda: _contexts(namesake, namesake.gateways(number)),
        f"{FORGED_ISSUERS} forged issuers": lambda: _contexts(namesake, namesake.forged(number, FORGED_ISSUERS)),
    }
    # All fleets have the same EUIs: a stranger's certificate names an existing Gateway.
    everybody = Fleet("ECDSA").gateways(number * (rounds + 2))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lay(folder, fleet)
        server = stack.enter_context(stationkeeper(folder, fleet, everybody))
        warm = _contexts(fleet, fleet.gateways(number))
        kinds["let in, seen before"] = lambda: warm
        _cost(server, warm)
        # The number of lines that are written at once; the flood begins after them.
        _cost(server, _contexts(stranger, stranger.gateways(int(BURST))))
        found: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind, made in kinds.items():
                found[kind].append(_cost(server, made()))
    honest = found["let in"]
    for kind, costs in found.items():
        ratio = statistics.median(its / let_in for its, let_in in zip(costs, honest, strict=True))
        print(f"{kind:42}{statistics.median(costs):8.0f} µs a handshake{ratio:8.2f} x let in", flush=True)


def _contexts(fleet: Fleet, members: tuple[Member, ...]) -> list[ssl.SSLContext]:
    found = list(contexts(fleet, members, _VERSION))
    for each in found:
        # The server is the same for all, and strangers know nothing of its CA.
        each.check_hostname = False
        each.verify_mode = ssl.CERT_NONE
    return found


def _cost(server: Server, known: Sequence[ssl.SSLContext]) -> float:
    before = server.cpu_seconds()
    for context in known:
        raw = socket.create_connection(("127.0.0.1", server.port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ssl.SSLError, OSError), context.wrap_socket(raw, server_hostname="localhost"):
            pass
        raw.close()
    return (server.cpu_seconds() - before) / len(known) * 1e6
