import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.protocol.update_info import (
    MAX_BODY_BYTES,
    NO_CHANGE,
    UpdateInfoRequest,
    UpdateInfoResponse,
    decode_response,
    encode_response,
    parse_request,
)
from stationkeeper_core.reason_table import REASONS as TABLE
from tests.station_answer import StationAnswer, read_answer

REASONS = {
    Reason.REQUEST_TOO_LARGE,
    Reason.MALFORMED_REQUEST,
    Reason.ROUTER_MISSING,
    Reason.ROUTER_UNPARSABLE,
}
STATION: dict[str, Any] = {
    "router": "102:304:506:708",
    "cupsUri": "https://cups.example.org:8987",
    "tcUri": None,
    "cupsCredCrc": 1398343300,
    "tcCredCrc": 2077607535,
    "station": "2.0.6(linux/std)",
    "model": "linux",
    "package": None,
    "keys": [1, 4294967295],
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=5,
)


def _total(body: bytes) -> UpdateInfoRequest | None:
    try:
        return parse_request(body)
    except StationkeeperError as error:
        assert error.reason in REASONS
        assert len(error.detail) < 500
        return None


def test_a_stations_request_is_read_field_by_field() -> None:
    assert parse_request(json.dumps(STATION).encode()) == UpdateInfoRequest(
        router=EUI64(0x0102030405060708),
        cups_uri="https://cups.example.org:8987",
        cups_credentials_crc=1398343300,
        tc_credentials_crc=2077607535,
        station="2.0.6(linux/std)",
        model="linux",
        keys=(1, 4294967295),
    )


def test_the_seeds_request_holds_only_a_router() -> None:
    assert parse_request(b'{"router":"102:304:506:708"}') == UpdateInfoRequest(EUI64(0x0102030405060708))


@given(st.binary())
def test_any_bytes_are_a_request_or_refused_by_name(body: bytes) -> None:
    _total(body)


@given(st.dictionaries(st.sampled_from(sorted(STATION)), VALUES))
def test_any_types_of_the_fields_are_a_request_or_refused_by_name(fields: dict[str, Any]) -> None:
    _total(json.dumps(STATION | fields).encode())


@given(st.data())
def test_a_request_with_any_bytes_changed_is_a_request_or_refused_by_name(data: st.DataObject) -> None:
    body = bytearray(json.dumps(STATION).encode())
    for position in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=5)):
        body[position] = data.draw(st.integers(0, 255))
    _total(bytes(body))


def _outcome(body: bytes) -> object:
    try:
        return parse_request(body)
    except StationkeeperError as error:
        return error.reason


@given(st.dictionaries(st.sampled_from(sorted(STATION)), VALUES), st.lists(st.tuples(st.integers(0), st.binary())))
def test_the_decoder_for_tidy_clients_finds_what_the_one_for_all_finds(
    fields: dict[str, Any], changes: list[tuple[int, bytes]]
) -> None:
    body = json.dumps(STATION | fields).encode()
    for place, changed in changes:
        at = place % (len(body) + 1)
        body = body[:at] + changed + body[at + 1 :]
    # The fast decoder refuses a zero byte at the end, which ends a string in C; the tolerant decoder accepts it.
    assert _outcome(body) == _outcome(body + b"\0")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.MALFORMED_REQUEST),
        (b"null", Reason.MALFORMED_REQUEST),
        (b'"router"', Reason.MALFORMED_REQUEST),
        (b"[" * MAX_BODY_BYTES, Reason.MALFORMED_REQUEST),
        (b'{"a":' * 3000, Reason.MALFORMED_REQUEST),
        (b'{"router":"1::","cupsCredCrc":' + b"9" * 10000 + b"}", Reason.MALFORMED_REQUEST),
        (b'{"router":"1::","cupsCredCrc":4294967296}', Reason.MALFORMED_REQUEST),
        (b'{"router":"1::","cupsCredCrc":-1}', Reason.MALFORMED_REQUEST),
        (b'{"router":"1::","cupsCredCrc":true}', Reason.MALFORMED_REQUEST),
        (b'{"router":"1::","tcCredCrc":1.0}', Reason.MALFORMED_REQUEST),
        (b'{"router":"1::","tcCredCrc":NaN}', Reason.MALFORMED_REQUEST),
        (b'{"router":"1::","tcUri":[]}', Reason.MALFORMED_REQUEST),
        (b'{"router":"1::","keys":1}', Reason.MALFORMED_REQUEST),
        (b'{"router":"1::","keys":["1"]}', Reason.MALFORMED_REQUEST),
        (b'{"router":"1::","keys":[' + b"1," * 64 + b"1]}", Reason.MALFORMED_REQUEST),
        (b'{"router":null}', Reason.ROUTER_MISSING),
        (b'{"router":{}}', Reason.ROUTER_UNPARSABLE),
        (b'{"router":"\\ud800"}', Reason.ROUTER_UNPARSABLE),
        (b'{"router":"' + b"1" * 10000 + b'"}', Reason.ROUTER_UNPARSABLE),
        (b" " * (MAX_BODY_BYTES + 1), Reason.REQUEST_TOO_LARGE),
    ],
)
def test_a_wrong_request_is_refused_with_its_reason(body: bytes, reason: Reason) -> None:
    with pytest.raises(StationkeeperError) as refused:
        parse_request(body)
    assert refused.value.reason is reason
    assert TABLE[reason].http_status in {400, 413}


