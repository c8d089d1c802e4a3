"""Run a real API server with many Gateways and TrustedCAs, and an operator, for the measurements."""

import asyncio
import contextlib
import json
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from stationkeeper_core.published.registry_layout import BUCKETS, layout_of
from stationkeeper_operator.api.kubernetes_api import LIST_SECONDS, ApiError, KubernetesApi
from stationkeeper_operator.api.kubernetes_credentials import Credentials
from stationkeeper_operator.api.resource_paths import GROUP_VERSION, resource_path
from stationkeeper_operator.resources.records import GATEWAY, GATEWAY_DEFAULTS, TRUSTED_CA
from stationkeeper_tools.local_cluster.control_plane import ControlPlane
from stationkeeper_tools.programs.binaries import ProgramPlaces, obtain_control_plane
from stationkeeper_tools.progress import Progress
from stationkeeper_tools.sample_pki import make_root
from tests.bench.document_watch import DocumentWatch
from tests.bench.gateway_store import Member, lay
from tests.controlplane.definitions import install_crds
from tests.controlplane.operator_process import OperatorProcess
from tests.controlplane.operator_release import Release

NAMESPACES = 20
LNS_URI = "wss://lns.example.com:8887"

_FIRST_EUI = 0xA840410000000000
_AT_ONCE = 32
_ATTEMPTS = 20
_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "Metadata", "verbs": ["list"], "resources": [{"group": "stationkeeper.io"}]},
        {"level": "None"},
    ],
}


class _ListMetadata(msgspec.Struct):
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _ListMetadata
    items: list[msgspec.Raw]


class LargeCluster:
    """The administrator's view of it.

    Args:
        control_plane: runs.
        folder: for files.
        gateways: how many.
        authorities: how many TrustedCAs.
        buckets: how many registry Secrets.
    """

    def __init__(
        self, control_plane: ControlPlane, folder: Path, gateways: int, authorities: int, buckets: int = BUCKETS
    ) -> None:
        self._audit_log = folder / "audit.log"
        self._authorities = authorities
        self._etcd = control_plane.etcd_client
        install_crds(control_plane.admin_kubeconfig)
        self.release = Release(control_plane.admin_kubeconfig, folder)
        self.api = KubernetesApi(Credentials(control_plane.admin_kubeconfig))
        self.namespaces = [f"fleet-{number}" for number in range(NAMESPACES)]
        self.members = [
            Member(self.namespaces[number % NAMESPACES], f"gateway-{number:06d}", f"{_FIRST_EUI + number:016X}")
            for number in range(gateways)
        ]
        self.documents = DocumentWatch(self.api, self.release.namespace)
        self.layout = layout_of(buckets)
        if buckets != BUCKETS:
            self.release.create_count(buckets)

    def start(self, identity: str) -> OperatorProcess:
        """Start an operator."""
        return self.release.start(identity, buckets=self.layout.buckets)

    async def populate(self) -> None:
        """Create everything, many at a time."""
        now = datetime.now(UTC)
        trust = make_root("LNS", now).certificate_pem.decode()
        await self._create(("/api/v1/namespaces", {"metadata": {"name": each}}) for each in self.namespaces)
        defaults = _body(GATEWAY_DEFAULTS, "default", {"lns": {"uri": LNS_URI, "trust": trust}})
        await self.api.create(resource_path(GATEWAY_DEFAULTS, self.release.namespace), defaults)
        await self._create(self._authority(number, now) for number in range(self._authorities))
        model, *others = self.members
        await self._create_one(resource_path(GATEWAY, model.namespace), _body(GATEWAY, model.name, {"eui": model.eui}))
        await asyncio.to_thread(lay, self._etcd, model, others)
        await self._until_listed()

    async def list_seconds(self, rounds: int = 3) -> float:
        """Return the seconds of a plain paginated LIST of all Gateways, the median of `rounds`."""
        found: list[float] = []
        for _ in range(rounds):
            began = time.monotonic()
            count = await self._count()
            found.append(time.monotonic() - began)
            if count != len(self.members):
                raise RuntimeError(f"{count} of {len(self.members)} Gateways are listed")
        return statistics.median(found)

    async def _count(self) -> int:
        """Count all Gateways in pages of 500, one after another, as kubectl lists them."""
        query, count = {"limit": "500"}, 0
        while True:
            answer = await self.api.request("GET", resource_path(GATEWAY, None), query=query, seconds=LIST_SECONDS)
            page = msgspec.json.decode(answer, type=_Page)
            count += len(page.items)
            if not page.metadata.continue_:
                return count
            query["continue"] = page.metadata.continue_

    async def _until_listed(self) -> None:
        """Wait until the API server's watch cache has caught up with etcd."""
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(ApiError):
                if await self._count() == len(self.members):
                    return
            await asyncio.sleep(1)
        raise RuntimeError("the API server does not list what is in etcd")

    async def lists_since(self, moment: datetime) -> int:
        """Return how often the operator listed all Gateways since `moment`."""
        lines = await asyncio.to_thread(self._audit_log.read_text)
        account = f"system:serviceaccount:{self.release.namespace}:"
        entries = (json.loads(line) for line in lines.splitlines() if account in line and "/gateways" in line)
        return sum(
            "continue=" not in each["requestURI"]
            and "fieldSelector=" not in each["requestURI"]
            and datetime.fromisoformat(each["requestReceivedTimestamp"]) >= moment
            for each in entries
        )

    async def _create(self, bodies: Iterable[tuple[str, object]]) -> None:
        waiting = iter(bodies)

        async def work() -> None:
            for path, body in waiting:
                await patiently(partial(self._create_one, path, body))

        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))

    async def _create_one(self, path: str, body: object) -> bytes:
        try:
            return await self.api.create(path, body)
        except ApiError as error:
            if not error.is_conflict:
                raise
            return b""  # A request that was not answered in time created it nevertheless.

    def _authority(self, number: int, now: datetime) -> tuple[str, object]:
        root = make_root(f"Vendor {number}", now)
        spec = {"certificates": root.certificate_pem.decode()}
        namespace = self.namespaces[number % NAMESPACES]
        return resource_path(TRUSTED_CA, namespace), _body(TRUSTED_CA, f"vendor-{number}", spec)


