import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.protocol.update_info import parse_request
from stationkeeper_tools.station.request import Report, encode_request, key_crcs
from stationkeeper_tools.station.server_uri import ServerAddress

ADDRESS = ServerAddress(True, "cups.example.org:8987", "cups.example.org", "8987")


def report(package: bytes | None = None, cups_uri: bytes | None = None) -> Report:
    return Report(EUI64(0x0102030405060708), cups_uri, None, 2077607535, 7, "2.0.6", "linux", package, (1, 4294967295))


def test_the_request_is_byte_by_byte_the_clients() -> None:
    assert encode_request(ADDRESS, report(), b"Authorization: Bearer a\r\n") == (
        b"POST /update-info HTTP/1.1\r\n"
        b"Host: cups.example.org:8987\r\n"
        b"Content-Type: application/json\r\n"
        b"Content-Length:   166\r\n"
        b"Authorization: Bearer a\r\n"
        b"\r\n"
        b'{"router":"102:304:506:708","cupsUri":null,"tcUri":null,"cupsCredCrc":2077607535,"tcCredCrc":7,'
        b'"station":"2.0.6","model":"linux","package":null,"keys":[1,4294967295]}'
    )


def test_a_package_that_is_not_utf_8_passes_raw_and_the_server_bears_it() -> None:
    body = report(package=b'\xff\xfe"1.0"\n\x01').encode()

    assert b'"package":"\xff\xfe\\"1.0\\"\\n\\u0001"' in body
    assert parse_request(body).router == 0x0102030405060708


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=80))
def test_any_text_is_json_that_reads_back(package: str) -> None:
    assert json.loads(report(package=package.encode()).encode())["package"] == package


@pytest.mark.parametrize(
    ("keys", "crcs"),
    [([], ()), ([b"a" * 64], (zlib.crc32(b"a" * 64),)), ([b"a", b"", b"b"], (zlib.crc32(b"a"),))],
)
def test_keys_are_reported_until_the_first_that_is_empty(keys: list[bytes], crcs: tuple[int, ...]) -> None:
    assert key_crcs(keys) == crcs
