"""How one count of registry documents takes over from another, over a small API server and in the pure part."""

import base64
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stationkeeper_core.eui64 import EUI64, format_hex, parse_hex
from stationkeeper_core.published import (
    TRUST,
    Document,
    Published,
    RegisteredGateway,
    RegistryDocument,
    ReservedEUI,
    TrustDocument,
    decode,
    encode,
    encode_payload,
    secret_name,
)
from stationkeeper_core.registry_layout import BUCKET_COUNTS, bucket_of, layout_of, place_of
from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi
from stationkeeper_operator.compiling.compile import PublishPlan
from stationkeeper_operator.compiling.registry_counts import (
    RegistryCounts,
    RegistryPlan,
    for_all_counts,
    in_force_of,
    leading_count,
    shared_out,
)
from stationkeeper_operator.compiling.verdict import Verdict
from stationkeeper_operator.metrics import Metrics
from stationkeeper_operator.observing.counts_read import CountsRead
from stationkeeper_operator.observing.cups_pods import BUCKETS_LABEL
from stationkeeper_operator.observing.departures import Departures
from stationkeeper_operator.observing.enforcement import Enforcement, PodReport, Step, Subject
from stationkeeper_operator.observing.observed_state import ObservedState
from stationkeeper_operator.observing.proof import Proof
from stationkeeper_operator.publishing.publisher import TERM, Publisher
from stationkeeper_operator.reconciler import Reconciler, Turn
from stationkeeper_operator.reporting.event_recorder import EventRecorder
from stationkeeper_operator.reporting.status_writer import StatusWriter
from stationkeeper_operator.resources import GATEWAY, Key, Resource, decode_resource
from stationkeeper_operator.watching.reference_reader import ReferenceReader
from stationkeeper_operator.watching.resource_store import ResourceStore
from tests.operator.resource_building import make_pem
from tests.operator.small_api_server import SmallApiServer, small_api_server

RELEASE = "release"
SECRETS, PODS = f"/api/v1/namespaces/{RELEASE}/secrets", f"/api/v1/namespaces/{RELEASE}/pods"
LNS = {"uri": "wss://lns.example.com:8887", "trust": make_pem("lns-root")}
FEW = [f"{number:016X}" for number in range(40)]


def gateway(eui: str, namespace: str = "team", **fields: Any) -> RegisteredGateway:
    return RegisteredGateway(eui=eui, namespace=namespace, name=f"gw-{eui}".lower(), uid=f"uid-{eui}", **fields)


def documents_of(buckets: int, gateways: Iterable[RegisteredGateway]) -> dict[str, Document]:
    """All documents of a count with these gateways, the trust included."""
    held: dict[int, list[RegisteredGateway]] = {}
    for each in gateways:
        held.setdefault(_bucket(each.eui, buckets), []).append(each)
    found: dict[str, Document] = {TRUST: TrustDocument(release_namespace=RELEASE)}
    for number, name in enumerate(layout_of(buckets).registry):
        mine = tuple(sorted(held.get(number, ()), key=lambda each: each.eui))
        found[name] = RegistryDocument(bucket=number, gateways=mine)
    return found


def plan_of(buckets: int, gateways: Iterable[RegisteredGateway]) -> PublishPlan:
    listed = list(gateways)
    documents = documents_of(buckets, listed)
    layout = layout_of(buckets)
    verdicts = {
        Key(GATEWAY, each.namespace, each.name): Verdict(
            True, "Accepted", "fine", layout.registry[_bucket(each.eui, buckets)]
        )
        for each in listed
    }
    payloads = {name: encode_payload(each) for name, each in documents.items()}
    return PublishPlan(payloads, verdicts, documents)


def records(documents: Mapping[str, Document], buckets: int) -> dict[str, RegisteredGateway]:
    """What the documents of one count hold, by uid; each stands where its EUI belongs."""
    found: dict[str, RegisteredGateway] = {}
    for name, document in documents.items():
        place = place_of(name)
        if place is not None and place[0] == buckets and isinstance(document, RegistryDocument):
            assert all(_bucket(each.eui, buckets) == place[1] for each in document.gateways)
            found |= {each.uid: each for each in document.gateways}
    return found


def _bucket(eui: str, buckets: int) -> int:
    found = parse_hex(eui)
    assert found is not None
    return bucket_of(found, buckets)


COUNTS = st.sampled_from(BUCKET_COUNTS[:4])
GATEWAYS = st.lists(
    st.builds(
        gateway,
        st.integers(0, 200).map(lambda number: f"{number:016X}"),
        suspended=st.booleans(),
        trusted_cas=st.sampled_from([None, (), ("team/a",), ("team/a", "team/b")]),
        lns_uri=st.sampled_from(["wss://one:1", "wss://two:2"]),
    ),
    max_size=30,
    unique_by=lambda each: each.eui,
)


