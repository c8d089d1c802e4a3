"""The memory of connections; silent ones cannot stop the server, under a real memory limit of the kernel."""

import asyncio
import os
import resource
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

from stationkeeper_cups.process.memory_return import WORTH_BYTES, MemoryReturn
from tests.cups.client import until
from tests.cups.conftest import Cups, ready
from tests.cups.documents import Gateway, Trusted
from tests.cups.pki import Pki
from tests.ending import end

# The chart's limit.
LIMIT_BYTES = 512 * 1024 * 1024
MIB = 1024 * 1024

_V2, _V1 = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")


@contextmanager
def _cgroup() -> Iterator[Path]:
    """Yield a memory cgroup with the chart's limit; skip the test if this machine does not allow that."""
    is_v2 = (_V2 / "cgroup.controllers").exists()
    folder = (_V2 if is_v2 else _V1) / f"stationkeeper-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / ("memory.max" if is_v2 else "memory.limit_in_bytes")).write_text(str(LIMIT_BYTES))
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        pytest.skip(f"no memory cgroup can be made here: {error}")
    try:
        yield folder
    finally:
        for _ in range(50):
            with suppress(OSError):
                folder.rmdir()
                break


@contextmanager
def _confined(cups: Cups, cgroup: Path, log: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a server process in `cgroup`."""
    code = (
        "import pathlib, os; "
        f"pathlib.Path({str(cgroup / 'cgroup.procs')!r}).write_text(str(os.getpid())); "
        "import stationkeeper_cups.accepting.connection_limits as limits; "
        f"limits.memory_limit.__defaults__ = ((pathlib.Path({str(cgroup)!r}) / 'memory.max', "
        f"pathlib.Path({str(cgroup)!r}) / 'memory.limit_in_bytes'),); "
        "from stationkeeper_cups.main import main; main()"
    )
    command = [
        *(sys.executable, "-c", code),
        f"--listen=127.0.0.1:{cups.port}",
        f"--internal-listen=127.0.0.1:{cups.internal_port}",
        f"--directory={cups.documents}",
        f"--tls-cert={cups.server_tls / 'tls.crt'}",
        f"--tls-key={cups.server_tls / 'tls.key'}",
        *arguments,
    ]
    with log.open("ab") as sink, subprocess.Popen(command, stdout=sink, stderr=sink) as running:
        try:
            yield running
        finally:
            end(running)


def _resident(process: "subprocess.Popen[bytes]") -> int:
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _silent(port: int, number: int) -> list[socket.socket]:
    found: list[socket.socket] = []
    for _ in range(number):
        made = socket.socket()
        made.setblocking(False)
        # Many places to connect from, as a machine has too few ports for one.
        made.bind((f"127.0.0.{2 + len(found) % 50}", 0))
        made.connect_ex(("127.0.0.1", port))
        found.append(made)
    return found


@asynccontextmanager
async def _flood(port: int, number: int, said: bytes = b"") -> AsyncIterator[None]:
    """Hold that many connections, on each of which `said` was sent once."""
    held = await asyncio.to_thread(_silent, port, number)
    try:
        for each in held if said else ():
            with suppress(OSError):
                each.send(said)
        yield
    finally:
        for each in held:
            each.close()


@pytest.fixture
def enough_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.parametrize("number", [1600, 10_000])
@pytest.mark.usefixtures("enough_descriptors")
async def test_silent_connections_do_not_exhaust_the_server(pki: Pki, tmp_path: Path, number: int) -> None:
    cups = Cups(tmp_path, pki)
    cups.lay_server_tls(pki.server)
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
    with _cgroup() as cgroup, _confined(cups, cgroup, tmp_path / "log") as server:
        await until(lambda: ready(cups), "it serves")
        before = _resident(server)
        async with _flood(cups.port, number):
            for _ in range(5):
                assert (await cups.client(pki.a_gateway).ask()).status == 200
            assert server.poll() is None
            # A few KiB each, in any state.
            assert _resident(server) - before < number * 8 * 1024 + 8 * 1024 * 1024
        assert (await cups.client(pki.a_gateway).ask()).status == 200
        assert server.poll() is None


@pytest.mark.slow
@pytest.mark.usefixtures("enough_descriptors")
async def test_half_done_handshakes_do_not_exhaust_the_server(pki: Pki, tmp_path: Path) -> None:
    cups = Cups(tmp_path, pki)
    cups.lay_server_tls(pki.server)
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
    hello = _client_hello()
    with _cgroup() as cgroup, _confined(cups, cgroup, tmp_path / "log") as server:
        await until(lambda: ready(cups), "it serves")
        async with _flood(cups.port, 3000, hello):
            for _ in range(5):
                assert (await cups.client(pki.a_gateway).ask()).status == 200
            assert server.poll() is None
        assert (await cups.client(pki.a_gateway).ask()).status == 200


@pytest.mark.slow
@pytest.mark.usefixtures("enough_descriptors")
async def test_memory_comes_back_after_a_flood(pki: Pki, tmp_path: Path) -> None:
    cups = Cups(tmp_path, pki)
    cups.lay_server_tls(pki.server)
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
    # A part of a certificate message in clear text, which TLS 1.2 allows: OpenSSL keeps it and waits for the rest.
    said = _client_hello(ssl.TLSVersion.TLSv1_2) + (b"\x16\x03\x03\x40\x00" + b"\x0b\x00\xff\xff" + bytes(0x3FFC)) * 2
    # The first clients are still there when a busy machine has read what the last ones sent.
    patience = "--handshake-seconds=600"
    with _cgroup() as cgroup, _confined(cups, cgroup, tmp_path / "log", patience) as server:
        await until(lambda: ready(cups), "it serves")
        assert (await cups.client(pki.a_gateway).ask()).status == 200
        before = _resident(server)

        async def has_grown() -> bool:
            return _resident(server) > before + 2 * WORTH_BYTES

        async def is_small() -> bool:
            return _resident(server) < before + WORTH_BYTES

        async with _flood(cups.port, 600, said):
            await until(has_grown, "the flood takes memory", 100)
        await until(is_small, "the memory is given back", 60)
        assert (await cups.client(pki.a_gateway).ask()).status == 200


@pytest.mark.slow
@pytest.mark.usefixtures("enough_descriptors")
async def test_much_data_before_a_clients_turn_does_not_exhaust_the_server(pki: Pki, tmp_path: Path) -> None:
    cups = Cups(tmp_path, pki)
    cups.lay_server_tls(pki.server)
    cups.publish([Trusted("a", pki.a)], [Gateway(pki.eui)])
    with _cgroup() as cgroup, _confined(cups, cgroup, tmp_path / "log") as server:
        await until(lambda: ready(cups), "it serves")
        async with _flood(cups.port, 4000, b"\x16\x03\x03\x40\x00" + bytes(1024 * 1024)):
            for _ in range(5):
                assert (await cups.client(pki.a_gateway).ask()).status == 200
            assert server.poll() is None


def test_memory_is_released_in_quiet_times_if_it_is_enough() -> None:
    resident, free, calm, asked = 60, 0, True, 0

    def give_back() -> None:
        nonlocal resident, asked
        resident -= free
        asked += 1

    memory = MemoryReturn(lambda: resident * MIB, give_back, lambda: calm)
    assert not memory.check()
    resident, free, calm = 300, 230, False
    assert not memory.check()
    calm = True
    assert memory.check()
    # The remaining memory is in use, so nothing is returned again.
    assert not memory.check()
    resident, free = 75, 0
    assert not memory.check()
    resident = 90
    assert memory.check()
    assert asked == 2


def _client_hello(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    out = ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.maximum_version = version
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()
