import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stationkeeper_core.published.documents import (
    DOCUMENTS,
    REGISTRY,
    TRUST,
    RegistryDocument,
    TrustDocument,
    decode,
    digest,
    encode,
    encode_payload,
    secret_name,
)
from stationkeeper_core.published.registry_layout import layout_of
from stationkeeper_operator.api.kubernetes_api import ApiError, KubernetesApi
from stationkeeper_operator.api.leadership import NotLeadingError
from stationkeeper_operator.publishing import document_secrets
from stationkeeper_operator.publishing.generation_floor import ANNOTATION, GenerationFloor, highest_generation_in
from stationkeeper_operator.publishing.publisher import Publisher, SupersededError
from stationkeeper_operator.publishing.stored_document import PublishedSecret, StoredDocument, read_stored
from tests.operator.small_api_server import SmallApiServer, small_api_server

NOW_MS = 5000
EMPTY = {
    TRUST: encode_payload(TrustDocument(release_namespace="release")),
    **{name: encode_payload(RegistryDocument(bucket=bucket)) for bucket, name in enumerate(REGISTRY)},
}
OTHER = encode_payload(TrustDocument(release_namespace="elsewhere"))


def path(document: str) -> str:
    return f"/api/v1/namespaces/release/secrets/{secret_name(document)}"


class Clock:
    """A clock in milliseconds since the epoch that a test can set to any time."""

    def __init__(self) -> None:
        self.now = NOW_MS

    def __call__(self) -> int:
        return self.now


class Stage:
    def __init__(self, server: SmallApiServer, api: KubernetesApi) -> None:
        self.server = server
        self.clock = Clock()
        self.leading = [True]
        self._api = api
        self.begin_anew()

    def begin_anew(self, floor: GenerationFloor | None = None) -> None:
        """Let another process lead, or another term of the process with this floor."""
        self.publisher = Publisher(self._api, "release", self._permit, self.clock, lambda: "", floor)

    def _permit(self) -> None:
        if not self.leading[0]:
            raise NotLeadingError

    def lay(self, document: str, value: bytes) -> None:
        self.server.put(path(document), {"data": {document: base64.b64encode(value).decode()}})

    def generation(self, document: str) -> int:
        value = base64.b64decode(self.server.objects[path(document)]["data"][document])
        return decode(document, value).header.generation

    async def publish(self, payloads: dict[str, bytes]) -> set[str]:
        await self.publisher.in_force()
        return set(
            await self.publisher.write(
                self.publisher.differing({name: digest(each) for name, each in payloads.items()}), payloads
            )
        )


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with small_api_server(tmp_path) as (server, api):
        for document in DOCUMENTS:
            server.put(path(document), {})
        yield Stage(server, api)


async def test_all_documents_are_written_once(stage: Stage) -> None:
    assert await stage.publish(EMPTY) == set(DOCUMENTS)
    assert await stage.publish(EMPTY) == set()
    assert stage.generation(TRUST) == NOW_MS


async def test_a_written_document_is_kept_and_not_decoded_again(stage: Stage) -> None:
    await stage.publisher.in_force()
    made = TrustDocument(release_namespace="release")
    await stage.publisher.write({TRUST}, {TRUST: encode_payload(made)}, None, {TRUST: made})
    assert (await stage.publisher.in_force())[TRUST] is made
    assert not stage.publisher.differing({TRUST: digest(encode_payload(made))})


async def test_a_document_published_by_another_process_is_not_written_again(stage: Stage) -> None:
    for document, payload in EMPTY.items():
        stage.lay(document, encode(document, 7, payload))
    assert await stage.publish(EMPTY) == set()
    assert stage.server.writes == []


async def test_only_what_differs_is_written(stage: Stage) -> None:
    await stage.publish(EMPTY)
    assert await stage.publish({**EMPTY, TRUST: OTHER}) == {TRUST}


@pytest.mark.parametrize(("held", "written"), [(7, NOW_MS), (NOW_MS, NOW_MS + 1), (9000, 9001)])
async def test_the_generation_rises_whatever_the_clock_says(stage: Stage, held: int, written: int) -> None:
    stage.lay(TRUST, encode(TRUST, held, OTHER))
    await stage.publish(EMPTY)
    assert stage.generation(TRUST) == written


