"""The CUPS pods of a run: their state is CUPS' own code; volumes, sockets and the kubelet are simulated."""

import asyncio
import base64
import contextlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import parse_hex
from stationkeeper_core.published.documents import RegisteredGateway, TrustedAuthority
from stationkeeper_core.published.observation import ObservationPage
from stationkeeper_core.published.operator_proof import OperatorCertificate
from stationkeeper_core.published.registry_layout import BUCKETS, layout_of
from stationkeeper_core.x509.serial_numbers import unpack_serials
from stationkeeper_cups.in_force.kept_generations import KeptGenerations
from stationkeeper_cups.in_force.serving_state import ServingState
from stationkeeper_cups.metrics import Metrics
from stationkeeper_operator.observing.cups_pods import BUCKETS_LABEL, CupsPod
from stationkeeper_operator.observing.pod_client import PodClient, PodError, PodRefusalError
from stationkeeper_operator.rollout.generation_report import HandoverState, Loaded, LoadRefusal
from tests.simulation import fleet
from tests.simulation.api_server import ApiServer, Place, RefusedError
from tests.simulation.fleet import RELEASE
from tests.simulation.loop import WORLD, Process, SimulatedLoop, process

# A quarter of what they are in a cluster, so that more happens in a run.
LATEST_SECONDS = 30.0
REFRESH_SECONDS = 20.0
LATE_SECONDS = 8.0
"""The additional seconds by which a kubelet may be late."""

LABELS = {"app.kubernetes.io/name": "stationkeeper", "app.kubernetes.io/component": "cups"}
_LOOK_SECONDS = 0.2
_ENDS_SECONDS = 5.0
_ROLL_SECONDS = 15.0
_SHARE_LAID = 0.9
_TIMEOUT_SECONDS = 2.0


def secret_place(document: str) -> Place:
    """Return the place of a published document."""
    return Place("secrets", RELEASE, f"stationkeeper-{document}")


@dataclass(eq=False)
class Pod:
    """A CUPS pod.

    Attributes:
        name: of the object.
        process: the present one; None while no container runs.
        state: what the process decides on.
        volume: the files that the kubelet wrote, by document.
        is_serving: whether gateways can connect.
        ends: whether it terminates.
        buckets: how many registry documents it loads.
        cut_from: the operators that cannot reach it.
        kubelet_is_late: whether the kubelet does not refresh the volume.
        held: the highest generation of each document that it had in force.
        started: the time when its process started.
        since: the time when it began to serve.
        checked: the state that was compared with the invariants last.
        knew_bystander: whether it ever let the bystander in.
        kept: the generations that were in force, which last as long as the pod.
    """

    name: str
    buckets: int = BUCKETS
    process: Process | None = None
    state: ServingState | None = None
    instance: str = ""
    volume: dict[str, bytes] = field(default_factory=dict)
    is_serving: bool = False
    ends: bool = False
    cut_from: set[str] = field(default_factory=set)
    kubelet_is_late: bool = False
    held: dict[str, int] = field(default_factory=dict)
    started: float = 0.0
    since: float = 0.0
    checked: object = None
    laid: asyncio.Event = field(default_factory=asyncio.Event)
    knew_bystander: bool = False
    kept: dict[str, int] = field(default_factory=dict)

    @property
    def documents(self) -> tuple[str, ...]:
        """The names of those that it loads."""
        return layout_of(self.buckets).documents

    def trusts(self, namespace: str, name: str, root: str, *, revocable: bool = False) -> bool:
        """Return whether it accepts a gateway by a root of a TrustedCA.

        Args:
            namespace: of the TrustedCA.
            name: of the TrustedCA.
            root: the root.
            revocable: whether the gateway's certificate is the one with the serial number that may be revoked.
        """
        trust = self.state.trust if self.state else None
        found = trust.trusted_cas if trust is not None else ()
        records = (each.record for each in found if (each.record.namespace, each.record.name) == (namespace, name))
        return any(fleet.der(root) in each.anchors and not (revocable and _revokes(each, root)) for each in records)

    def registers(self, namespace: str, name: str, eui: str, token: str = "") -> bool:
        """Return whether it accepts a Gateway with that EUI; with a token, whether it accepts that token."""
        snapshot, number = (self.state.snapshot if self.state else None), parse_hex(eui)
        assert number is not None
        return snapshot is not None and any(
            isinstance(each, RegisteredGateway)
            and (each.namespace, each.name) == (namespace, name)
            and not each.suspended
            and (not token or fleet.token_sha256(token) in each.token_sha256s)
            for each in snapshot.registry.holders(number)
        )


def _revokes(record: TrustedAuthority, root: str) -> bool:
    listed = (each.serials for each in record.revocation_lists if each.issuer_key == fleet.key_sha256(root))
    number = int(fleet.SERIAL, 16)
    return fleet.SERIAL in record.revoked_serials or any(number in unpack_serials(each) for each in listed)


