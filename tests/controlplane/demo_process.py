"""`stationkeeper demo --keep --json` as a process, with a user's programs: kubectl, openssl, curl."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from stationkeeper_tools.api_client import ApiClient
from tests.waiting import EVENTUALLY

_PLURALS = {"gateway": "gateways", "trustedca": "trustedcas"}


class Demo:
    """A demo that stays running."""

    def __init__(self, kubectl: Path, folder: Path) -> None:
        self._kubectl = kubectl
        self.folder = folder
        self.steps: list[dict[str, Any]] = []
        self.ready: dict[str, Any] = {}
        command = [sys.executable, "-c", "from stationkeeper_tools.cli import main; main()", "demo", "--keep", "--json"]
        self._errors = folder / "demo.err"
        with self._errors.open("wb") as errors:
            environment = os.environ | {"TMPDIR": str(folder)}
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True)

    def __enter__(self) -> "Demo":
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if said.get("ready"):
                self.ready = said
                return self
            self.steps.append(said)
        self.stop()
        raise AssertionError(f"the demo ended: {self.steps} {self._errors.read_text()}")

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Stop the demo as a user does; return its exit status."""
        self._process.terminate()
        self._process.communicate(timeout=EVENTUALLY)
        return self._process.returncode

    @property
    def cups_port(self) -> int:
        return int(self.ready["cupsUrl"].rpartition(":")[2])

    def kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [
            self._kubectl,
            "--kubeconfig",
            self.ready["kubeconfig"],
            "-n",
            self.ready["namespace"],
            *arguments,
        ]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=EVENTUALLY)

    def apply(self, *documents: dict[str, Any]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        done = self.kubectl("apply", "-f", "-", stdin=json.dumps(listed))
        assert done.returncode == 0, done.stderr

    def delete(self, kind: str, *names: str) -> None:
        done = self.kubectl("delete", "--wait=false", "--ignore-not-found", kind, *names)
        assert done.returncode == 0, done.stderr

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return all resources of a kind by their names, without a program, because tests ask many times."""
        path = f"/apis/stationkeeper.io/v1alpha1/namespaces/{self.ready['namespace']}/{_PLURALS[kind]}"
        return {each["metadata"]["name"]: each for each in self._api.items(path)}

    @cached_property
    def _api(self) -> ApiClient:
        return ApiClient(Path(self.ready["kubeconfig"]))

    def condition(self, kind: str, name: str, condition: str) -> tuple[str, str, str]:
        """Return status, reason and message of a condition; empty texts if none is about the present spec."""
        found = self.resources(kind)[name]
        for each in found.get("status", {}).get("conditions", []):
            if each["type"] == condition and each["observedGeneration"] == found["metadata"]["generation"]:
                return each["status"], each["reason"], each["message"]
        return "", "", ""

    def curl(self, certificate: Path, key: Path, body: str) -> "CurlAnswer":
        """Return the curl command of the document, without the options that hide its result from a program."""
        output = self.folder / "answer.bin"
        output.unlink(missing_ok=True)
        done = subprocess.run(
            [
                *("curl", "-sS", "--max-time", f"{EVENTUALLY:.0f}", "-o", output, "-w", "%{http_code}"),
                *("--cert", certificate, "--key", key, "--cacert", self.ready["serverCa"]),
                *(f"{self.ready['cupsUrl']}/update-info", "-d", body),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        content = output.read_bytes() if output.exists() else b""
        return CurlAnswer(int(done.stdout or 0), content, done.stderr.strip())


@dataclass(frozen=True)
class CurlAnswer:
    status: int
    body: bytes
    error: str

    @property
    def outcome(self) -> str:
        """Return `200`, the reason of a refusal, or `alert: …`."""
        if self.status == 200:
            return "200"
        return self.body.decode("ascii").partition(":")[0] if self.status else f"alert: {self.error}"


def trusted_ca(name: str, **spec: Any) -> dict[str, Any]:
    return _object("stationkeeper.io/v1alpha1", "TrustedCA", name) | {"spec": spec}


def gateway(name: str, eui: str, lns: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return _object("stationkeeper.io/v1alpha1", "Gateway", name) | {"spec": {"eui": eui, "lns": lns, **spec}}


def token_secret(name: str, token: str) -> dict[str, Any]:
    found = _object("v1", "Secret", name) | {"stringData": {"token": token}}
    found["metadata"]["labels"] = {"stationkeeper.io/credentials": "true"}
    return found


def _object(api_version: str, kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}
