"""One count of registry documents replaces another, with a small API server."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.published.documents import (
    TRUST,
    Published,
    RegistryDocument,
    ReservedEUI,
    decode,
    encode,
    encode_payload,
    secret_name,
)
from stationkeeper_core.published.registry_layout import BUCKET_COUNTS, bucket_of, layout_of
from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi
from stationkeeper_operator.metrics import Metrics
from stationkeeper_operator.observing.counts_read import CountsRead
from stationkeeper_operator.observing.cups_pods import BUCKETS_LABEL
from stationkeeper_operator.publishing.publisher import Publisher
from stationkeeper_operator.publishing.stored_document import TERM
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.reporting.status_writer import StatusWriter
from stationkeeper_operator.resources.records import GATEWAY, Key, decode_resource
from stationkeeper_operator.rollout.rollout_tracker import RolloutTracker
from stationkeeper_operator.turns.compilation import Compilation
from stationkeeper_operator.turns.known_resources import KnownResources
from stationkeeper_operator.turns.reconciler import Reconciler, Turn
from stationkeeper_operator.turns.rollout_flow import RolloutFlow
from stationkeeper_operator.turns.status_loop import StatusLoop
from stationkeeper_operator.turns.status_merge import StatusMerge
from stationkeeper_operator.watching.reference_reader import ReferenceReader
from stationkeeper_operator.watching.resource_store import ResourceStore
from tests.operator.counted_registry import (
    FEW,
    LNS,
    PODS,
    RELEASE,
    SECRETS,
    gateway,
    number_of,
    records,
)
from tests.operator.small_api_server import SmallApiServer, small_api_server


class Stage:
    """An operator like one after a restart: its whole state is in the cluster."""

    def __init__(self, server: SmallApiServer, api: KubernetesApi) -> None:
        self.server, self.api = server, api
        self.specs: dict[str, dict[str, Any]] = {}
        self.begin(16)

    def begin(self, configured: int, term: str = "one") -> None:
        """Let another process lead, with this configured count."""
        store = self.store = ResourceStore()
        self.known = KnownResources(store)
        events = EventRecorder(self.api, "test", _permit)
        writer = StatusWriter(self.api, _permit, RELEASE)
        status = StatusLoop(writer, self.known, events, StatusMerge(RELEASE, _now))
        tracker = RolloutTracker(store.get, RELEASE, asks=True)
        self.enforcement = tracker.enforcement
        self.counts = CountsRead(self.api, RELEASE, configured)
        self.publisher = Publisher(self.api, RELEASE, _permit, lambda: 5000, lambda: term)
        self.reconciler = Reconciler(
            Compilation(
                *(RELEASE, (), self.known, ReferenceReader(self.api, store.references, ()), Metrics()),
                lambda: self.counts.counts,
            ),
            publisher=self.publisher,
            status=status,
            flow=RolloutFlow(tracker, status, events),
            now=_now,
        )
        for name, spec in self.specs.items():
            self.put(name, spec)

    def chart(self, buckets: int) -> None:
        """Create the Secrets of a count, as an upgrade does; existing ones do not change."""
        for document in layout_of(buckets).documents:
            path = f"{SECRETS}/{secret_name(document)}"
            if path not in self.server.objects:
                self.server.put(path, {})

    def pods(self, *counts: int | None) -> None:
        """Set the existing pods; None is a pod of an older chart."""
        for path in [each for each in self.server.objects if each.startswith(f"{PODS}/")]:
            del self.server.objects[path]
        for number, buckets in enumerate(counts):
            labels = {BUCKETS_LABEL: str(buckets)} if buckets else {}
            metadata = {"uid": f"uid-{number}", "labels": labels}
            self.server.put(f"{PODS}/cups-{number}", {"metadata": metadata, "spec": {}, "status": {}})

    def put(self, name: str, spec: dict[str, Any]) -> None:
        self.specs[name] = spec
        metadata = {"name": name, "namespace": "team", "uid": f"uid-{name}", "resourceVersion": str(len(self.specs))}
        self.store.put(decode_resource(GATEWAY, {"metadata": metadata, "spec": spec}))

    def delete(self, name: str) -> None:
        del self.specs[name]
        resource = self.store.get(Key(GATEWAY, "team", name))
        assert resource is not None
        self.store.remove(resource)

    async def settle(self) -> None:
        """Take turns until one reports that everything is done."""
        for _ in range(5):
            await self.counts.update()
            if await self.reconciler.turn() is Turn.DONE:
                return
        raise AssertionError("the turns do not come to an end")

    def published(self, buckets: int) -> dict[str, Published]:
        found = {}
        for document in layout_of(buckets).documents:
            content = self.server.objects.get(f"{SECRETS}/{secret_name(document)}", {}).get("data", {}).get(document)
            if content:
                found[document] = decode(document, base64.b64decode(content))
        return found

    def euis(self, buckets: int) -> set[str]:
        contents = {name: each.content for name, each in self.published(buckets).items()}
        return {each.eui for each in records(contents, buckets).values()}


def _permit() -> None:
    """Allow every write: this process leads."""


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Yield a release with 16 registry documents and two pods, and some Gateways in force."""
    async with small_api_server(tmp_path) as (server, api):
        found = Stage(server, api)
        found.chart(16)
        found.pods(16, None)
        for eui in FEW:
            found.put(f"gw-{eui.lower()}", {"eui": eui, "lns": LNS})
        await found.settle()
        assert found.euis(16) == set(FEW)
        yield found


