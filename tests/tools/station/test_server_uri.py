import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_tools.station.faults import StationError, StationFault
from stationkeeper_tools.station.server_uri import ServerAddress, parse_server_uri


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("https://cups.example.org:8987", (True, "cups.example.org:8987", "cups.example.org", "8987")),
        ("http://10.0.0.1:80", (False, "10.0.0.1:80", "10.0.0.1", "80")),
        ("HTTPs://a:https", (True, "a:https", "a", "https")),
        # The client drops the last character of an address in brackets.
        ("https://[2001:db8::1]:443", (True, "[2001:db8::1]:443", "2001:db8::", "443")),
    ],
)
def test_a_uri_is_read_as_the_client_reads_it(uri: str, address: tuple[bool, str, str, str]) -> None:
    assert parse_server_uri(uri, "http") == ServerAddress(*address)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "wss://a:1",
        "https:/a:1",
        "https://a",
        "https://a:",
        "https://:1",
        "https://a:1/",
        "https://a:1/path",
        "https://[1]:1",
        "https://[::1:1",
        "httpsx://a:1",
        f"https://{'a' * 128}:1",
        f"https://a:{'1' * 16}",
    ],
)
def test_anything_else_is_bad(uri: str) -> None:
    with pytest.raises(StationError) as refused:
        parse_server_uri(uri, "http")

    assert refused.value.fault is StationFault.BAD_URI


@given(st.text(max_size=40) | st.from_regex(r"https?://[^/]*:[0-9]*", fullmatch=True))
def test_any_text_gives_an_address_or_bad_uri(uri: str) -> None:
    try:
        address = parse_server_uri(uri, "http")
    except StationError as error:
        assert error.fault is StationFault.BAD_URI
        return
    assert uri.endswith(address.authority)
    assert address.host in uri