@pytest.mark.parametrize("value", [None, b"", b"nonsense", encode(TRUST, 1, OTHER), encode(TRUST, 1, OTHER)[:-4]])
async def test_the_generation_rises_although_the_clock_went_back_and_the_secret_too(
    stage: Stage, value: bytes | None
) -> None:
    await stage.publish(EMPTY)
    before = stage.generation(TRUST)
    stage.clock.now = 0
    if value is None:
        stage.server.put(path(TRUST), {})
    else:
        stage.lay(TRUST, value)
    assert not await stage.publisher.is_unchanged()
    assert await stage.publish(EMPTY) == {TRUST}
    assert stage.generation(TRUST) > before


async def test_a_new_process_with_a_wrong_clock_begins_above_a_document_that_was_damaged(stage: Stage) -> None:
    await stage.publish(EMPTY)
    stage.clock.now += 50_000
    await stage.publish({**EMPTY, TRUST: OTHER})
    before = stage.generation(TRUST)
    assert before == NOW_MS + 50_000
    metadata = {"annotations": stage.server.objects[path(TRUST)]["metadata"]["annotations"]}
    stage.server.put(path(TRUST), {"metadata": metadata, "data": {TRUST: base64.b64encode(b"damaged").decode()}})
    stage.clock.now = 0
    stage.begin_anew()
    await stage.publish(EMPTY)
    assert stage.generation(TRUST) > before


async def test_another_term_of_a_process_begins_above_all_its_generations(stage: Stage) -> None:
    floor = GenerationFloor()
    stage.begin_anew(floor)
    stage.clock.now += 50_000
    await stage.publish(EMPTY)
    before = stage.generation(TRUST)
    for document in DOCUMENTS:
        stage.server.put(path(document), {})
    stage.clock.now = 0
    stage.begin_anew(floor)
    await stage.publish(EMPTY)
    assert stage.generation(TRUST) > before


@pytest.mark.parametrize("text", ["", "-1", "1e9", "९", "9" * 21, "9" * 20, "nonsense"])
def test_an_impossible_generation_counts_as_none(text: str) -> None:
    assert highest_generation_in(b"", {ANNOTATION: text}) == 0


async def test_a_new_process_with_a_wrong_clock_begins_above_all_that_is_published(stage: Stage) -> None:
    stage.clock.now = 0
    stage.lay(REGISTRY[0], encode(REGISTRY[0], 9000, EMPTY[REGISTRY[0]]))
    await stage.publish(EMPTY)
    assert stage.generation(TRUST) > 9000


@pytest.mark.parametrize("generation", [2**63, 10**400, -1])
async def test_a_generation_that_nothing_could_exceed_is_not_a_floor(stage: Stage, generation: int) -> None:
    stage.lay(TRUST, encode(TRUST, generation, OTHER))
    assert TRUST in await stage.publish(EMPTY)
    assert stage.generation(TRUST) == NOW_MS


async def test_a_broken_document_is_replaced_and_its_generation_still_counts(stage: Stage) -> None:
    stage.lay(TRUST, encode(TRUST, 9000, OTHER)[:-4])
    stage.lay(REGISTRY[0], b"\xff nonsense")
    assert TRUST not in await stage.publisher.in_force()
    assert {TRUST, REGISTRY[0]} <= await stage.publish(EMPTY)
    assert stage.generation(TRUST) == 9001


async def test_a_secret_that_changed_meanwhile_is_not_overwritten_unseen(stage: Stage) -> None:
    await stage.publish(EMPTY)
    stage.lay(TRUST, encode(TRUST, 9000, OTHER))
    with pytest.raises(SupersededError):
        await stage.publisher.write({TRUST}, {**EMPTY, TRUST: OTHER})
    in_force = await stage.publisher.in_force()
    assert in_force[TRUST] == TrustDocument(release_namespace="elsewhere")