async def test_a_change_of_the_count_is_published_in_both_until_the_last_pod_of_the_former_is_gone(
    stage: Stage,
) -> None:
    stage.chart(64)
    stage.begin(64, "two")
    stage.pods(16, None, 64)
    await stage.settle()
    assert stage.euis(16) == stage.euis(64) == set(FEW)

    stage.delete(f"gw-{FEW[0].lower()}")
    await stage.settle()
    assert stage.euis(16) == stage.euis(64) == set(FEW[1:])

    stage.pods(64, 64)
    await stage.settle()
    assert stage.published(16).keys() == {TRUST}
    assert stage.euis(64) == set(FEW[1:])


async def test_the_last_accepted_version_of_a_gateway_survives_the_change_and_a_new_leader_in_its_middle(
    stage: Stage,
) -> None:
    name = f"gw-{FEW[3].lower()}"
    stage.put(name, {"eui": FEW[3], "lns": {"uri": "nonsense"}})
    await stage.settle()
    assert FEW[3] in stage.euis(16)

    stage.chart(64)
    stage.pods(16, 64)
    stage.begin(64, "two")
    await stage.counts.update()
    await stage.reconciler.turn()
    stage.begin(64, "three")
    await stage.settle()
    stage.pods(64)
    stage.begin(64, "four")
    await stage.settle()
    assert stage.euis(64) == set(FEW)
    assert stage.published(16).keys() == {TRUST}


async def test_a_first_turn_that_makes_way_for_others_copies_nothing_yet(stage: Stage) -> None:
    stage.chart(64)
    stage.begin(64, "two")
    stage.pods(16, 64)
    stage.known.changes.wake()
    assert await stage.reconciler.turn() is Turn.MORE
    stage.known.changes.clear()
    await stage.settle()
    assert stage.euis(16) == stage.euis(64) == set(FEW)


async def test_the_way_back_is_the_same(stage: Stage) -> None:
    stage.chart(64)
    stage.pods(64)
    stage.begin(64, "two")
    await stage.settle()
    assert stage.published(16).keys() == {TRUST}

    stage.pods(64, 16)
    stage.begin(16, "three")
    await stage.settle()
    assert stage.euis(16) == stage.euis(64) == set(FEW)
    stage.pods(16)
    await stage.settle()
    assert stage.published(64).keys() == {TRUST}
    assert stage.euis(16) == set(FEW)


async def test_a_leader_of_the_former_count_serves_the_pods_of_the_new_one_too(stage: Stage) -> None:
    stage.chart(64)
    stage.pods(16, 64)
    await stage.settle()
    assert stage.euis(16) == stage.euis(64) == set(FEW)