def test_bytes_of_a_package_that_are_not_utf8_do_not_strand_the_gateway() -> None:
    request = parse_request(b'{"router":"1::","package":"v1\xff\xfe"}')

    assert request.package == "v1\ufffd\ufffd"


@pytest.mark.parametrize("field", ["station", "model", "package"])
def test_texts_for_people_are_taken_leniently_and_cut(field: str) -> None:
    assert getattr(parse_request(json.dumps({"router": "1::", field: 7}).encode()), field) is None
    assert len(getattr(parse_request(json.dumps({"router": "1::", field: "x" * 5000}).encode()), field)) == 256


def test_nothing_to_change_is_14_zero_bytes() -> None:
    assert encode_response(UpdateInfoResponse()) == NO_CHANGE == bytes(14)


def test_an_answer_has_the_layout_of_the_protocol() -> None:
    response = UpdateInfoResponse("https://c:1", "wss://l:2", b"\x01\x02", b"\x03" * 300)

    assert encode_response(response) == (
        b"\x0bhttps://c:1" + b"\x09wss://l:2" + b"\x02\x00\x01\x02" + b"\x2c\x01" + b"\x03" * 300 + bytes(8)
    )


@given(
    st.text(alphabet=st.characters(max_codepoint=127), max_size=127),
    st.text(alphabet=st.characters(max_codepoint=127), max_size=127),
    st.binary(max_size=3000),
    st.binary(max_size=3000),
)
def test_an_answer_survives_its_encoding(cups_uri: str, tc_uri: str, cups: bytes, tc: bytes) -> None:
    response = UpdateInfoResponse(cups_uri, tc_uri, cups, tc)

    encoded = encode_response(response)

    assert decode_response(encoded) == response
    assert read_answer(encoded) == StationAnswer(cups_uri, tc_uri, cups, tc, b"", b"")


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_a_value_error(body: bytes) -> None:
    try:
        decode_response(body)
    except ValueError:
        return


@pytest.mark.parametrize(
    "response",
    [
        UpdateInfoResponse(tc_uri="x" * 128),
        UpdateInfoResponse(cups_uri="wss://\u00e9:1"),
        UpdateInfoResponse(tc_credentials=bytes(65536)),
    ],
)
def test_a_value_that_does_not_fit_into_an_answer_is_an_error(response: UpdateInfoResponse) -> None:
    with pytest.raises(ValueError):
        encode_response(response)


@pytest.mark.parametrize("body", [bytes(13), bytes(15), b"\x05ab", bytes(6) + b"\x05\x00\x00\x00" + bytes(9)])
def test_an_answer_that_is_cut_or_holds_an_update_is_not_decoded(body: bytes) -> None:
    with pytest.raises(ValueError):
        decode_response(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"router":"102:304:506:708","package":"a\x01b\x1f\tc"}',
        b'\xef\xbb\xbf{"router":"102:304:506:708","package":"a"}',
        b'{"router":"102:304:506:708","package":"a"}\0',
        b'{"router":"102:304:506:708","package":"a"}\n\0\0',
        b'{"router":"102:304:506:708","package":"\xff\xfe"}',
    ],
)
def test_a_request_of_an_untidy_client_is_read(body: bytes) -> None:
    assert parse_request(body).router == EUI64(0x0102030405060708)


def test_bytes_after_the_object_are_still_refused() -> None:
    with pytest.raises(StationkeeperError, match="MalformedRequest"):
        parse_request(b'{"router":"102:304:506:708"}\0x')
