"""Run the measured servers: stationkeeper-cups with all its features, and other servers with the same TLS."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from stationkeeper_core.published.documents import encode
from stationkeeper_tools.ports import free_port, free_ports
from stationkeeper_tools.sample_pki import KeyPair
from tests.bench.fleet import Fleet, Member
from tests.cups.documents import Gateway, Trusted, contents

_NGINX = """
daemon off;
worker_processes 1;
error_log {folder}/nginx-error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log {folder}/nginx-access.log;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/server.crt; ssl_certificate_key {folder}/server.key;
        ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_session_tickets off;
        ssl_verify_client on; ssl_client_certificate {folder}/ca.crt;
        location = /update-info {{ default_type application/octet-stream; return 200 "14 bytes of it"; }}
    }}
}}
"""


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        name: for people.
        pid: of the process that was started.
        port: where it listens.
        internal: the port of its metrics; 0 if it has none.
    """

    name: str
    pid: int
    port: int
    internal: int = 0

    def cpu_seconds(self) -> float:
        """Return the CPU time of the server and its children."""
        return sum(map(_cpu_nanoseconds, (self.pid, *_children(self.pid)))) / 1e9

    def resident_bytes(self) -> int:
        """Return its memory in RAM."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def interpreter() -> str:
    """Return the Python that runs the server: Debian's, as nginx is Debian's, if it has this version; else this one.

    Debian's Python is built with profile-guided optimization, as the Python of the images is; pyenv's is not.
    """
    distribution = Path("/usr/bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    return str(distribution) if distribution.exists() else sys.executable


@contextmanager
def stationkeeper(
    folder: Path,
    fleet: Fleet,
    members: tuple[Member, ...],
    name: str = "stationkeeper-cups",
    python: Path = Path(sys.executable),
) -> Iterator[Server]:
    """Run stationkeeper-cups for `members`, with observations, metrics and its log at INFO.

    `python` has the measured packages.
    """
    published = folder / "documents"
    published.mkdir(exist_ok=True)
    for document, value in documents(fleet, members, 1).items():
        (published / document).write_bytes(value)
    port, internal = free_ports(2)
    command = [
        *(interpreter(), "-c", "from stationkeeper_cups.main import main; main()"),
        *(f"--listen=127.0.0.1:{port}", f"--internal-listen=127.0.0.1:{internal}", f"--directory={published}"),
        *(f"--tls-cert={folder}/server.crt", f"--tls-key={folder}/server.key", "--log-level=INFO"),
    ]
    with _running(name, command, port, folder, {"PYTHONPATH": _packages(python)}) as server:
        yield replace(server, internal=internal)


def _packages(python: Path) -> str:
    """Return the folder with the packages of `python`, for another interpreter of its version."""
    script = "import os, sys; print(os.pathsep.join(p for p in sys.path if p and not p.startswith(sys.base_prefix)))"
    return subprocess.run([python, "-c", script], check=True, capture_output=True, text=True).stdout.strip()


def documents(fleet: Fleet, members: tuple[Member, ...], generation: int, *others: KeyPair) -> dict[str, bytes]:
    """Return the documents that trust the CA of `fleet` and other CAs, and have its `members`."""
    trusted = [Trusted("vendor", fleet.ca), *(Trusted(f"other-{number}", each) for number, each in enumerate(others))]
    payloads = contents(trusted, [Gateway(each.eui) for each in members])
    return {document: encode(document, generation, payload) for document, payload in payloads.items()}


@contextmanager
def nginx(folder: Path) -> Iterator[Server | None]:
    """Run nginx; None if there is none."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        yield None
        return
    port = free_port()
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port))
    with _running("nginx", [program, "-p", str(folder), "-c", str(folder / "nginx.conf")], port, folder) as server:
        yield server


@contextmanager
def go(folder: Path) -> Iterator[Server | None]:
    """Run the Go server of `peer.go`; None if there is no Go."""
    program = shutil.which("go")
    if program is None:
        yield None
        return
    source, built = Path(__file__).with_name("peer.go"), folder / "peer"
    subprocess.run([program, "build", "-o", str(built), str(source)], check=True)
    port = free_port()
    with _running("Go net/http", [str(built), f"127.0.0.1:{port}", str(folder)], port, folder) as server:
        yield server


def lay(folder: Path, fleet: Fleet) -> None:
    """Write the files that all servers read."""
    (folder / "server.crt").write_bytes(fleet.server.certificate_pem + fleet.server_ca.certificate_pem)
    (folder / "server.key").write_bytes(fleet.server.key_pem)
    (folder / "ca.crt").write_bytes(fleet.ca.certificate_pem)


@contextmanager
def _running(
    name: str, command: list[str], port: int, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    with (
        (folder / f"{name.replace('/', '-')}.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(environment or {})}) as process,
    ):
        try:
            wait(process, port)
            yield Server(name, process.pid, port)
        finally:
            process.terminate()
            process.wait(timeout=15)


def wait(process: "subprocess.Popen[bytes]", port: int, listeners: int = 1) -> None:
    """Wait until `listeners` sockets of a new server listen on a port."""
    deadline = time.monotonic() + 120
    listening = f"0100007F:{port:04X}"
    while listeners > sum(
        fields[1] == listening and fields[3] == "0A"
        for fields in map(str.split, Path("/proc/net/tcp").read_text().splitlines())
    ):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} does not listen")
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    text = "".join(file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(each) for each in text.split()]


def _cpu_nanoseconds(pid: int) -> int:
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))
