import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_tools.station.answer import Answer, parse_answer
from stationkeeper_tools.station.faults import StationError, StationFault
from stationkeeper_tools.station.http_answer import HttpAnswer
from tests.tools.station.blobs import answer_body, ok

CUPS, LNS = b"https://cups.example.org:8987", b"wss://lns.example.org:8887"


def test_fourteen_zero_bytes_change_nothing() -> None:
    assert parse_answer(ok(bytes(14))) == Answer()


def test_every_segment_is_found_in_its_place() -> None:
    body = answer_body(CUPS, LNS, b"cups blob", b"lns blob", b"\x04\x03\x02\x01signature", b"update")

    answer = parse_answer(ok(body))

    assert answer == Answer(CUPS, LNS, b"cups blob", b"lns blob", b"\x04\x03\x02\x01signature", b"update")
    assert (answer.key_crc, answer.der_signature) == (0x01020304, b"signature")


def test_bytes_after_the_last_segment_are_ignored() -> None:
    assert parse_answer(ok(bytes(14) + b"more")) == Answer()


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0", b"\x05wss", answer_body(CUPS, LNS)[: 2 + len(CUPS) + len(LNS)]])
def test_without_both_uris_and_a_byte_after_them_nothing_counts(body: bytes) -> None:
    with pytest.raises(StationError) as refused:
        parse_answer(ok(body))

    assert refused.value.fault is StationFault.URI_SEGMENTS_CUT


def test_uris_that_are_not_in_the_first_chunk_are_lost() -> None:
    body = answer_body(CUPS, LNS)

    with pytest.raises(StationError) as refused:
        parse_answer(HttpAnswer(200, body, 2 + len(CUPS) + len(LNS)))
    assert refused.value.fault is StationFault.URI_SEGMENTS_CUT
    assert parse_answer(HttpAnswer(200, body, 3 + len(CUPS) + len(LNS))).tc_uri == LNS


@pytest.mark.parametrize(
    ("body", "fault", "takes_effect"),
    [
        (answer_body(CUPS)[:-1], StationFault.ANSWER_CUT, False),
        (answer_body(CUPS, cups_credentials=b"blob")[:-11], StationFault.ANSWER_CUT, False),
        (answer_body(CUPS, signature=bytes(7)), StationFault.SIGNATURE_SIZE, False),
        (answer_body(CUPS, signature=bytes(133)), StationFault.SIGNATURE_SIZE, False),
        (answer_body(CUPS)[:-4] + b"\0\0\0\x80", StationFault.SEGMENT_TOO_LARGE, False),
        (answer_body(CUPS, update=b"update")[:-1], StationFault.ANSWER_CUT, True),
    ],
)
def test_an_answer_that_breaks_off_counts_only_if_it_came_to_the_update(
    body: bytes, fault: StationFault, takes_effect: bool
) -> None:
    answer = parse_answer(ok(body))

    assert answer.fault is not None
    assert (answer.fault.fault, answer.takes_effect, answer.cups_uri) == (fault, takes_effect, CUPS)


@given(st.binary(max_size=300), st.integers(min_value=0, max_value=300))
def test_any_body_gives_an_answer_or_a_named_fault(body: bytes, first_chunk: int) -> None:
    try:
        answer = parse_answer(HttpAnswer(200, body, min(first_chunk, len(body))))
    except StationError as error:
        assert error.fault is StationFault.URI_SEGMENTS_CUT
        return
    assert answer.fault is None or answer.fault.fault in {
        StationFault.ANSWER_CUT,
        StationFault.SEGMENT_TOO_LARGE,
        StationFault.SIGNATURE_SIZE,
    }


_URIS, _BLOBS = st.binary(max_size=255), st.binary(max_size=2000)


@given(st.tuples(_URIS, _URIS, _BLOBS, _BLOBS, st.binary(min_size=8, max_size=132) | st.just(b""), _BLOBS))
def test_a_complete_answer_is_read_as_it_was_written(segments: tuple[bytes, ...]) -> None:
    assert parse_answer(ok(answer_body(*segments))) == Answer(*segments)  # type: ignore[arg-type]
