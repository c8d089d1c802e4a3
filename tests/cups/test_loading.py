import asyncio
import time

import pytest

from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.published.documents import (
    REGISTRY,
    TRUST,
    Document,
    RegisteredGateway,
    RegistryDocument,
    TrustDocument,
    TrustedAuthority,
    bucket_of,
    encode,
    encode_payload,
)
from stationkeeper_cups.in_force.serving_state import GATEWAYS_A_STEP, ServingState
from stationkeeper_cups.metrics import Metrics
from tests.core.certificates import ca


def _large_trust() -> Document:
    anchors = [ca(f"CA {number}").der for number in range(600)]
    held = tuple(
        TrustedAuthority(namespace=f"team-{number % 20}", name=f"ca-{number}", uid=str(number), anchors=(anchor,))
        for number, anchor in enumerate(anchors)
    )
    return TrustDocument(release_namespace="stationkeeper", authorities=held)


def _large_registry() -> Document:
    euis = (EUI64(number) for number in range(40_000))
    held = (format_hex(eui) for eui in euis if bucket_of(eui) == 0)
    gateways = tuple(RegisteredGateway(eui=eui, namespace="team", name=eui, uid=eui) for eui in held)
    return RegistryDocument(bucket=0, gateways=gateways)


@pytest.mark.parametrize(
    ("document", "content"), [(TRUST, _large_trust()), (REGISTRY[0], _large_registry())], ids=["trust", "registry"]
)
async def test_other_work_continues_while_a_large_document_is_loaded(document: str, content: Document) -> None:
    state = ServingState(Metrics())
    loading = asyncio.create_task(state.load_document(document, encode(document, 1, encode_payload(content))))
    turns, longest, before = 0, 0.0, time.monotonic()
    while not loading.done():
        await asyncio.sleep(0)
        now = time.monotonic()
        turns, longest, before = turns + 1, max(longest, now - before), now

    assert state.generations == {document: 1}
    assert turns > 5, f"the loop turned {turns} times, once for {longest:.3f} s"


async def test_changed_gateways_are_announced_in_steps() -> None:
    content, told = _large_registry(), list[int]()
    state = ServingState(Metrics())
    state.on_gateways_loaded = lambda gateways: told.append(len(tuple(gateways)))

    await state.load_document(REGISTRY[0], encode(REGISTRY[0], 1, encode_payload(content)))

    assert max(told) == GATEWAYS_A_STEP
    assert isinstance(content, RegistryDocument)
    assert sum(told) == len(content.gateways)


async def test_only_remembered_gateways_are_announced() -> None:
    content, told = _large_registry(), list[str]()
    assert isinstance(content, RegistryDocument)
    kept = {each.eui for each in content.gateways[::300]}
    state = ServingState(Metrics())
    state.is_remembered = lambda eui: format_hex(eui) in kept
    state.on_gateways_loaded = lambda gateways: told.extend(each.eui for each in gateways)

    await state.load_document(REGISTRY[0], encode(REGISTRY[0], 1, encode_payload(content)))

    assert sorted(told) == sorted(kept)


async def test_documents_are_loaded_in_the_order_in_which_they_came() -> None:
    state = ServingState(Metrics())
    large, empty = _large_trust(), TrustDocument(release_namespace="stationkeeper")
    values = [encode(TRUST, generation, encode_payload(each)) for generation, each in ((1, large), (2, empty))]

    await asyncio.gather(*(state.load_document(TRUST, value) for value in values))

    assert state.generations == {TRUST: 2}
    assert state.trust is not None
    assert state.trust.trusted_cas == ()
