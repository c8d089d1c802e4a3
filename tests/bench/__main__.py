"""What an answer costs the server, against a bare aiohttp server with the same TLS, in the same run.

Run it with `make bench`. Every request is a new connection with a client certificate, as gateways make them. Printed
are µs of the server's CPU for each request (median of the rounds), and the ratio to the peer round by round.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from stationkeeper_core.client_certificate import read_client_certificate
from stationkeeper_core.eui64 import parse_router
from stationkeeper_core.pem import parse_certificates
from stationkeeper_core.policy.authorization import Claim, authorize
from stationkeeper_core.published import DOCUMENTS, encode
from stationkeeper_core.snapshot import Holdings
from stationkeeper_core.trust.judging import judge
from tests.cups.client import Client, exchange, free_port
from tests.cups.documents import Gateway, Trusted, contents
from tests.cups.pki import Pki

_TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=400, help="of each server in each round")
    options = parser.parse_args()
    pki = Pki.make()
    _report_decision(pki)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _lay(folder, pki)
        with _server(_cups_command(), _cups_environment(folder)) as cups, _server(*_peer(folder)) as peer:
            ours, theirs = [], []
            for _ in range(options.rounds):
                ours.append(_cpu_per_request(cups, pki, options.requests))
                theirs.append(_cpu_per_request(peer, pki, options.requests))
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    print(f"stationkeeper-cups  {statistics.median(ours):7.0f} µs of CPU a request")
    print(f"bare aiohttp        {statistics.median(theirs):7.0f} µs of CPU a request")
    print(f"ratio               {statistics.median(ratios):7.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")


def _report_decision(pki: Pki) -> None:
    holdings = Holdings()
    for document, payload in contents([Trusted("a", pki.a)], [Gateway(pki.eui)]).items():
        holdings = holdings.accept(document, encode(document, 1, payload))
    snapshot, now = holdings.snapshot, datetime.now(UTC)
    assert snapshot is not None
    leaf = parse_certificates(pki.a_gateway.certificate_pem.decode())[0].der
    router = parse_router("102:304:506:708")
    rounds = []
    for _ in range(5):
        begin = time.process_time_ns()
        for _ in range(500):
            certificate = read_client_certificate((leaf,))
            judgement = judge(certificate, snapshot.trust, snapshot.registry.scope(certificate.eui), now)
            authorize(Claim(judgement, router), snapshot)
        rounds.append((time.process_time_ns() - begin) / 500 / 1000)
    print(f"authorize()         {statistics.median(rounds):7.0f} µs of CPU, the chain's verification in it")


def _lay(folder: Path, pki: Pki) -> None:
    documents, server_tls = folder / "documents", folder / "server-tls"
    documents.mkdir()
    server_tls.mkdir()
    for document, payload in contents([Trusted("a", pki.a)], [Gateway(pki.eui)]).items():
        (documents / document).write_bytes(encode(document, 1, payload))
    assert set(DOCUMENTS) == {each.name for each in documents.iterdir()}
    (server_tls / "tls.crt").write_bytes(pki.server.certificate_pem + pki.server_ca.certificate_pem)
    (server_tls / "tls.key").write_bytes(pki.server.key_pem)
    (folder / "clients-ca.pem").write_bytes(pki.a.certificate_pem)


def _cups_command() -> list[str]:
    return [sys.executable, "-c", "from stationkeeper_cups.main import main; main()"]


def _cups_environment(folder: Path) -> dict[str, str]:
    return {
        "STATIONKEEPER_CUPS_ADDRESS": f"127.0.0.1:{free_port()}",
        "STATIONKEEPER_INTERNAL_ADDRESS": f"127.0.0.1:{free_port()}",
        "STATIONKEEPER_DOCUMENTS_FOLDER": str(folder / "documents"),
        "STATIONKEEPER_TLS_CERT": str(folder / "server-tls" / "tls.crt"),
        "STATIONKEEPER_TLS_KEY": str(folder / "server-tls" / "tls.key"),
        "STATIONKEEPER_LOG_LEVEL": "WARNING",
    }


def _peer(folder: Path) -> tuple[list[str], dict[str, str]]:
    command = [sys.executable, str(Path(__file__).with_name("peer.py"))]
    return command, {"STATIONKEEPER_CUPS_ADDRESS": f"127.0.0.1:{free_port()}", "PEER_FOLDER": str(folder)}


@contextmanager
def _server(command: list[str], environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    process = subprocess.Popen(command, env=os.environ | environment)
    port = int(environment["STATIONKEEPER_CUPS_ADDRESS"].rpartition(":")[2])
    try:
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(timeout=15)


def _cpu_per_request(server: tuple[int, int], pki: Pki, requests: int) -> float:
    pid, port = server
    client = Client(port, pki.server_ca, pki.a_gateway)
    _first_answer(client)
    before = _ticks(pid)
    for _ in range(requests):
        with client.connect() as connection:
            assert exchange(connection).status == 200
    return (_ticks(pid) - before) * _TICK_US / requests


def _first_answer(client: Client) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            with client.connect() as connection:
                exchange(connection)
                return
        except ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


if __name__ == "__main__":
    main()
