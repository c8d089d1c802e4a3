"""CUPS pods of a run: the state that they decide on is CUPS' own; volumes, sockets and the kubelet are simulated."""

import asyncio
import base64
import contextlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import parse_hex
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.published.observation import ObservationPage
from stationkeeper_core.published.operator_proof import OperatorCertificate
from stationkeeper_core.published.registry_layout import layout_of
from stationkeeper_cups.in_force.kept_generations import KeptGenerations
from stationkeeper_cups.in_force.serving_state import ServingState
from stationkeeper_cups.metrics import Metrics
from stationkeeper_operator.observing.cups_pods import CupsPod
from stationkeeper_operator.observing.loaded import HandoverState, Loaded, LoadRefusal
from stationkeeper_operator.observing.pod_client import PodClient, PodError, PodRefusalError
from tests.simulation.api_server import ApiServer, Place, RefusedError
from tests.simulation.fleet import RELEASE
from tests.simulation.loop import WORLD, Process, SimulatedLoop

LATEST_SECONDS = 120.0
LABELS = {"app.kubernetes.io/name": "stationkeeper", "app.kubernetes.io/component": "cups"}
DOCUMENTS = layout_of(16).documents
_LOOK_SECONDS = 0.2
REFRESH_SECONDS = 90.0


def secret_place(document: str) -> Place:
    """Return where a published document lies."""
    return Place("secrets", RELEASE, f"stationkeeper-{document}")


@dataclass(eq=False)
class Pod:
    """A CUPS pod.

    Attributes:
        name: of the object.
        process: the present one; None while no container runs.
        state: what the process decides on.
        volume: what the kubelet laid, by document.
        is_serving: whether gateways can connect.
        is_cut: whether the operator cannot reach it.
        kubelet_is_late: whether the kubelet does not refresh the volume.
        held: the highest generation of each document that the present process had in force.
        knew_bystander: whether it ever let the bystander in.
        kept: the generations that were in force, which last as long as the pod.
    """

    name: str
    process: Process | None = None
    state: ServingState | None = None
    instance: str = ""
    volume: dict[str, bytes] = field(default_factory=dict)
    is_serving: bool = False
    is_cut: bool = False
    kubelet_is_late: bool = False
    held: dict[str, int] = field(default_factory=dict)
    knew_bystander: bool = False
    kept: dict[str, int] = field(default_factory=dict)

    def trusts(self, namespace: str, name: str, root: bytes) -> bool:
        """Whether it lets a gateway in by a root of a TrustedCA."""
        trust = self.state.trust if self.state else None
        return trust is not None and any(
            (each.record.namespace, each.record.name) == (namespace, name) and root in each.record.anchors
            for each in trust.trusted_cas
        )

    def registers(self, namespace: str, name: str, eui: str) -> bool:
        """Whether it has a Gateway with that EUI which may come in."""
        snapshot, number = (self.state.snapshot if self.state else None), parse_hex(eui)
        assert number is not None
        return snapshot is not None and any(
            isinstance(each, RegisteredGateway)
            and (each.namespace, each.name) == (namespace, name)
            and not each.suspended
            for each in snapshot.registry.holders(number)
        )


class KeptFile(KeptGenerations):
    """The file of kept generations, without a disk."""

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
        loaded: told of each pod after it has put something in force, or begins to serve.
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
        self._instances = 0
        self.pods = [Pod(f"cups-{number}") for number in range(3)]

    def begin(self) -> None:
        """Create the pods and start them."""
        for number, pod in enumerate(self.pods):
            body = {"metadata": {"name": pod.name, "labels": LABELS}, "spec": {}}
            self._server.create(Place("pods", RELEASE), body)
            self._show(pod, ready=False, address=f"10.0.0.{number + 1}")
            self._loop.spawn(WORLD, self._refresh(pod))
            self.start(pod)

    def start(self, pod: Pod) -> None:
        """Start a container in a pod that has none, on the volume that is there."""
        self._instances += 1
        pod.instance = f"instance-{self._instances}"
        pod.process = Process(f"{pod.name}/{self._instances}")
        pod.state = ServingState(Metrics(), kept=KeptFile(pod))
        pod.is_serving, pod.held = False, {}
        self._loop.spawn(pod.process, self._serve(pod, pod.state))

    def kill(self, pod: Pod) -> None:
        """Kill the container of a pod."""
        if pod.process is not None:
            pod.process.alive = False
            pod.process, pod.state, pod.is_serving = None, None, False
            self._show(pod, ready=False)

    def lay(self, pod: Pod) -> None:
        """Have the kubelet swap the whole volume for what lies in the Secrets now."""
        for document in DOCUMENTS:
            try:
                data = self._server.get(secret_place(document)).get("data") or {}
            except RefusedError:
                continue
            if document in data:
                pod.volume[document] = base64.b64decode(data[document])

    async def _refresh(self, pod: Pod) -> None:
        while True:
            if not pod.kubelet_is_late:
                self.lay(pod)
            await asyncio.sleep(self._chance.uniform(1.0, REFRESH_SECONDS))

    async def _serve(self, pod: Pod, state: ServingState) -> None:
        follow = asyncio.get_running_loop().create_task(self._follow(pod, state))
        while state.snapshot is None:  # noqa: ASYNC110 - `complete` asks for the server's certificate too
            await asyncio.sleep(_LOOK_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LATEST_SECONDS):
                await state.is_latest.wait()
        pod.is_serving = True
        self._show(pod, ready=True)
        self._loaded(pod)
        await follow

    async def _follow(self, pod: Pod, state: ServingState) -> None:
        seen: dict[str, bytes] = {}
        while True:
            for document, value in list(pod.volume.items()):
                if seen.get(document) is not value:
                    seen[document] = value
                    await state.load_document(document, value)
                    self._loaded(pod)
            await asyncio.sleep(_LOOK_SECONDS)

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
        loaded: told of each pod that took something.
    """

    lost = 0.0

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
            dict(state.generations), refused, None, HandoverState(reached.instance, state.is_latest.is_set())
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

    async def tell_latest(self, pod: CupsPod, body: bytes, signature: str) -> None:
        reached, state = await self._reach(pod)
        try:
            latest = self._certificate.check_latest(body, signature, reached.instance)
        except StationkeeperError as error:
            raise PodRefusalError(str(error)) from None
        if state.compare(latest):
            raise PodRefusalError("a document is older than the latest")
        await self._way(reached)

    async def _in_pod(self, reached: Pod, state: ServingState, document: str, value: bytes) -> None:
        """Let the pod's own process take a document: it goes on if the operator is killed, and ends with the pod."""
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
        found = next(each for each in self._pods.pods if each.name == pod.name)
        await self._way(found)
        if found.state is None:
            raise PodError("no connection")
        return found, found.state

    async def _way(self, pod: Pod) -> None:
        await asyncio.sleep(self._chance.uniform(0.001, 0.05))
        if pod.is_cut or self._chance.random() < self.lost:
            await asyncio.sleep(2.0)
            raise PodError("it does not answer in time")
