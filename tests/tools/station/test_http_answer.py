import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_tools.station.faults import StationError, StationFault
from stationkeeper_tools.station.http_answer import BUFFER_BYTES, HttpAnswer, HttpAnswerReader
from stationkeeper_tools.station.server_uri import ServerAddress

ADDRESS = ServerAddress(True, "cups.example.org:8987", "cups.example.org", "8987")
CAPACITY = BUFFER_BYTES - len(b"cups.example.org:8987") - 1


def read(*pieces: bytes) -> HttpAnswer | None:
    reader = HttpAnswerReader(ADDRESS)
    for piece in pieces:
        answer = reader.feed(piece)
        if answer:
            return answer
    return None


def test_an_answer_is_complete_once_its_content_is_there() -> None:
    head = b"HTTP/1.1 200 OK\r\nserver: a\r\nCONTENT-LENGTH:  14\r\n\r\n"

    assert read(head, bytes(13)) is None
    assert read(head, bytes(13), bytes(1)) == HttpAnswer(200, bytes(14), 14)


def test_only_what_fits_into_the_buffer_with_the_head_is_the_first_chunk() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n"

    assert read(head + bytes(20000)) == HttpAnswer(200, bytes(20000), CAPACITY - len(head))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nno", -1),
        (b"garbage\r\n\r\n", -1),
    ],
)
def test_the_status_is_read_where_it_stands(data: bytes, status: int) -> None:
    answer = read(data)

    assert answer is not None
    assert answer.status == status


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ne\r\n", StationFault.CONTENT_LENGTH_MISSING),
        (b"HTTP/1.1 200 OK\r\n\r\n", StationFault.CONTENT_LENGTH_MISSING),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", StationFault.CONTENT_EXCESS),
        (b"HTTP/1.1 404 Not Found\r\n\r\nbody", StationFault.CONTENT_EXCESS),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * BUFFER_BYTES, StationFault.HEAD_TOO_LARGE),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9000\r\n\r\n", StationFault.ERROR_BODY_TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", StationFault.CONTENT_TOO_LARGE),
    ],
)
def test_what_a_station_cannot_read_is_a_named_fault(data: bytes, fault: StationFault) -> None:
    with pytest.raises(StationError) as refused:
        read(data)

    assert refused.value.fault is fault


def test_a_refusal_of_8000_bytes_still_fits() -> None:
    assert read(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 8000\r\n\r\n" + b"a" * 8000) is not None


def test_the_end_says_how_much_was_missing() -> None:
    reader = HttpAnswerReader(ADDRESS)
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n12345")

    assert "9 bytes" in reader.end().detail


@given(st.lists(st.binary(max_size=40), max_size=8), st.booleans())
def test_any_bytes_give_an_answer_or_a_named_fault_or_wait_for_more(pieces: list[bytes], prefixed: bool) -> None:
    reader = HttpAnswerReader(ADDRESS)
    head = [b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"] if prefixed else []
    try:
        for piece in [*head, *pieces]:
            answer = reader.feed(piece)
            assert answer is None or len(answer.body) == (20 if prefixed else len(answer.body))
            if answer:
                return
    except StationError as error:
        assert error.fault in StationFault