@asynccontextmanager
async def large_cluster(
    folder: Path, gateways: int, authorities: int, buckets: int = BUCKETS
) -> AsyncIterator[LargeCluster]:
    """Start a cluster in `folder`, with all its resources."""
    binaries = obtain_control_plane(ProgramPlaces.of_this_process(), Progress.to(say))
    policy = folder / "audit-policy.json"
    policy.write_text(json.dumps(_AUDIT))
    flags = {"audit-policy-file": policy, "audit-log-path": folder / "audit.log"}
    with ControlPlane(binaries, folder / "control-plane", flags) as running:
        cluster = LargeCluster(running, folder, gateways, authorities, buckets)
        async with cluster.api, cluster.documents:
            try:
                began = time.monotonic()
                await cluster.populate()
                say(f"{gateways} Gateways and {authorities} TrustedCAs created in {time.monotonic() - began:.0f} s")
                yield cluster
            finally:
                cluster.release.end_processes()


async def patiently(attempt: Callable[[], Awaitable[bytes]]) -> bytes:
    """Return the result of `attempt`; try again if an API server under load refuses it a few times."""
    for _ in range(_ATTEMPTS):
        try:
            return await attempt()
        except ApiError as error:
            if error.status not in {0, 429, 500, 503, 504}:
                raise
            await asyncio.sleep(0.5)
    return await attempt()


@dataclass(frozen=True)
class Usage:
    """The resources that a process uses: MiB of memory, now and at most, and seconds of CPU so far."""

    resident: float
    peak: float
    cpu_seconds: float
    descriptors: int
    threads: int

    @classmethod
    def of(cls, process: OperatorProcess) -> "Usage":
        folder = Path(f"/proc/{process.pid}")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        # Fields 14 and 15, after the name in parentheses: time in user and in kernel mode, in ticks.
        times = (folder / "stat").read_text().rpartition(")")[2].split()
        cpu = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
        kib = {name: int(status[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}
        descriptors = len(list((folder / "fd").iterdir()))
        return cls(kib["VmRSS"], kib["VmHWM"], cpu, descriptors, int(status["Threads"]))


def say(line: str) -> None:
    print(line, flush=True)


def _body(kind: str, name: str, spec: object) -> dict[str, Any]:
    return {"apiVersion": GROUP_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