class KeptFile(KeptGenerations):
    """The file of stored generations, without a disk."""

    def __init__(self, pod: Pod) -> None:
        super().__init__(None)
        self._pod = pod

    def read(self) -> Mapping[str, int]:
        return dict(self._pod.kept)

    def write(self, generations: Mapping[str, int]) -> None:
        self._pod.kept = dict(generations)


class Pods:
    """The pods of a run, and their kubelet.

    Args:
        loop: of the run.
        server: where the kubelet reads the Secrets.
        chance: draws when it does.
        certificate: of the operator's key.
        loaded: called with each pod after it has put something in force, or begins to serve.
    """

    def __init__(
        self,
        loop: SimulatedLoop,
        server: ApiServer,
        chance: random.Random,
        certificate: OperatorCertificate,
        loaded: Callable[[Pod], None],
    ) -> None:
        self._loop = loop
        self._server = server
        self._chance = chance
        self._certificate = certificate
        self._loaded = loaded
        self._instances = self._numbers = 0
        self.pods: list[Pod] = []

    def begin(self) -> None:
        """Create the pods and start them."""
        for _ in range(3):
            self.add(BUCKETS)

    def add(self, buckets: int) -> Pod:
        """Add a pod and start it, on a new volume."""
        self._numbers += 1
        pod = Pod(f"cups-{self._numbers}", buckets)
        self.pods.append(pod)
        body = {"metadata": {"name": pod.name, "labels": LABELS | {BUCKETS_LABEL: str(buckets)}}, "spec": {}}
        self._server.create(Place("pods", RELEASE), body)
        self._show(pod, ready=False, address=f"10.0.0.{self._numbers}")
        self.lay(pod)
        self._loop.spawn(WORLD, self._refresh(pod))
        self.start(pod)
        return pod

    async def replace(self, pod: Pod, buckets: int) -> None:
        """Make another pod take the place of one, as a rollout does: the old one ends once the new one serves."""
        fresh, until = self.add(buckets), self._loop.time() + _ROLL_SECONDS
        while not fresh.is_serving and self._loop.time() < until:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(1.0)
        if pod.ends:
            return
        pod.ends = True
        self._server.merge_patch(
            Place("pods", RELEASE, pod.name), {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
        )
        await asyncio.sleep(_ENDS_SECONDS)
        self.kill(pod)
        self.pods.remove(pod)
        self._server.delete(Place("pods", RELEASE, pod.name))

    def start(self, pod: Pod) -> None:
        """Start a container in a pod that has none, with the present volume."""
        self._instances += 1
        pod.instance = f"instance-{self._instances}"
        pod.process = Process(f"{pod.name}/{self._instances}")
        pod.state = ServingState(Metrics(), kept=KeptFile(pod), buckets=pod.buckets)
        pod.is_serving, pod.checked, pod.started = False, None, self._loop.time()
        self._loop.spawn(pod.process, self._serve(pod, pod.state))

    def kill(self, pod: Pod) -> None:
        """Kill the container of a pod."""
        if pod.process is not None:
            pod.process.alive = False
            pod.process, pod.state, pod.is_serving = None, None, False
            self._show(pod, ready=False)

    def lay(self, pod: Pod, share: float = 1.0) -> None:
        """Let the kubelet write the present content of the Secrets.

        Args:
            pod: the pod.
            share: the share of the documents; each is a separate volume, which the kubelet refreshes at its own time.
        """
        for document in pod.documents:
            if share < 1.0 and self._chance.random() > share:
                continue
            try:
                data = self._server.get(secret_place(document)).get("data") or {}
            except RefusedError:
                continue
            if document in data:
                pod.volume[document] = base64.b64decode(data[document])
        pod.laid.set()

    async def _refresh(self, pod: Pod) -> None:
        while pod in self.pods:
            if not pod.kubelet_is_late:
                # Each document is a volume of its own.
                self.lay(pod, self._chance.choice((0.0, _SHARE_LAID)))
                await asyncio.sleep(self._chance.uniform(0.0, 1.0))
                self.lay(pod)
            await asyncio.sleep(self._chance.uniform(1.0, REFRESH_SECONDS - 1.0))

    async def _serve(self, pod: Pod, state: ServingState) -> None:
        follow = asyncio.get_running_loop().create_task(self._follow(pod, state))
        while state.snapshot is None:  # noqa: ASYNC110 - `complete` asks for the server's certificate too
            await asyncio.sleep(_LOOK_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LATEST_SECONDS):
                await state.is_latest.wait()
        pod.is_serving, pod.since = True, self._loop.time()
        self._show(pod, ready=True)
        self._loaded(pod)
        await follow

    async def _follow(self, pod: Pod, state: ServingState) -> None:
        seen: dict[str, bytes] = {}
        while True:
            pod.laid.clear()
            for document, value in list(pod.volume.items()):
                if seen.get(document) != value:
                    seen[document] = value
                    await state.load_document(document, value)
                    self._loaded(pod)
            await pod.laid.wait()
            await asyncio.sleep(self._chance.uniform(0.0, _LOOK_SECONDS))

    def _show(self, pod: Pod, *, ready: bool, address: str = "") -> None:
        place = Place("pods", RELEASE, pod.name, "status")
        status = {"conditions": [{"type": "Ready", "status": str(ready)}]} | ({"podIP": address} if address else {})
        self._server.merge_patch(place, {"status": status})


class SimulatedPodClient(PodClient):
    """The operator's requests to the internal port, without sockets.

    Args:
        loop: of the run.
        pods: those that can be reached.
        chance: draws how long it takes, and what is lost.
        certificate: of the operator's key, as the pods have it.
        loaded: called with each pod that accepted something.
    """

    lost = 0.0
    on_tell: Callable[[str, Pod], None] = staticmethod(lambda _identity, _pod: None)
    """Called with each message about the latest documents before it leaves: the operator and the pod."""

    def __init__(
        self,
        loop: SimulatedLoop,
        pods: Pods,
        chance: random.Random,
        certificate: OperatorCertificate,
        loaded: Callable[[Pod], None],
    ) -> None:
        super().__init__(Path("/nonexistent"))
        self._loop = loop
        self._pods = pods
        self._chance = chance
        self._certificate = certificate
        self._told = loaded

    async def __aenter__(self) -> "SimulatedPodClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def loaded(self, pod: CupsPod) -> Loaded:
        reached, state = await self._reach(pod)
        refused = {name: LoadRefusal(error.reason, error.detail) for name, error in state.refused.items()}
        answer = Loaded(
            dict(state.generations),
            refused,
            None,
            HandoverState(reached.instance, state.is_latest.is_set(), self._moment()),
            kept=state.kept_generations,
        )
        await self._way(reached)
        return answer

    async def observations(self, pod: CupsPod, since: int) -> ObservationPage:
        reached, _ = await self._reach(pod)
        await self._way(reached)
        return ObservationPage(instance=reached.instance, cursor=since, more=False, observations=())

    async def hand_over(self, pod: CupsPod, document: str, value: bytes, signature: str) -> None:
        reached, state = await self._reach(pod)
        try:
            self._certificate.check_document(document, value, signature)
            await self._in_pod(reached, state, document, value)
        except StationkeeperError as error:
            raise PodRefusalError(str(error)) from None
        await self._way(reached)

    async def send_latest(self, pod: CupsPod, body: bytes, signature: str) -> None:
        for each in self._pods.pods:
            if each.name == pod.name:
                self.on_tell(_identity(), each)
        reached, state = await self._reach(pod)
        try:
            latest = self._certificate.check_latest(body, signature, reached.instance, self._moment())
        except StationkeeperError as error:
            raise PodRefusalError(str(error)) from None
        if state.compare(latest):
            raise PodRefusalError("a document here is older than the latest")
        await self._way(reached)

    def _moment(self) -> int:
        return int(self._loop.time() * 1000)

    async def _in_pod(self, reached: Pod, state: ServingState, document: str, value: bytes) -> None:
        """Accept a document in the pod's own process, which ends with the pod and not with the operator."""
        assert reached.process is not None
        taken: asyncio.Future[None] = self._loop.create_future()

        async def take() -> None:
            try:
                await state.take_over(document, value)
            except StationkeeperError as error:
                if not taken.done():
                    taken.set_exception(error)
                return
            self._told(reached)
            if not taken.done():
                taken.set_result(None)

        self._loop.spawn(reached.process, take())
        try:
            async with asyncio.timeout(5.0):
                await taken
        except TimeoutError:
            raise PodError("it does not answer in time") from None

    async def _reach(self, pod: CupsPod) -> tuple[Pod, ServingState]:
        found = next((each for each in self._pods.pods if each.name == pod.name), None)
        if found is None:
            raise PodError("no connection")
        await self._way(found)
        if found.state is None or found.process is None:
            raise PodError("no connection")
        if found.process.frozen:
            await asyncio.sleep(_TIMEOUT_SECONDS)
            raise PodError("it does not answer in time")
        return found, found.state

    async def _way(self, pod: Pod) -> None:
        await asyncio.sleep(self._chance.uniform(0.001, 0.05))
        if _identity() in pod.cut_from or self._chance.random() < self.lost:
            await asyncio.sleep(_TIMEOUT_SECONDS)
            raise PodError("it does not answer in time")


def _identity() -> str:
    """Return the identity of the operator whose step is running."""
    return process().name.partition("/")[0]
