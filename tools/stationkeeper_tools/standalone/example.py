"""An example on a folder: a CA, a gateway, its answer, and its refusal.

It runs `serve` on a folder with two manifests, and a gateway asks over mutual TLS. All files are in a temporary folder
that is removed at the end.
"""

import asyncio
import contextlib
import logging
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.setting_values import Address
from stationkeeper_tools.gateway_client import Identity, RefusedError, curl_command, update_info
from stationkeeper_tools.ports import free_ports
from stationkeeper_tools.sample_pki import make_gateway, make_root
from stationkeeper_tools.standalone.serve import ServeSettings, serve
from stationkeeper_tools.standalone.state_folder import StateFolder
from stationkeeper_tools.standalone.trial_certificate import trial_certificate

EUI = EUI64(0x0123456789ABCDEF)
LNS_URI = "wss://lns.example.org:8887"
SECONDS = 60.0

_NAMESPACE = "radio"


def run_example(tell: Callable[[str, Mapping[str, Any]], None]) -> int:
    """Run the example and return its exit code: 0 only if every step succeeded.

    Args:
        tell: called with each step.
    """
    logging.basicConfig(level=logging.ERROR, force=True)
    began = time.monotonic()

    def step(text: str) -> None:
        tell("step", {"seconds": time.monotonic() - began, "text": text})

    with tempfile.TemporaryDirectory(prefix="stationkeeper-example-") as folder:
        return asyncio.run(_Example(Path(folder), step).run())


class _Example:
    def __init__(self, folder: Path, step: Callable[[str], None]) -> None:
        self._step = step
        self._manifests = folder / "manifests"
        self._folder = folder
        self._reported: list[tuple[str, Mapping[str, Any]]] = []
        self._cups, self._internal = (Address("127.0.0.1", port) for port in free_ports(2))
        self._url = f"https://localhost:{self._cups.port}"

    async def run(self) -> int:
        stop = asyncio.Event()
        with StateFolder(self._folder / "state") as state:
            server = trial_certificate(state, ("localhost", "127.0.0.1"))
            assert server.root is not None  # noqa: S101 - a trial has one
            identity = self._write(server.root)
            settings = ServeSettings(
                manifests=self._manifests,
                namespace=_NAMESPACE,
                release_namespace="stationkeeper",
                listen=self._cups,
                internal=self._internal,
                server=server,
                server_names=("localhost",),
                token_authentication=False,
                log_level="ERROR",
            )
            serving = asyncio.create_task(serve(settings, state, self._tell, stop))
            try:
                done = await self._show(identity, serving)
            finally:
                stop.set()
                with contextlib.suppress(asyncio.CancelledError):
                    await serving
        return 0 if done else 1

    def _tell(self, kind: str, fields: Mapping[str, Any]) -> None:
        self._reported.append((kind, fields))

    def _write(self, server_ca: Path) -> Identity:
        self._manifests.mkdir()
        now = datetime.now(UTC)
        root = make_root("Example gateway vendor", now)
        certificate, key = make_gateway(format_hex(EUI), root, now).write(self._folder, "gateway")
        lns = {"uri": LNS_URI, "trust": server_ca.read_text()}
        for name, kind, spec in (
            ("vendor", "TrustedCA", {"certificates": root.certificate_pem.decode()}),
            ("gateway-1", "Gateway", {"eui": format_hex(EUI), "lns": lns}),
        ):
            metadata = {"name": name, "namespace": _NAMESPACE}
            content = {"apiVersion": "stationkeeper.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
            (self._manifests / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return Identity(certificate, key, server_ca)

    async def _show(self, identity: Identity, serving: asyncio.Task[None]) -> bool:
        self._step(f"Two manifests in {self._manifests}: a TrustedCA, and a Gateway with EUI {format_hex(EUI)}")
        if not await self._until(serving, lambda: self._ready() == {"vendor", "gateway-1"}):
            return self._failed("they are not in force")
        self._step("Both are in force. The gateway asks:")
        self._step(f"  {curl_command(self._url, identity, EUI)}")
        answer = await asyncio.to_thread(update_info, self._url, identity, EUI)
        if answer.tc_uri != LNS_URI:
            return self._failed(f"it was sent to {answer.tc_uri!a}")
        self._step(f"It gets its LNS: {answer.tc_uri}")
        self._step("vendor.yaml is deleted. The gateway asks again:")
        (self._manifests / "vendor.yaml").unlink()
        refusals: list[str] = []
        began = time.monotonic()
        if not await self._until(serving, lambda: bool(refusals), lambda: self._ask(identity, refusals)):
            return self._failed("it is not refused")
        self._step(f"Refused after {time.monotonic() - began:.2f} s: {refusals[0]}")
        self._step("With manifests of your own: stationkeeper serve --manifests FOLDER")
        return True

    def _failed(self, why: str) -> bool:
        self._step(f"The example failed: {why}. {self._reported[-3:]}")
        return False

    def _ready(self) -> set[str]:
        return {fields["name"] for kind, fields in self._reported if kind == "status" and fields["ready"]}

    def _ask(self, identity: Identity, refusals: list[str]) -> None:
        try:
            update_info(self._url, identity, EUI)
        except RefusedError as error:
            refusals.append(str(error))
        except ConnectionError:
            # The request was under way when its connection was closed for lack of trust: the next one shows why.
            return

    async def _until(
        self, serving: asyncio.Task[None], holds: Callable[[], bool], act: Callable[[], None] = lambda: None
    ) -> bool:
        """Return whether `holds` becomes true within `SECONDS`; before each check, run `act` in a thread."""
        until = time.monotonic() + SECONDS
        while not serving.done() and time.monotonic() < until:
            await asyncio.to_thread(act)
            if holds():
                return True
            await asyncio.sleep(0.05)
        return False
