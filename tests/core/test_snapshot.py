import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.in_force.gateway_registry import GatewayRegistry
from stationkeeper_core.in_force.snapshot import Holdings
from stationkeeper_core.published.documents import (
    CONTRACT,
    DOCUMENTS,
    TRUST,
    RegistryDocument,
    TrustedAuthority,
    encode,
    encode_payload,
)
from stationkeeper_core.published.registry_layout import layout_of
from tests.core.certificates import EUI, ca
from tests.core.states import RELEASE, authority, gateway, trust_document, values

ROOT = ca("Root")


def _complete(generation: int = 1) -> Holdings:
    holdings = Holdings()
    for document, value in values([authority(ROOT)], [gateway()], generation).items():
        holdings = holdings.accept(document, value)
    return holdings


@given(st.randoms(use_true_random=False))
def test_documents_may_come_in_any_order_and_all_of_them_make_a_snapshot(order: random.Random) -> None:
    documents = list(values([authority(ROOT)], [gateway()]).items())
    order.shuffle(documents)
    holdings = Holdings()
    for document, value in documents:
        assert holdings.snapshot is None
        assert document in holdings.missing
        holdings = holdings.accept(document, value)

    assert holdings.missing == ()
    assert holdings.generations == dict.fromkeys(DOCUMENTS, 1)
    assert holdings.snapshot is not None
    found = holdings.snapshot.registry.holders(EUI64(int(EUI, 16)))
    assert found == (gateway(),)
    assert len(holdings.snapshot.registry) == 1


def test_an_older_document_is_refused_and_the_one_in_force_stays() -> None:
    holdings = _complete(generation=5)
    older = encode(TRUST, 4, encode_payload(trust_document()))

    with pytest.raises(StationkeeperError) as refused:
        holdings.accept(TRUST, older)

    assert refused.value.reason is Reason.OLDER_GENERATION
    assert holdings.trust is not None
    assert len(holdings.trust.trusted_cas) == 1


@given(st.permutations([(document, generation) for document in DOCUMENTS[:3] for generation in (1, 2, 3)]))
def test_whatever_the_order_of_the_generations_the_newest_of_each_document_is_in_force(
    order: list[tuple[str, int]],
) -> None:
    holdings = Holdings()
    known = {generation: values([], [], generation) for generation in (1, 2, 3)}
    for document, generation in order:
        before = holdings.generations.get(document, 0)
        try:
            holdings = holdings.accept(document, known[generation][document])
        except StationkeeperError as error:
            assert error.reason is Reason.OLDER_GENERATION
            assert generation < before
        assert holdings.generations[document] == max(before, generation)

    assert holdings.generations == dict.fromkeys(DOCUMENTS[:3], 3)
    assert holdings.missing == DOCUMENTS[3:]
    assert holdings.snapshot is None


def test_other_content_under_the_generation_in_force_takes_its_place() -> None:
    after = _complete().accept(TRUST, encode(TRUST, 1, encode_payload(trust_document())))

    assert after.trust is not None
    assert after.trust.trusted_cas == ()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_an_undecodable_document_leaves_the_state_in_force(document: str) -> None:
    holdings = _complete()
    before = holdings.snapshot

    with pytest.raises(StationkeeperError) as refused:
        holdings.accept(document, b"nonsense")

    assert refused.value.reason is Reason.MALFORMED_DOCUMENT
    assert holdings.snapshot is before


def test_a_newer_document_takes_its_place_alone() -> None:
    before = _complete()
    after = before.accept(TRUST, encode(TRUST, 2, encode_payload(trust_document())))

    assert after.trust is not None
    assert after.trust.trusted_cas == ()
    assert after.buckets is before.buckets
    assert before.trust is not None
    assert len(before.trust.trusted_cas) == 1


def test_the_document_in_force_again_changes_nothing() -> None:
    holdings = _complete()

    assert all(holdings.accept(*each) is holdings for each in values([authority(ROOT)], [gateway()]).items())


@pytest.mark.parametrize(
    "broken",
    [
        TrustedAuthority(namespace="n", name="c", uid="u", anchors=(b"no certificate",)),
        TrustedAuthority(namespace="n", name="c", uid="u", anchors=(ROOT.der,), intermediates=(b"\x30\x00",)),
        TrustedAuthority(namespace="n", name="c", uid="u", anchors=(ROOT.der,), eui_ranges=("nonsense",)),
    ],
)
def test_a_document_with_something_unusable_is_refused_whole(broken: TrustedAuthority) -> None:
    holdings = _complete()

    with pytest.raises(StationkeeperError) as refused:
        holdings.accept(TRUST, encode(TRUST, 2, encode_payload(trust_document(authority(ROOT), broken))))

    assert refused.value.reason is Reason.MALFORMED_DOCUMENT


def test_a_state_of_another_count_needs_the_documents_of_that_count_and_finds_the_gateway_there() -> None:
    eui, layout = EUI64(int(EUI, 16)), layout_of(128)
    holdings = Holdings(layout=layout)
    assert holdings.missing == layout.documents
    for document in layout.registry:
        held = (gateway(),) if document == layout.document_of(eui) else ()
        content = RegistryDocument(bucket=layout.registry.index(document), gateways=held)
        holdings = holdings.accept(document, encode(document, 1, encode_payload(content)))
    assert holdings.missing == (TRUST,)
    holdings = holdings.accept(TRUST, encode(TRUST, 1, encode_payload(trust_document(authority(ROOT)))))
    assert holdings.snapshot is not None
    assert holdings.snapshot.registry.holders(eui) == (gateway(),)


def test_no_document_below_the_floor_is_loaded_at_the_start() -> None:
    holdings = Holdings(floors={TRUST: 5})

    with pytest.raises(StationkeeperError) as refused:
        holdings.accept(TRUST, encode(TRUST, 4, encode_payload(trust_document())))

    assert refused.value.reason is Reason.OLDER_GENERATION
    assert holdings.accept(TRUST, encode(TRUST, 5, encode_payload(trust_document()))).generations == {TRUST: 5}


def test_of_an_older_operator_the_releases_own_ca_serves_every_namespace_and_a_tenants_does_not() -> None:
    document = trust_document(authority(ROOT, "own", RELEASE), authority(ROOT, "tenants", "radio"))
    value = encode(TRUST, 1, encode_payload(document))
    older = value.replace(f'"contract":{CONTRACT}'.encode(), b'"contract":1')

    before, now = (Holdings().accept(TRUST, each).trust for each in (older, value))

    eui = EUI64(int(EUI, 16))
    assert before is not None
    assert now is not None
    serving = {each.reference: each.serves("elsewhere", eui) for each in before.trusted_cas}
    assert serving == {f"{RELEASE}/own": True, "radio/tenants": False}
    assert [each.serves("elsewhere", eui) for each in now.trusted_cas] == [False, False]


def test_a_bucket_has_its_gateways_and_their_euis() -> None:
    eui = EUI64(int(EUI, 16))
    holdings = Holdings()
    for document, value in values([], [gateway(), gateway(namespace="elsewhere", rank=1)]).items():
        holdings = holdings.accept(document, value)

    held = [each for each in holdings.buckets.values() if len(each)]

    assert [list(each) for each in held] == [[gateway(), gateway(namespace="elsewhere", rank=1)]]
    assert [list(each.euis) for each in held] == [[eui, eui]]
    assert held[0].gateways(eui) == (gateway(), gateway(namespace="elsewhere", rank=1))
    assert held[0].gateways(EUI64(eui + 1)) == ()
    with pytest.raises(ValueError, match=r"a registry has one of .* buckets, not 1$"):
        GatewayRegistry(tuple(held))
