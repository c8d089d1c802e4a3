"""Real proxies in front of a server: Debian's nginx and HAProxy, and Envoy and Traefik from PyPI.

Tests are skipped if the proxy that they need is not installed.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import EVENTUALLY

_STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def program(name: str) -> str:
    """Return the path of a proxy; empty if it is not installed."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/bin") or ""


needs_nginx = pytest.mark.skipif(not program("nginx"), reason="nginx is not installed: apt-get install nginx")
needs_nginx_stream = pytest.mark.skipif(
    not program("nginx") or not _STREAM_MODULE.exists(),
    reason="nginx with its stream module is not installed: apt-get install nginx libnginx-mod-stream",
)
needs_envoy = pytest.mark.skipif(not program("envoy"), reason="Envoy is not installed: make proxies")
needs_traefik = pytest.mark.skipif(not program("traefik"), reason="Traefik is not installed: make proxies")
needs_haproxy = pytest.mark.skipif(not program("haproxy"), reason="HAProxy is not installed: apt-get install haproxy")


@contextmanager
def nginx(folder: Path, http: str, port: int) -> Iterator[None]:
    """Run nginx with the given contents of `http`."""
    temporary = "".join(
        f"{each}_temp_path {folder}/{each};" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    with _nginx(folder, f"http {{ access_log off; {temporary} {http} }}", port):
        yield


@contextmanager
def nginx_stream(folder: Path, stream: str, port: int) -> Iterator[None]:
    """Run nginx with the given contents of `stream`."""
    with _nginx(folder, f"stream {{ {stream} }}", port, f"load_module {_STREAM_MODULE};"):
        yield


@contextmanager
def haproxy(folder: Path, configuration: str, port: int) -> Iterator[None]:
    """Run HAProxy with the given proxies."""
    file = folder / "haproxy.cfg"
    file.write_text(f"defaults\n  timeout connect 5s\n  timeout client 10s\n  timeout server 10s\n{configuration}")
    with _running([program("haproxy"), "-db", "-f", str(file)], folder, port):
        yield


@contextmanager
def envoy(folder: Path, configuration: object, port: int) -> Iterator[None]:
    """Run Envoy with one worker."""
    file = folder / "envoy.json"
    file.write_text(json.dumps(configuration))
    command = [program("envoy"), "-c", str(file), "--concurrency", "1", "--disable-hot-restart"]
    with _running(command, folder, port):
        yield


@contextmanager
def traefik(folder: Path, configuration: object, port: int) -> Iterator[None]:
    """Run Traefik with one entry point, `gateways`, and the given dynamic configuration."""
    file = folder / "routes.yaml"  # JSON is YAML, and Traefik wants it to be called so
    file.write_text(json.dumps(configuration))
    flags = [f"--entryPoints.gateways.address=127.0.0.1:{port}", f"--providers.file.filename={file}"]
    checks = ["--global.checkNewVersion=false", "--global.sendAnonymousUsage=false"]
    with _running([program("traefik"), *flags, *checks], folder, port):
        yield


@contextmanager
def _nginx(folder: Path, contents: str, port: int, first: str = "") -> Iterator[None]:
    user = "user root;" if os.getuid() == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(
        f"{first} {user} daemon off; pid {folder}/nginx.pid; error_log stderr; events {{ }} {contents}",
        encoding="utf-8",
    )
    with _running([program("nginx"), "-p", str(folder), "-c", str(file)], folder, port):
        yield


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    log = folder / "proxy.log"
    with log.open("ab") as sink, subprocess.Popen(command, stdout=sink, stderr=sink, cwd=folder) as process:
        try:
            deadline = time.monotonic() + EVENTUALLY
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command} does not listen: {log.read_text()}")
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(timeout=15)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