async def test_a_count_is_completed_only_after_what_was_there_of_it_is_up_to_date(stage: Stage) -> None:
    stage.chart(64)
    stale = layout_of(64).document_of(EUI64(int(FEW[0], 16)))
    bucket = number_of(FEW[0], 64)
    held = RegistryDocument(bucket=bucket, gateways=(gateway(FEW[0], namespace="gone"),))
    data = {stale: base64.b64encode(encode(stale, 7, encode_payload(held))).decode()}
    stale_path = f"{SECRETS}/{secret_name(stale)}"
    stage.server.put(stale_path, {"data": data})
    stage.begin(64, "two")
    stage.pods(16, 64)
    begun = len(stage.server.requests)
    await stage.settle()
    writes = [
        path
        for method, path in stage.server.requests[begun:]
        if method == "PATCH" and path.startswith(f"{SECRETS}/stationkeeper-registry-64")
    ]
    marked = writes.index(stale_path)
    rewritten = writes.index(stale_path, marked + 1)
    others = [writes.index(f"{SECRETS}/{secret_name(each)}", 64) for each in layout_of(64).registry if each != stale]
    assert len(writes) == 128
    assert rewritten < min(others)


async def test_where_an_old_document_cannot_be_brought_up_to_date_its_count_is_not_completed(stage: Stage) -> None:
    stage.chart(64)
    stale = layout_of(64).registry[5]
    held = RegistryDocument(bucket=5, reserved=(_reserved_in(5),))
    data = {stale: base64.b64encode(encode(stale, 7, encode_payload(held))).decode()}
    path = f"{SECRETS}/{secret_name(stale)}"
    stage.server.put(path, {"metadata": {"annotations": {TERM: "two"}}, "data": data})
    stage.server.failing_writes[path] = 503
    stage.begin(64, "two")
    stage.pods(16, 64)
    await stage.counts.update()
    assert await stage.reconciler.turn() is Turn.AGAIN
    assert stage.published(64).keys() == {TRUST, stale}
    assert stage.euis(16) == set(FEW)
    stage.server.failing_writes.clear()
    await stage.settle()
    assert stage.euis(64) == set(FEW)


def _reserved_in(bucket: int) -> ReservedEUI:
    eui = next(EUI64(number) for number in range(10_000) if bucket_of(EUI64(number), 64) == bucket)
    return ReservedEUI(eui=format_hex(eui), namespace="team", uid="gone")


async def test_pods_that_cannot_be_listed_or_have_an_unreadable_label_count_as_reading_everything(stage: Stage) -> None:
    stage.chart(64)
    stage.begin(64, "two")
    stage.pods(64, 48)
    await stage.settle()
    assert stage.euis(16) == stage.euis(64) == set(FEW)
    stage.pods(64)
    stage.server.failing[PODS] = 503
    await stage.settle()
    assert stage.euis(16) == set(FEW)
    del stage.server.failing[PODS]
    await stage.settle()
    assert stage.published(16).keys() == {TRUST}


async def test_the_documents_of_both_counts_are_marked_with_the_term_of_a_new_leader(stage: Stage) -> None:
    stage.chart(64)
    stage.pods(16, 64)
    stage.begin(64, "two")
    await stage.settle()
    stage.begin(64, "three")
    await stage.settle()
    names = {*layout_of(16).documents, *layout_of(64).documents}
    marks = {stage.server.objects[f"{SECRETS}/{secret_name(name)}"]["metadata"]["annotations"][TERM] for name in names}
    assert marks == {"three"}


async def test_emptying_that_was_interrupted_is_done_to_its_end_by_the_next_leader(stage: Stage) -> None:
    stage.chart(64)
    stage.pods(16, 64)
    stage.begin(64, "two")
    await stage.settle()
    stage.pods(64)
    path = f"{SECRETS}/{secret_name(layout_of(16).registry[7])}"
    stage.server.failing_writes[path] = 503
    await stage.counts.update()
    with pytest.raises(ApiError):
        await stage.reconciler.turn()
    left = stage.published(16).keys() - {TRUST}
    assert {layout_of(16).registry[0], layout_of(16).registry[7]} <= left
    stage.server.failing_writes.clear()
    stage.begin(64, "three")
    await stage.settle()
    assert stage.published(16).keys() == {TRUST}
    assert stage.euis(64) == set(FEW)


async def test_an_operator_without_rights_for_other_counts_goes_on_with_its_own(stage: Stage) -> None:
    for buckets in BUCKET_COUNTS[1:]:
        stage.server.failing[f"{SECRETS}/{secret_name(layout_of(buckets).registry[0])}"] = 403
    stage.begin(16, "two")
    await stage.settle()
    assert stage.euis(16) == set(FEW)
