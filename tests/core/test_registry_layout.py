import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.published.documents import (
    DOCUMENTS,
    RegisteredGateway,
    RegistryDocument,
    decode,
    encode,
    encode_payload,
    secret_name,
)
from stationkeeper_core.published.registry_layout import BUCKET_COUNTS, RegistryLayout, bucket_of, layout_of, place_of

EUIS = st.integers(0, 2**64 - 1).map(EUI64)
COUNTS = st.sampled_from(BUCKET_COUNTS)


def test_sixteen_documents_are_called_as_they_were_before_a_count_could_be_chosen() -> None:
    assert layout_of(16).documents == DOCUMENTS
    assert layout_of(16).registry[0] == "registry-00"
    assert layout_of(16).registry[-1] == "registry-15"


def test_another_count_stands_in_the_names() -> None:
    assert layout_of(64).registry[3] == "registry-64-03"
    assert layout_of(1024).registry[1023] == "registry-1024-1023"
    assert secret_name(layout_of(128).registry[7]) == "stationkeeper-registry-128-007"


def test_no_document_of_one_count_is_called_as_one_of_another() -> None:
    names = [name for buckets in BUCKET_COUNTS for name in layout_of(buckets).registry]
    assert len(set(names)) == sum(BUCKET_COUNTS)
    assert all(
        place_of(name) == (buckets, number)
        for buckets in BUCKET_COUNTS
        for number, name in enumerate(layout_of(buckets).registry)
    )


@pytest.mark.parametrize(
    "name",
    ["trust", "registry-16", "registry-0", "registry-003", "registry-64-3", "registry-64-064", "registry-64-64",
     "registry-16-03", "registry-48-03", "registry-2048-0003", "registry-064-03", "registry-64-03\n", ""],
)  # fmt: skip
def test_another_name_is_not_taken_for_a_registry_document(name: str) -> None:
    assert place_of(name) is None


@pytest.mark.parametrize("buckets", [0, 1, 8, 17, 48, 2048, -16])
def test_no_other_count_can_be_chosen(buckets: int) -> None:
    with pytest.raises(ValueError, match="is not one of"):
        RegistryLayout(buckets)


@given(EUIS)
def test_the_bucket_of_an_eui_among_sixteen_is_the_one_that_older_pods_look_in(eui: EUI64) -> None:
    assert bucket_of(eui, 16) == hashlib.sha256(eui.to_bytes(8, "big")).digest()[0] % 16


@given(EUIS, COUNTS, COUNTS)
def test_a_bucket_of_a_smaller_count_is_shared_out_whole_among_those_of_a_larger_one(
    eui: EUI64, one: int, other: int
) -> None:
    least = min(one, other)
    assert bucket_of(eui, one) % least == bucket_of(eui, other) % least


def test_every_bucket_of_the_largest_count_gets_its_part() -> None:
    assert {bucket_of(EUI64(number), 1024) for number in range(20_000)} == set(range(1024))


def _value(document: str, bucket: int, eui: EUI64) -> bytes:
    gateway = RegisteredGateway(eui=format_hex(eui), namespace="n", name="g", uid="u")
    return encode(document, 1, encode_payload(RegistryDocument(bucket=bucket, gateways=(gateway,))))


@given(EUIS, COUNTS)
def test_a_document_of_any_count_is_taken_with_the_gateways_of_its_bucket(eui: EUI64, buckets: int) -> None:
    name = layout_of(buckets).document_of(eui)
    header = decode(name, _value(name, bucket_of(eui, buckets), eui)).header
    assert (header.document, header.buckets) == (name, buckets)


@given(EUIS, COUNTS, COUNTS)
def test_a_document_of_one_count_is_not_taken_for_that_of_another(eui: EUI64, one: int, other: int) -> None:
    name, wrong = layout_of(one).document_of(eui), layout_of(other).document_of(eui)
    if name == wrong:
        return
    with pytest.raises(StationkeeperError) as refused:
        decode(wrong, _value(name, bucket_of(eui, one), eui))
    assert refused.value.reason is Reason.WRONG_DOCUMENT


def test_a_gateway_in_the_bucket_that_it_has_under_another_count_is_refused() -> None:
    eui = next(EUI64(number) for number in range(1000) if bucket_of(EUI64(number), 64) >= 16)
    bucket = bucket_of(eui, 16)
    name = layout_of(64).registry[bucket]
    with pytest.raises(StationkeeperError) as refused:
        decode(name, _value(name, bucket, eui))
    assert refused.value.reason is Reason.MALFORMED_DOCUMENT
