"""Work that grows with the configuration does not block the event loop: it runs in a thread, or in steps."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
from prometheus_client.core import GaugeMetricFamily

from stationkeeper_core.published.documents import (
    TRUST,
    RegisteredGateway,
    RegistryDocument,
    TrustDocument,
    TrustedAuthority,
)
from stationkeeper_core.setting_values import Address
from stationkeeper_operator.api.kubernetes_api import KubernetesApi
from stationkeeper_operator.api.kubernetes_credentials import Credentials
from stationkeeper_operator.compiling.retention.document_changes import document_changes
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.metrics import Metrics
from stationkeeper_operator.process.health import serve_health
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.reporting.judgement import Judgement
from stationkeeper_operator.reporting.status_writer import StatusWriter
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA, Key, Resource, decode_resource
from stationkeeper_operator.rollout.certificate_usage import WINDOW, CertificateUsage
from stationkeeper_operator.rollout.removal_events import RemovalEvents
from stationkeeper_operator.rollout.rollout_tracker import RolloutTracker
from stationkeeper_operator.turns.known_resources import KnownResources
from stationkeeper_operator.turns.rollout_flow import RolloutFlow
from stationkeeper_operator.turns.status_loop import StatusLoop
from stationkeeper_operator.turns.status_merge import StatusMerge
from stationkeeper_operator.watching.resource_store import ResourceStore
from stationkeeper_operator.watching.store_results import Change
from stationkeeper_tools.ports import free_port
from tests.operator.resource_building import der, make_ca, make_gateway, make_pem
from tests.operator.seeing import eui
from tests.operator.test_status_writer import until

FLEET = 12_000
NOW = datetime(2026, 6, 1, tzinfo=UTC)


async def pauses_of(work: Awaitable[object]) -> int:
    """Return how often another task could run while `work` was done."""
    found = 0
    done = asyncio.ensure_future(work)
    while not done.done():
        await asyncio.sleep(0)
        found += 1
    await done
    return found


def statuses() -> StatusLoop:
    api = KubernetesApi(Credentials(None))
    events = EventRecorder(api, "test", lambda: None)
    writer = StatusWriter(api, lambda: None, "release")
    return StatusLoop(writer, KnownResources(ResourceStore()), events, StatusMerge("release", lambda: NOW))


def gateway(number: int) -> Key:
    return Key(GATEWAY, "lorawan", f"gw-{number}")


async def test_statuses_of_a_document_are_checked_again_in_steps_without_omission() -> None:
    loop = statuses()
    verdicts = [Verdict(True, "Accepted", "fine", f"registry-0{number % 2}") for number in range(FLEET)]
    loop.judge({gateway(number): Judgement("u", 1, verdict, True) for number, verdict in enumerate(verdicts)})
    running = asyncio.create_task(loop.run())
    await until(lambda: loop.is_idle)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await pauses_of(loop.recheck_documents(["registry-00"])) >= 10
    assert loop.waiting == FLEET // 2


async def test_published_documents_are_taken_in_one_by_one() -> None:
    tracker = RolloutTracker(lambda _: None, "release", asks=True)
    flow = RolloutFlow(tracker, statuses(), EventRecorder(KubernetesApi(Credentials(None)), "test", lambda: None))
    changes = {f"registry-0{number}": document_changes(None, _document(number)) for number in range(8)}
    assert await pauses_of(flow.published(changes, dict.fromkeys(changes, 1))) >= 8


async def test_removed_records_are_gone_through_in_steps() -> None:
    tracker = RolloutTracker(lambda _: None, "release", asks=True)
    flow = RolloutFlow(tracker, statuses(), EventRecorder(KubernetesApi(Credentials(None)), "test", lambda: None))
    changes = {f"registry-0{number}": document_changes(_fleet(number), _fleet(number, 0)) for number in range(2)}
    await flow.published(changes, dict.fromkeys(changes, 1))
    pauses = await pauses_of(flow.record_removals({TRUST: TrustDocument(release_namespace="release")}, {}))
    assert pauses >= 2 * FLEET / 1000


def test_users_of_a_trusted_ca_are_gone_through_in_steps_and_the_first_by_name_are_told() -> None:
    anchors = tuple(der(make_pem("root", key=key)) for key in ("old", "new"))
    before, after = (
        TrustDocument(
            release_namespace="release",
            authorities=(TrustedAuthority(namespace="lorawan", name="acme", uid="acme", anchors=(each,)),),
        )
        for each in anchors
    )
    gateways = [make_gateway({"eui": eui(number)}, name=f"gw-{number:05}") for number in reversed(range(FLEET))]
    keys = {each.metadata.uid: each.key for each in gateways}
    removal_events = RemovalEvents(lambda _: keys, keys.get, lambda _: True)
    resources: list[Resource] = [make_ca({}, uid="acme"), *gateways]
    present = {each.key: each for each in resources}
    steps = list(removal_events.announce(document_changes(before, after), after, present))
    assert steps.count(None) >= FLEET / 1000
    events = [each for each in steps if each is not None]
    assert f"in the last 25 h: {FLEET};" in events[0].message
    told = [each.resource.key.name for each in events[1:]]
    assert told == [f"gw-{number:05}" for number in range(20)]


def test_a_list_of_one_kind_goes_through_the_resources_of_the_others_in_steps() -> None:
    store = ResourceStore()
    for number in range(FLEET):
        metadata = {"name": f"gw-{number}", "namespace": "lorawan", "resourceVersion": "1"}
        store.put(decode_resource(GATEWAY, {"metadata": metadata, "spec": {"eui": eui(number)}}))
    steps = list(store.merge_steps(store.begin_list(TRUSTED_CA, None), "2"))
    assert len(steps) >= 10
    assert set(steps) == {Change.NOTHING}
    assert store.get(gateway(FLEET - 1)) is not None


def _fleet(bucket: int, size: int = FLEET) -> RegistryDocument:
    made = (
        RegisteredGateway(eui=eui(number), namespace="lorawan", name=f"gw-{number}", uid=f"{bucket}-{number}")
        for number in range(size)
    )
    return RegistryDocument(bucket=bucket, gateways=tuple(made))


def _document(bucket: int) -> RegistryDocument:
    record = RegisteredGateway(eui=eui(bucket), namespace="lorawan", name=f"gw-{bucket}", uid=f"uid-{bucket}")
    return RegistryDocument(bucket=bucket, gateways=(record,))


def test_gateways_of_a_trusted_ca_are_counted_in_steps_while_others_visit() -> None:
    usage, authority = CertificateUsage(), Key(TRUSTED_CA, "lorawan", "acme")
    for number in range(FLEET):
        usage.used(f"uid-{number}", "lorawan/acme", NOW - (WINDOW * 2 if number < 10 else timedelta()))
    steps = 0
    for _ in usage.counting(NOW):
        steps += 1
        usage.used("uid-0", "lorawan/acme", NOW)
        assert usage.gateways(authority) == 0, "what is shown is the last whole count"
    assert steps >= 2
    assert usage.gateways(authority) == FLEET - 10
    assert "uid-0" in usage.users(authority), "it visited meanwhile"
    assert len(usage.users(authority)) == FLEET - 9
    for _ in usage.counting(NOW):
        pass
    assert usage.gateways(authority) == FLEET - 9


class _Collector:
    """Records the threads that call it, and whether two calls overlap."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self._one = threading.Lock()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        assert self._one.acquire(blocking=False)
        self.threads.append(threading.get_ident())
        self._one.release()
        return ()


@asynccontextmanager
async def _health(metrics: Metrics) -> AsyncIterator[str]:
    port = free_port()
    async with serve_health(Address("127.0.0.1", port), lambda: True, lambda: True, metrics):
        yield f"http://127.0.0.1:{port}/metrics"


async def test_metrics_are_computed_in_another_thread_and_one_at_a_time() -> None:
    metrics, collector = Metrics(), _Collector()
    metrics.add(collector)
    async with _health(metrics) as url, aiohttp.ClientSession() as session:

        async def scrape() -> bytes:
            async with session.get(url) as answer:
                return await answer.read()

        found = await asyncio.gather(*(scrape() for _ in range(5)))
    assert all(b"stationkeeper_operator" in each for each in found)
    assert collector.threads
    assert threading.get_ident() not in collector.threads
