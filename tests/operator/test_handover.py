"""A pod gets exactly the documents that it lacks, signed."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.published.documents import DOCUMENTS, TRUST
from stationkeeper_core.published.operator_proof import Latest, OperatorCertificate
from stationkeeper_core.published.registry_layout import layout_of
from stationkeeper_operator.api.leadership import NotLeadingError
from stationkeeper_operator.observing.cups_pods import CupsPod
from stationkeeper_operator.observing.handover import OFFER_SECONDS, SERVES_SECONDS, Handover
from stationkeeper_operator.observing.pod_client import PodClient, PodError
from stationkeeper_operator.publishing.stored_document import PublishedValue
from stationkeeper_operator.rollout.generation_report import HandoverState, Loaded
from tests.operator.internal_port import TOKEN, InternalPort, internal_port
from tests.operator_key import OperatorPair, make_operator_pair


class Stage:
    def __init__(self, port: InternalPort, client: PodClient, folder: Path) -> None:
        self.port = port
        self.now = 0.0
        self.key_file = folder / "operator.key"
        self.pair = make_operator_pair()
        self.key_file.write_bytes(self.pair.key_pem)
        self.published = {each: PublishedValue(5, f"{each} of 5".encode()) for each in DOCUMENTS}
        self.handover = Handover(self.key_file, lambda: self.published, self._permit, lambda: self.now)
        self.leads = True
        self._client = client

    def _permit(self) -> None:
        if not self.leads:
            raise NotLeadingError

    async def bring(self, generations: dict[str, int], *, is_latest: bool = True, instance: str = "one") -> bool:
        loaded = Loaded(generations, handover=HandoverState(instance, is_latest, moment=7_000))
        return await self.bring_to(self.port.pod(), loaded)

    async def bring_to(self, pod: CupsPod, loaded: Loaded) -> bool:
        return await self.handover.bring_up_to_date(self._client, pod, loaded)

    @property
    def paths(self) -> list[str]:
        return [path for path, _, _ in self.port.handed]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    (tmp_path / "token").write_text(TOKEN)
    async with internal_port(tmp_path) as port, PodClient(tmp_path / "token") as client:
        yield Stage(port, client, tmp_path)


ALL = dict.fromkeys(DOCUMENTS, 5)


def check(pair: OperatorPair, document: str, value: bytes, signature: str) -> None:
    OperatorCertificate(pair.certificate_pem).check_document(document, value, signature)


async def test_a_missing_document_is_handed_over_with_its_own_signature(
    stage: Stage,
) -> None:
    assert await stage.bring(ALL | {TRUST: 4})
    ((path, value, signature),) = stage.port.handed
    assert (path, value) == ("/documents/trust", b"trust of 5")
    check(stage.pair, TRUST, value, signature)
    with pytest.raises(StationkeeperError, match="NotFromOperator"):
        check(stage.pair, "registry-00", value, signature)
    with pytest.raises(StationkeeperError, match="NotFromOperator"):
        check(make_operator_pair(), TRUST, value, signature)


async def test_a_pod_that_has_all_or_more_is_handed_nothing(stage: Stage) -> None:
    assert not await stage.bring(ALL)
    assert not await stage.bring(ALL | {TRUST: 6})
    assert stage.port.handed == []


async def test_a_pod_that_accepts_no_handover_gets_nothing(stage: Stage, tmp_path: Path) -> None:
    async with PodClient(tmp_path / "token") as client:
        assert not await stage.handover.bring_up_to_date(client, stage.port.pod(), Loaded({}))
    assert stage.port.handed == []


async def test_a_waiting_pod_gets_the_latest_generations_after_it_has_all_documents(stage: Stage) -> None:
    await stage.bring({}, is_latest=False, instance="two")
    assert stage.paths == [*(f"/documents/{each}" for each in DOCUMENTS), "/latest"]
    _, body, signature = stage.port.handed[-1]
    assert msgspec.json.decode(body, type=Latest) == Latest("two", ALL, 7_000)
    certificate = OperatorCertificate(stage.pair.certificate_pem)
    assert certificate.check_latest(body, signature, "two", 7_001) == ALL
    with pytest.raises(StationkeeperError, match="another process"):
        certificate.check_latest(body, signature, "three", 7_001)


async def test_an_operator_that_lost_the_lease_sends_no_latest_generations(stage: Stage) -> None:
    stage.leads = False
    with pytest.raises(PodError, match="not lead"):
        await stage.bring(ALL, is_latest=False)
    assert stage.port.handed == []


async def test_a_pod_that_was_just_informed_may_already_serve(stage: Stage) -> None:
    uid = stage.port.pod().uid
    assert not stage.handover.was_informed_lately(uid)
    await stage.bring(ALL, is_latest=False)
    assert stage.handover.was_informed_lately(uid)
    stage.now += SERVES_SECONDS
    assert not stage.handover.was_informed_lately(uid)


async def test_an_operator_without_all_documents_sends_no_latest_generations(stage: Stage) -> None:
    del stage.published["registry-07"]
    await stage.bring(ALL, is_latest=False)
    assert stage.port.handed == []


@pytest.mark.parametrize("answer", [204, 403, 409])
async def test_a_document_that_a_pod_still_lacks_is_not_sent_again_at_once(stage: Stage, answer: int) -> None:
    stage.port.takes = answer
    lacking = ALL | {TRUST: 4}
    if answer == 204:
        await stage.bring(lacking)
    else:
        with pytest.raises(PodError, match="refuses /documents/trust"):
            await stage.bring(lacking)
    stage.now += OFFER_SECONDS / 2
    with pytest.raises(PodError, match="does not have it"):
        await stage.bring(lacking)
    assert len(stage.port.handed) == 1
    stage.port.takes = 204
    stage.published[TRUST] = PublishedValue(6, b"trust of 6")
    assert await stage.bring(lacking), "something newer is"
    assert await stage.bring(lacking, instance="another"), "a process that has started anew is given it too"
    stage.now += 2 * OFFER_SECONDS
    assert await stage.bring(lacking, instance="another"), "after a while it is tried again"
    assert len(stage.port.handed) == 4


async def test_a_replaced_key_counts_at_once_and_an_unusable_key_is_reported_without_its_content(
    stage: Stage,
) -> None:
    lacking = ALL | {TRUST: 4}
    await stage.bring(lacking)
    fresh = make_operator_pair()
    stage.key_file.write_bytes(fresh.key_pem)
    await stage.bring(lacking, instance="another")
    _, value, signature = stage.port.handed[-1]
    check(fresh, TRUST, value, signature)
    stage.key_file.write_bytes(make_operator_pair(curve=True).key_pem)
    with pytest.raises(PodError, match="make an Ed25519 key"):
        await stage.bring(lacking, instance="third")
    stage.key_file.write_bytes(b"SECRET-BUT-NO-KEY")
    with pytest.raises(PodError) as refusal:
        await stage.bring(lacking, instance="third")
    assert "SECRET" not in str(refusal.value)


async def test_a_pod_is_handed_the_documents_of_the_count_that_it_loads_and_no_others(stage: Stage) -> None:
    wanted = layout_of(32).documents
    stage.published |= {each: PublishedValue(5, each.encode()) for each in wanted}
    pod = replace(stage.port.pod(), buckets=32)
    loaded = Loaded(dict.fromkeys(wanted[:30], 5), handover=HandoverState("one", is_latest=False))
    assert await stage.bring_to(pod, loaded)
    *documents, latest = stage.port.handed
    assert [path for path, _, _ in documents] == [f"/documents/{each}" for each in wanted[30:]]
    assert msgspec.json.decode(latest[1], type=Latest).generations == dict.fromkeys(wanted, 5)


async def test_a_pod_of_an_incomplete_count_does_not_get_the_latest_generations(stage: Stage) -> None:
    pod = replace(stage.port.pod(), buckets=32)
    loaded = Loaded({TRUST: 5}, handover=HandoverState("one", is_latest=False))
    assert not await stage.bring_to(pod, loaded)
    assert stage.port.handed == []
