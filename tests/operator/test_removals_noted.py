"""The write that removes a record also notes the removal, so that the leader at that time reports it once."""

import base64
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from stationkeeper_core.published.documents import (
    TRUST,
    RegistryDocument,
    TrustDocument,
    digest,
    encode,
    encode_payload,
    secret_name,
)
from stationkeeper_core.published.registry_layout import layout_of
from stationkeeper_operator.publishing.publisher import Publisher, SupersededError
from stationkeeper_operator.publishing.removal_annotation import ANNOTATION, Removed, decode_removed, encode_removed
from tests.operator.small_api_server import SmallApiServer, small_api_server

FIRST, OTHER = (Removed("TrustedCA", "lorawan", name, f"uid-{name}") for name in ("first", "other"))
EMPTY = encode_payload(TrustDocument(release_namespace="release"))
CHANGED = encode_payload(TrustDocument(release_namespace="elsewhere"))
BUCKET = encode_payload(RegistryDocument(bucket=0))
REGISTRY = layout_of(16).registry[0]


def path(document: str) -> str:
    return f"/api/v1/namespaces/release/secrets/{secret_name(document)}"


PATH = path(TRUST)


class Stage:
    """Several leaders, one after another."""

    def __init__(self, server: SmallApiServer, publisher: Publisher) -> None:
        self.server, self.publisher = server, publisher

    def noted(self) -> tuple[Removed, ...]:
        annotations = self.server.objects[PATH]["metadata"].get("annotations") or {}
        return decode_removed(annotations.get(ANNOTATION) or "")


@pytest.fixture
async def stages(tmp_path: Path) -> AsyncIterator[tuple[Stage, Stage]]:
    """Return two terms of leadership; both have read the documents in force."""
    async with small_api_server(tmp_path) as (server, api):
        for document in layout_of(16).documents:
            server.put(path(document), {})
        server.put(PATH, {"data": {TRUST: base64.b64encode(encode(TRUST, 7, EMPTY)).decode()}})
        before, after = (
            Stage(server, Publisher(api, "release", lambda: None, lambda: 5000, partial(str, term)))
            for term in ("one", "two")
        )
        await before.publisher.in_force()
        yield before, after


async def test_the_next_leader_finds_the_unreported_removals_of_the_earlier_one(
    stages: tuple[Stage, Stage],
) -> None:
    before, after = stages
    await before.publisher.write({TRUST}, {TRUST: CHANGED}, {TRUST: [FIRST]})
    await before.publisher.write({TRUST}, {TRUST: EMPTY}, {TRUST: [OTHER]})
    await after.publisher.in_force()
    assert after.publisher.removed[TRUST] == (FIRST, OTHER)


async def test_only_reported_removals_are_deleted(stages: tuple[Stage, Stage]) -> None:
    before, after = stages
    await before.publisher.write({TRUST}, {TRUST: CHANGED}, {TRUST: [FIRST, OTHER]})
    assert not await before.publisher.delete_reported()
    before.publisher.mark_reported([FIRST.uid])
    assert before.publisher.removed[TRUST] == (OTHER,)
    assert await before.publisher.delete_reported()
    assert before.noted() == (OTHER,)
    await after.publisher.in_force()
    assert after.publisher.removed[TRUST] == (OTHER,)


async def test_a_leader_without_the_lease_deletes_no_note(stages: tuple[Stage, Stage]) -> None:
    before, after = stages
    await before.publisher.write({TRUST}, {TRUST: CHANGED}, {TRUST: [FIRST]})
    await after.publisher.in_force()
    before.publisher.mark_reported([FIRST.uid])
    with pytest.raises(SupersededError):
        await before.publisher.delete_reported()
    assert after.noted() == (FIRST,)


async def test_a_document_that_nothing_reads_is_kept_until_its_removals_are_reported(
    stages: tuple[Stage, Stage],
) -> None:
    before, _ = stages
    before.publisher.mark_reported([FIRST.uid])
    gateway = Removed("Gateway", "lorawan", "roof", "uid-roof")
    await before.publisher.write({REGISTRY}, {REGISTRY: BUCKET}, {REGISTRY: [gateway]})
    await before.publisher.empty([16])
    assert before.server.objects[path(REGISTRY)].get("data")
    before.publisher.mark_reported([gateway.uid])
    await before.publisher.empty([16])
    assert not before.server.objects[path(REGISTRY)].get("data")


async def test_after_a_conflict_in_a_batch_the_written_documents_are_known(stages: tuple[Stage, Stage]) -> None:
    before, _ = stages
    payloads = {TRUST: CHANGED, REGISTRY: BUCKET}
    before.server.put(PATH, {"data": {TRUST: base64.b64encode(encode(TRUST, 8, EMPTY)).decode()}})
    with pytest.raises(SupersededError) as raised:
        await before.publisher.write({TRUST, REGISTRY}, payloads)
    assert raised.value.written.keys() == {REGISTRY}


async def test_a_document_is_published_above_a_later_generation_of_a_pod(stages: tuple[Stage, Stage]) -> None:
    before, _ = stages
    digests = {TRUST: digest(EMPTY)}
    assert not before.publisher.note_pod_generations({TRUST: 7})
    assert not before.publisher.differing(digests)
    assert before.publisher.note_pod_generations({TRUST: 9000})
    assert before.publisher.differing(digests) == {TRUST}
    written = await before.publisher.write({TRUST}, {TRUST: EMPTY})
    assert written[TRUST] > 9000
    assert not before.publisher.differing(digests)


async def test_reports_of_pods_cause_a_bounded_number_of_writes_and_use_up_no_generations(
    stages: tuple[Stage, Stage],
) -> None:
    before, _ = stages
    assert not before.publisher.note_pod_generations({TRUST: 2**52})
    found = [before.publisher.note_pod_generations({TRUST: 9000 + number}) for number in range(200)]
    assert sum(found) < 70


def test_only_the_latest_removals_are_noted_if_not_all_fit() -> None:
    listed = [Removed("Gateway", "lorawan", f"gateway-{number}", "u" * 36) for number in range(5_000)]
    text = encode_removed(listed)
    found = decode_removed(text)
    assert len(text) <= 65_536
    assert found == tuple(listed[-len(found) :])
    assert len(found) > 500


@pytest.mark.parametrize("text", ["", "[", "{}", '[["Gateway"]]', "x" * 70_000, "[" * 50_000])
def test_an_unreadable_note_counts_as_empty(text: str) -> None:
    assert decode_removed(text) == ()