@given(COUNTS, COUNTS, GATEWAYS)
@settings(max_examples=40)
def test_what_is_shared_out_to_another_count_and_back_is_the_same(
    one: int, other: int, gateways: list[RegisteredGateway]
) -> None:
    before = [each for each in documents_of(one, gateways).values() if isinstance(each, RegistryDocument)]
    moved = shared_out(before, other)
    assert records(moved, other) == {each.uid: each for each in gateways}
    back = shared_out(moved.values(), one)
    assert set(back.values()) == {each for each in before if each.gateways}


def test_a_reservation_moves_too_and_never_beside_a_gateway_of_its_namespace() -> None:
    kept, stale = (ReservedEUI(eui=eui, namespace="team", uid="gone") for eui in FEW[:2])
    document = RegistryDocument(bucket=0, gateways=(gateway(FEW[1]),), reserved=(kept, stale))
    moved = shared_out([document], 32).values()
    assert [each for document in moved for each in document.reserved] == [kept]


@given(COUNTS, COUNTS, GATEWAYS, GATEWAYS)
@settings(max_examples=60, deadline=None)
def test_after_a_plan_every_count_that_is_read_holds_exactly_what_the_leading_one_holds(
    configured: int, read: int, before: list[RegisteredGateway], after: list[RegisteredGateway]
) -> None:
    in_force = {**documents_of(configured, before), **documents_of(read, before)}
    counts = RegistryCounts(configured, frozenset({read}))
    found = for_all_counts(plan_of(configured, after), counts, leading_count(counts, in_force), in_force, RELEASE)
    assert records(found.plan.documents, configured) == records(found.plan.documents, read)
    for name, payload in found.plan.payloads.items():
        decode(name, encode(name, 1, payload))
    reduced = found.plan.reduces(found.before)
    leading = {name for name in reduced if place_of(name) is None or found.leads(name)}
    assert bool(reduced - leading) == bool(leading) or configured == read


def test_the_count_of_the_release_leads_once_all_of_its_documents_are_there() -> None:
    counts = RegistryCounts(64, frozenset({16}))
    old, new = documents_of(16, [gateway(FEW[0])]), documents_of(64, [gateway(FEW[0])])
    assert leading_count(counts, {}) == 64
    assert leading_count(counts, old) == 16
    assert leading_count(counts, {**old, **dict(list(new.items())[:40])}) == 16
    assert leading_count(counts, {**old, **new}) == 64


def test_of_two_former_counts_the_one_that_pods_read_leads_then_the_larger_one() -> None:
    both = {**documents_of(16, []), **documents_of(64, [])}
    assert leading_count(RegistryCounts(256, frozenset({16})), both) == 16
    assert leading_count(RegistryCounts(256, frozenset({16, 64})), both) == 64
    assert leading_count(RegistryCounts(256, frozenset()), both) == 64


def test_what_a_missing_document_would_hold_is_taken_from_those_of_another_count() -> None:
    gateways = [gateway(eui) for eui in FEW]
    in_force = {**documents_of(16, gateways), **documents_of(32, gateways)}
    lost = layout_of(32).document_of(EUI64(7))
    expected = in_force.pop(lost)
    assert in_force_of(32, in_force)[lost] == expected
    assert in_force_of(16, in_force) == {name: in_force[name] for name in layout_of(16).documents}


def _large(eui: str, size: int = 16_000) -> RegisteredGateway:
    return gateway(eui, lns_credentials=random.Random(eui).randbytes(size))  # noqa: S311 - incompressible, no secret


def _of_one_bucket(count: int) -> list[str]:
    """EUIs of one bucket of 16."""
    return [format_hex(EUI64(number)) for number in range(60_000) if bucket_of(EUI64(number), 16) == 0][:count]


def _begun(gateways: list[RegisteredGateway], configured: int = 16, leading: int = 64) -> RegistryPlan:
    in_force = documents_of(leading, gateways)
    counts = RegistryCounts(configured, frozenset({leading}))
    assert leading_count(counts, in_force) == leading
    return for_all_counts(plan_of(leading, gateways), counts, leading, in_force, RELEASE)


def test_a_count_that_cannot_hold_all_that_is_in_force_does_not_begin_and_those_that_do_not_fit_say_so() -> None:
    gateways = [_large(eui) for eui in _of_one_bucket(80)]
    found = _begun(gateways)
    assert records(found.plan.documents, 64) == {each.uid: each for each in gateways}
    assert not any(place_of(name) is not None and not found.leads(name) for name in found.plan.payloads)
    assert found.retired == frozenset()
    told = [each for each in found.plan.verdicts.values() if "does not fit into 16 registry Secrets" in each.message]
    assert 0 < len(told) < 80
    assert all(each.accepted for each in told)