async def test_a_secret_that_was_filled_meanwhile_is_not_overwritten_unseen(stage: Stage) -> None:
    await stage.publisher.in_force()
    stage.lay(TRUST, encode(TRUST, 9000, OTHER))
    with pytest.raises(SupersededError):
        await stage.publisher.write({TRUST}, EMPTY)


async def test_a_deleted_or_edited_secret_is_noticed(stage: Stage) -> None:
    await stage.publish(EMPTY)
    assert await stage.publisher.is_unchanged()
    del stage.server.objects[path(TRUST)]
    stage.lay(REGISTRY[3], b"nonsense")
    assert not await stage.publisher.is_unchanged()
    assert await stage.publish(EMPTY) == {REGISTRY[3]}


async def test_a_missing_secret_is_reported_and_filled_once_it_is_there_again(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    del stage.server.objects[path(TRUST)]
    assert await stage.publish(EMPTY) == set(REGISTRY)
    told = [getattr(each, "fields", {}).get("detail") for each in caplog.records]
    assert "the Secret stationkeeper-trust is missing: run `helm upgrade` to create it again" in map(str, told)
    stage.server.put(path(TRUST), {})
    assert await stage.publish(EMPTY) == {TRUST}


async def test_the_operator_does_not_change_the_labels_of_a_secret(stage: Stage) -> None:
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    stage.server.put(path(TRUST), {"metadata": {"labels": labels}})
    assert TRUST in await stage.publish(EMPTY)
    assert stage.server.objects[path(TRUST)]["metadata"]["labels"] == labels


async def test_a_secret_without_a_content_is_not_a_cause_for_a_warning(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    assert await stage.publisher.in_force() == {}
    assert caplog.records == []


async def test_one_failing_write_does_not_delay_the_others(stage: Stage) -> None:
    await stage.publish(EMPTY)
    stage.server.failing[path(TRUST)] = 500
    payloads = {**EMPTY, TRUST: OTHER}
    assert await stage.publisher.write({TRUST}, payloads) == {}
    assert TRUST in stage.publisher.differing({name: digest(each) for name, each in payloads.items()})


async def test_a_secret_that_cannot_be_read_is_not_taken_for_missing(stage: Stage) -> None:
    stage.server.failing[path(TRUST)] = 403
    with pytest.raises(ApiError):
        await stage.publisher.in_force()


async def test_without_the_lease_nothing_is_written(stage: Stage) -> None:
    stage.leading[0] = False
    with pytest.raises(NotLeadingError):
        await stage.publish(EMPTY)
    assert stage.server.writes == []


async def test_a_bounded_number_of_many_secrets_is_read_at_a_time(stage: Stage) -> None:
    for document in layout_of(1024).registry:
        stage.server.put(path(document), {})
    most = await stage.server.most_at_once(stage.publisher.in_force((1024,)))
    assert 1 < most <= 24
    assert {path(document) for document in layout_of(1024).documents} <= {each for _, each in stage.server.requests}


async def test_the_secrets_that_are_read_are_decoded_one_at_a_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for document in DOCUMENTS:
        stage.server.put(path(document), {})
    under_way, most = set[str](), list[int]()

    def decode_slowly(document: str, secret: PublishedSecret) -> StoredDocument:
        under_way.add(document)
        most.append(len(under_way))
        time.sleep(0.005)
        under_way.discard(document)
        return read_stored(document, secret)

    monkeypatch.setattr(document_secrets, "read_stored", decode_slowly)
    await stage.publisher.in_force()
    assert set(most) == {1}


async def test_many_secrets_are_checked_in_turn_some_each_time(stage: Stage) -> None:
    for document in layout_of(256).registry:
        stage.server.put(path(document), {})
    await stage.publisher.in_force((256,))
    changed = layout_of(256).registry[200]
    stage.server.put(path(changed), {"data": {}})
    seen, noticed = set[str](), False
    for _ in range(6):
        before = len(stage.server.requests)
        noticed = not await stage.publisher.is_unchanged() or noticed
        asked = {each for _, each in stage.server.requests[before:]}
        assert len(asked) <= 64
        seen |= asked
    assert noticed
    assert {path(document) for document in layout_of(256).documents} <= seen
