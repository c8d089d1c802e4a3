import pytest

from stationkeeper_core.credentials import crc
from stationkeeper_core.decision import decide
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published import RegisteredGateway
from stationkeeper_core.update_info import UpdateInfoRequest, UpdateInfoResponse

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