def test_a_count_that_holds_all_begins_and_its_documents_come_last() -> None:
    gateways = [_large(eui) for eui in _of_one_bucket(30)]
    found = _begun(gateways)
    assert records(found.plan.documents, 16) == {each.uid: each for each in gateways}
    assert found.last == set(layout_of(16).registry)


def test_a_gateway_for_which_the_former_count_has_no_room_says_so_and_pushes_nobody_out() -> None:
    euis = _of_one_bucket(80)
    old = [_large(eui) for eui in euis[:50]]
    in_force = {**documents_of(16, old), **documents_of(64, old)}
    after = [*old, *(_large(eui) for eui in euis[50:])]
    found = for_all_counts(plan_of(64, after), RegistryCounts(64, frozenset({16, 64})), 64, in_force, RELEASE)
    held = records(found.plan.documents, 16)
    assert {each.uid for each in old} <= held.keys() < {each.uid for each in after}
    for each in after:
        verdict = found.plan.verdicts[Key(GATEWAY, each.namespace, each.name)]
        assert (verdict.accepted, bool(verdict.copies)) == (each.uid in held, each.uid in held)
        assert verdict.accepted or verdict.reason == "CapacityExceeded"


@pytest.mark.parametrize(
    ("narrower", "grown"),
    [
        ({"suspended": True}, False),
        ({"trusted_cas": ("team/a",)}, True),
        ({"sha256_fingerprints": ("ab" * 32,)}, True),
    ],
)
def test_a_reduction_acts_in_a_full_former_count_even_where_the_rest_of_the_change_does_not_fit(
    narrower: dict[str, Any], grown: bool
) -> None:
    euis = _of_one_bucket(58)
    old = [_large(eui) for eui in euis]
    in_force = {**documents_of(16, old), **documents_of(64, old)}
    changed = _large(euis[0], 200_000) if grown else old[0]
    changed = gateway(changed.eui, lns_credentials=changed.lns_credentials, **narrower)
    found = for_all_counts(
        plan_of(64, [changed, *old[1:]]), RegistryCounts(64, frozenset({16, 64})), 64, in_force, RELEASE
    )
    held = records(found.plan.documents, 16)
    assert {each.uid for each in old[1:]} <= held.keys()
    copy = held.get(changed.uid)
    assert copy is not None
    assert all(getattr(copy, name) == value for name, value in narrower.items())
    assert {layout_of(16).registry[0], layout_of(64).document_of(EUI64(int(euis[0], 16)))} <= found.plan.reduces(
        found.before
    )


def test_a_gateway_that_is_gone_is_gone_in_every_count() -> None:
    old = [gateway(eui) for eui in FEW]
    in_force = {**documents_of(16, old), **documents_of(64, old)}
    found = for_all_counts(plan_of(64, old[1:]), RegistryCounts(64, frozenset({16})), 64, in_force, RELEASE)
    assert records(found.plan.documents, 16) == {each.uid: each for each in old[1:]}


def test_a_count_is_emptied_only_once_it_is_known_that_no_pod_reads_it() -> None:
    in_force = {**documents_of(16, []), **documents_of(64, [])}
    plan = plan_of(64, [])

    def retired(read: frozenset[int] | None, configured: int = 64) -> frozenset[int]:
        counts = RegistryCounts(configured, read)
        return for_all_counts(plan, counts, leading_count(counts, in_force), in_force, RELEASE).retired

    assert retired(frozenset({64})) == {16}
    assert retired(frozenset()) == {16}
    assert retired(frozenset({16, 64})) == frozenset()
    assert retired(None) == frozenset()
    assert retired(frozenset({64}), configured=256) == {16}


