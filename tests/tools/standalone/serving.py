"""`stationkeeper serve` as a process on a folder, and a gateway that asks it over TLS."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from stationkeeper_core.eui64 import EUI64
from stationkeeper_tools.gateway_client import Identity, RefusedError, update_info
from stationkeeper_tools.ports import free_ports
from stationkeeper_tools.sample_pki import KeyPair, make_gateway
from tests.ending import end
from tests.tools.command_line import PROGRAM
from tests.tools.manifest_files import EUI, root

SECONDS = 120.0
UNREACHED = "unreached"


def pair(eui: str = EUI, ca: str = "vendor") -> KeyPair:
    """Return the key and the certificate of a gateway, the same each time."""
    return _pair(eui, ca)


@cache
def _pair(eui: str, ca: str) -> KeyPair:
    return make_gateway(eui, root(ca), datetime.now(UTC))


class Serving:
    """A folder of manifests and a state folder, with one process at a time that serves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifests = folder / "manifests"
        self.state = folder / "state"
        self.cups, self.internal = free_ports(2)
        self.told: list[dict[str, Any]] = []
        self.process: subprocess.Popen[str] | None = None
        self.options: tuple[str, ...] = ()
        self.has_ended = False

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            end(self.process)

    def put(self, name: str, *objects: Any) -> Path:
        """Write a manifest file as most editors do: replace it by a new one."""
        path = self.manifests / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.swp")
        new.write_text(yaml.safe_dump_all(objects, sort_keys=False))
        new.replace(path)
        return path

    def start(self, *options: str) -> None:
        self.told, self.has_ended = [], False
        where = ("--manifests", str(self.manifests), "--state", str(self.state))
        ports = ("--listen", f"127.0.0.1:{self.cups}", "--internal-listen", f"127.0.0.1:{self.internal}")
        names = ("--server-name", "localhost", "--output", "json")
        command = [*PROGRAM, "serve", *where, *ports, *names, *self.options, *options]
        log = (self.folder / "serve.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
            )
        self._reading = threading.Thread(target=self._read, args=(self.process, self.told), daemon=True)
        self._reading.start()

    @staticmethod
    def _read(process: "subprocess.Popen[str]", told: list[dict[str, Any]]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                told.append(json.loads(line))  # noqa: PERF401 - each is needed as it comes

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(SECONDS)

    def end(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.has_ended = True
        status = self.process.wait(SECONDS)
        self._reading.join(SECONDS)
        return status

    def until_enforced(self, kind: str, name: str) -> None:
        self.until(lambda: self.condition(kind, name, "Enforced").get("status") == "True", f"{name} is enforced")

    def until(self, holds: Callable[[], Any], what: str) -> None:
        until = time.monotonic() + SECONDS
        while not holds():
            assert self.process is not None
            assert self.has_ended or self.process.poll() is None, f"it ended: {what}; {self.log[-2000:]}"
            assert time.monotonic() < until, f"not in time: {what}; it told {self.told[-5:]}; {self.log[-2000:]}"
            time.sleep(0.02)

    @property
    def log(self) -> str:
        return (self.folder / "serve.log").read_text()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.told if each["told"] == kind]

    def finding(self, reason: str) -> dict[str, Any] | None:
        return next((each for each in self.of("finding") if each["reason"] == reason), None)

    def asks(self, eui: str = EUI, ca: str = "vendor") -> str:
        """Return the gateway's answer: the URI of its LNS, or the reason of a refusal, or that nothing answers."""
        files = pair(eui, ca).write(self.folder, f"gateway-{eui}-{ca}")
        identity = Identity(*files, self.state / "server-ca.crt")
        try:
            return update_info(f"https://localhost:{self.cups}", identity, EUI64(int(eui, 16))).tc_uri or "nothing new"
        except RefusedError as error:
            return str(error)
        except OSError:
            return UNREACHED

    def until_told(self, outcome: str, **who: str) -> None:
        self.until(lambda: outcome in self.asks(**who), f"the gateway is told {outcome}")

    @property
    def status(self) -> dict[str, Any]:
        """Return the content of `status.json`; without resources before the file exists."""
        path = self.state / "status.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"resources": []}
        return found

    def condition(self, kind: str, name: str, condition: str) -> dict[str, Any]:
        """Return a condition in `status.json`; empty if none is of the present generation."""
        for each in self.status["resources"]:
            if (each["kind"], each["name"]) == (kind, name):
                listed = each["status"].get("conditions", ())
                of_now = [one for one in listed if one["observedGeneration"] == each["generation"]]
                return next((one for one in of_now if one["type"] == condition), {})
        return {}
