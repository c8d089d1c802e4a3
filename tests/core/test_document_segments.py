import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.published.document_segments import compress, segment_bytes, segments
from stationkeeper_core.published.documents import RegisteredGateway, RegistryDocument, encode_payload

MIB = 1024 * 1024
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)
GATEWAYS = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), TEXTS), max_size=12)


def payload(gateways: list[tuple[str, str]]) -> bytes:
    records = (
        RegisteredGateway(eui=f"{at:016X}", namespace=namespace, name="g", uid=str(at), lns_uri=text)
        for at, (namespace, text) in enumerate(gateways)
    )
    return encode_payload(RegistryDocument(bucket=0, gateways=tuple(records)))


@given(GATEWAYS)
def test_the_parts_of_a_document_are_all_of_it_and_a_stream_that_any_zlib_reads(
    gateways: list[tuple[str, str]],
) -> None:
    whole = payload(gateways)
    parts = list(segments(whole))

    assert b"".join(part for _, part in parts) == whole
    assert {namespace for namespace, _ in parts} - {""} == {namespace for namespace, _ in gateways}
    assert zlib.decompress(compress(whole)) == whole


@given(GATEWAYS)
def test_a_part_takes_no_more_of_the_stream_than_is_reckoned(gateways: list[tuple[str, str]]) -> None:
    whole = payload(gateways)
    around = len(zlib.compress(b"")) + 8

    assert len(compress(whole)) <= around + sum(segment_bytes(part) for _, part in segments(whole))


def test_a_change_of_one_namespace_compresses_only_its_records_again() -> None:
    compressed: list[int] = []
    real = zlib.compressobj

    class Counted:
        def __init__(self, level: int, method: int, window: int) -> None:
            self._real = real(level, method, window)

        def compress(self, part: bytes) -> bytes:
            compressed.append(len(part))
            return self._real.compress(part)

        def flush(self, mode: int) -> bytes:
            return self._real.flush(mode)

    gateways = [(name, f"wss://{number}.{name}.example") for name in ("a", "b", "c") for number in range(200)]
    compress(payload(gateways))
    changed = payload([*gateways[:-1], ("c", "wss://another.example")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zlib, "compressobj", Counted)
        stream = compress(changed)
    assert zlib.decompress(stream) == changed
    assert 0 < sum(compressed) < len(changed) / 2


def test_compressed_parts_are_remembered_within_a_bound_those_used_last(monkeypatch: pytest.MonkeyPatch) -> None:
    compressed: list[int] = []
    real = zlib.compressobj

    def counted(level: int, method: int, window: int) -> object:
        compressed.append(level)
        return real(level, method, window)

    parts = [os.urandom(4 * MIB) for _ in range(5)]
    monkeypatch.setattr(zlib, "compressobj", counted)
    for part in parts:
        segment_bytes(part)
    assert len(compressed) == len(parts)

    segment_bytes(parts[-1])
    assert len(compressed) == len(parts), "the last one is remembered"
    segment_bytes(parts[0])
    assert len(compressed) == len(parts) + 1, "the first one is not"