class Stage:
    """An operator, as one that was started again: what it knows is in the cluster."""

    def __init__(self, server: SmallApiServer, api: KubernetesApi) -> None:
        self.server, self.api = server, api
        self.specs: dict[str, dict[str, Any]] = {}
        self.begin(16)

    def begin(self, configured: int, term: str = "one") -> None:
        """Another process leads, which the release has configured with this count."""
        store = self.store = ResourceStore()
        events = EventRecorder(self.api, "test", _permit)
        status = StatusWriter(
            self.api, store, events, release=RELEASE, changed=lambda _: None, permit=_permit, now=_now
        )
        seen = ObservedState(store.get, RELEASE)
        self.enforcement = Enforcement()
        proof = Proof(self.enforcement, Departures(events, seen.usage.users, awaits_proof=False), status, asks=True)
        self.counts = CountsRead(self.api, RELEASE, configured)
        self.publisher = Publisher(self.api, RELEASE, _permit, lambda: 5000, lambda: term)
        self.reconciler = Reconciler(
            RELEASE,
            store,
            reader=ReferenceReader(self.api, store, ()),
            publisher=self.publisher,
            status=status,
            seen=seen,
            proof=proof,
            now=_now,
            compile_seconds=Metrics().compile_seconds,
            compiled=Metrics().compiled,
            counts=lambda: self.counts.counts,
        )
        for name, spec in self.specs.items():
            self.put(name, spec)

    def chart(self, buckets: int) -> None:
        """Creates the Secrets of a count, as an upgrade does: those that are there stay as they are."""
        for document in layout_of(buckets).documents:
            path = f"{SECRETS}/{secret_name(document)}"
            if path not in self.server.objects:
                self.server.put(path, {})

    def pods(self, *counts: int | None) -> None:
        """Lets there be these pods and no others; None is one of an older chart."""
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
        """Turns until one says that all is done."""
        for _ in range(5):
            await self.counts.look()
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
    """This process leads."""


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A release with 16 registry documents and two pods, and some Gateways in force."""
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
    await stage.counts.look()
    await stage.reconciler.turn()
    stage.begin(64, "three")
    await stage.settle()
    stage.pods(64)
    stage.begin(64, "four")
    await stage.settle()
    assert stage.euis(64) == set(FEW)
    assert stage.published(16).keys() == {TRUST}


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
    bucket = _bucket(FEW[0], 64)
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
    await stage.counts.look()
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
    await stage.counts.look()
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


TAKEN = Key(GATEWAY, "team", "gw")
SIXTEEN, SIXTY_FOUR = layout_of(16).registry[1], layout_of(64).registry[17]
IN_BOTH = Verdict(True, "Accepted", "fine", SIXTY_FOUR, copies=(SIXTEEN,))
SUSPENDED = Verdict(False, "Suspended", "fine", None)


def _published(since: float = 100) -> tuple[Enforcement, Subject, Resource]:
    made, subject = Enforcement(), Subject(TAKEN, "uid")
    made.published(Step(SIXTY_FOUR, 9, since), [subject])
    made.published(Step(SIXTEEN, 8, since), [subject])
    resource = decode_resource(GATEWAY, {"metadata": {"namespace": "team", "name": "gw", "uid": "uid"}})
    return made, subject, resource


def _pod(buckets: int, name: str = "", **generations: int) -> PodReport:
    held = {document.replace("_", "-"): number for document, number in generations.items()}
    return PodReport(name or f"cups-{buckets}", held, buckets=buckets)


@pytest.mark.parametrize("verdict", [IN_BOTH, SUSPENDED], ids=["growth", "reduction"])
def test_while_pods_of_both_counts_serve_what_one_of_them_has_not_loaded_is_not_enforced(verdict: Verdict) -> None:
    enforcement, subject, resource = _published()
    new, old = _pod(64, registry_64_17=9), _pod(16, registry_01=7)
    outcome = enforcement.take_in([new, old], 101)
    assert enforcement.fact(resource, verdict)[:2] == ("False", "Pending")
    assert outcome.proven == []
    outcome = enforcement.take_in([new, _pod(16, registry_01=8)], 102)
    assert enforcement.fact(resource, verdict)[:2] == ("True", "Enforced")
    assert [each for each, _ in outcome.proven] == [subject]


@pytest.mark.parametrize("verdict", [IN_BOTH, SUSPENDED], ids=["growth", "reduction"])
def test_a_count_that_no_pod_reads_any_more_holds_nothing_up(verdict: Verdict) -> None:
    enforcement, subject, resource = _published()
    enforcement.take_in([_pod(64, registry_64_17=9), _pod(16, registry_01=7)], 101)
    outcome = enforcement.take_in([_pod(64, registry_64_17=9)], 102)
    assert enforcement.fact(resource, verdict)[:2] == ("True", "Enforced")
    assert [each for each, _ in outcome.proven] == [subject]
    assert enforcement.is_settled


def test_a_reduction_whose_secret_of_the_other_count_is_not_written_is_not_enforced() -> None:
    enforcement, subject, resource = Enforcement(), Subject(TAKEN, "uid"), _published()[2]
    enforcement.published(Step(SIXTY_FOUR, 9, 100), [subject])
    enforcement.unwritten = {SIXTEEN}
    outcome = enforcement.take_in([_pod(64, registry_64_17=9), _pod(16, registry_01=7)], 101)
    assert outcome.proven == []
    assert enforcement.fact(resource, SUSPENDED)[:2] == ("False", "Pending")


def test_a_gateway_that_is_not_in_the_documents_of_a_ready_pod_is_not_enforced() -> None:
    enforcement, _, resource = _published()
    enforcement.take_in([_pod(64, registry_64_17=9), _pod(32, registry_32_17=9)], 101)
    assert enforcement.fact(resource, IN_BOTH)[:2] == ("False", "Pending")
