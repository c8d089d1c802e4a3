import pytest

from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.protocol.credentials import crc
from stationkeeper_core.protocol.decision import decide
from stationkeeper_core.protocol.update_info import NO_CHANGE, UpdateInfoRequest, UpdateInfoResponse, encode_response
from stationkeeper_core.published.documents import RegisteredGateway

URI, BLOB = "wss://lns.example.org:8887", b"credentials"
GATEWAY = RegisteredGateway(eui="0000000000000001", namespace="n", name="g", uid="u", lns_uri=URI, lns_credentials=BLOB)


@pytest.mark.parametrize(
    ("tc_uri", "tc_crc", "sent_uri", "sent_credentials"),
    [
        (None, None, URI, BLOB),
        ("wss://old:1", 7, URI, BLOB),
        (URI, 7, "", BLOB),
        ("wss://old:1", crc(BLOB), URI, b""),
        (URI, crc(BLOB), "", b""),
        (URI, None, "", BLOB),
    ],
)
def test_only_what_differs_is_sent(
    tc_uri: str | None, tc_crc: int | None, sent_uri: str, sent_credentials: bytes
) -> None:
    request = UpdateInfoRequest(EUI64(1), tc_uri=tc_uri, tc_credentials_crc=tc_crc)

    assert decide(request, GATEWAY) == UpdateInfoResponse(tc_uri=sent_uri, tc_credentials=sent_credentials)


def test_a_gateway_without_credentials_of_its_lns_is_sent_the_uri_alone() -> None:
    plain = RegisteredGateway(eui="0000000000000001", namespace="n", name="g", uid="u", lns_uri="ws://lns:1887")

    assert decide(UpdateInfoRequest(EUI64(1)), plain) == UpdateInfoResponse(tc_uri="ws://lns:1887")


CUPS_URI, CUPS_BLOB = "https://cups.example.org:8987", b"other credentials"
MOVED = RegisteredGateway(
    eui="0000000000000001",
    namespace="n",
    name="g",
    uid="u",
    lns_uri=URI,
    lns_credentials=BLOB,
    cups_uri=CUPS_URI,
    cups_credentials=CUPS_BLOB,
)


@pytest.mark.parametrize("cups_uri", [CUPS_URI, None, CUPS_URI.upper(), f"{CUPS_URI}/"])
@pytest.mark.parametrize("tc_uri", [URI, None])
@pytest.mark.parametrize("cups_crc", [crc(CUPS_BLOB), crc(BLOB), None])
@pytest.mark.parametrize("tc_crc", [crc(BLOB), 0])
def test_changes_of_cups_and_of_the_lns_go_in_one_answer_each_only_where_it_differs(
    cups_uri: str | None, tc_uri: str | None, cups_crc: int | None, tc_crc: int
) -> None:
    request = UpdateInfoRequest(
        EUI64(1), cups_uri=cups_uri, tc_uri=tc_uri, cups_credentials_crc=cups_crc, tc_credentials_crc=tc_crc
    )

    response = decide(request, MOVED)

    assert response == UpdateInfoResponse(
        cups_uri="" if cups_uri == CUPS_URI else CUPS_URI,
        tc_uri="" if tc_uri == URI else URI,
        cups_credentials=b"" if cups_crc == crc(CUPS_BLOB) else CUPS_BLOB,
        tc_credentials=b"" if tc_crc == crc(BLOB) else BLOB,
    )
    reports_all = (cups_uri, tc_uri, cups_crc, tc_crc) == (CUPS_URI, URI, crc(CUPS_BLOB), crc(BLOB))
    assert (encode_response(response) == NO_CHANGE) == reports_all


def test_a_gateway_that_is_not_to_move_keeps_the_cups_server_it_has() -> None:
    request = UpdateInfoRequest(EUI64(1), cups_uri="https://mine:1", cups_credentials_crc=5)

    response = decide(request, GATEWAY)

    assert (response.cups_uri, response.cups_credentials) == ("", b"")
