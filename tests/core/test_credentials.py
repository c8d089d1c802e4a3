import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.protocol.credentials import (
    MAX_TOKEN_BYTES,
    NOTHING_CONFIGURED,
    check_uri,
    crc,
    parse_token,
    server_authentication,
    token_authentication,
)


def test_the_crc_of_nothing_is_the_one_that_the_client_reports() -> None:
    assert NOTHING_CONFIGURED == 2077607535


def test_the_blobs_have_the_layout_of_the_protocol() -> None:
    assert server_authentication(b"CA") == b"CA" + bytes(4) + bytes(4)
    assert token_authentication(b"CA", b"Authorization: x\r\n") == b"CA" + bytes(4) + b"Authorization: x\r\n"


def test_the_crc_is_that_of_the_three_parts() -> None:
    assert crc(b"123456789") == 0xCBF43926


def test_a_blob_that_does_not_fit_is_refused() -> None:
    with pytest.raises(StationkeeperError) as refused:
        server_authentication(bytes(65528))
    assert refused.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"NNSXS.ABC", b"Authorization: NNSXS.ABC\r\n"),
        (b"  Bearer NNSXS.ABC\n", b"Authorization: Bearer NNSXS.ABC\r\n"),
        (b"Bearer NNSXS.ABC", b"Authorization: Bearer NNSXS.ABC\r\n"),
        (b"Basic dXNlcjpwYXNz", b"Authorization: Basic dXNlcjpwYXNz\r\n"),
        (b"Authorization: Bearer NNSXS.ABC\r\n", b"Authorization: Bearer NNSXS.ABC\r\n"),
        (b"authorization:NNSXS.ABC", b"Authorization: NNSXS.ABC\r\n"),
        (
            b"Authorization: Bearer NNSXS.ABC\r\nX-Tenant: radio\r\n",
            b"Authorization: Bearer NNSXS.ABC\r\nX-Tenant: radio\r\n",
        ),
        (b"X-Tenant:radio\n\n authorization: Bearer A \n", b"Authorization: Bearer A\r\nX-Tenant: radio\r\n"),
    ],
)
def test_a_token_becomes_header_lines_the_first_of_which_is_authorization(content: bytes, line: bytes) -> None:
    assert parse_token(content) == line


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n",
        b"Authorization: ",
        b"Bearer",
        b"Authorization: bearer \n",
        b"a\r\nX-Injected: b",
        b"a\nb",
        b"a\0b",
        b"\xc3\xa9",
        b"a\tb",
        b"X-Tenant: radio\nX-Injected: b",
        b"Authorization: Bearer A\nauthorization: Bearer Injected",
        b"Authorization: Bearer A\nContent-Length: 0",
        b"Authorization: Bearer A\nHost: Injected",
        b"Authorization: Bearer A\nX-Tenant:",
        b"Authorization: Bearer A\nX Tenant: Injected",
        b"Authorization: Bearer A\nNo header",
        b"x" * (MAX_TOKEN_BYTES + 1),
    ],
)
def test_a_token_that_cannot_stand_in_a_header_is_refused_without_repeating_it(content: bytes) -> None:
    with pytest.raises(StationkeeperError) as refused:
        parse_token(content)
    assert refused.value.reason is Reason.TOKEN_INVALID
    assert "Injected" not in refused.value.detail


@given(
    st.binary(max_size=100)
    | st.lists(st.sampled_from([b"Authorization: ", b"X-A: ", b"b", b"\r\n", b"\n", b"\r", b":"])).map(b"".join)
)
def test_any_bytes_are_header_lines_or_refused_by_name(content: bytes) -> None:
    try:
        line = parse_token(content)
    except StationkeeperError as error:
        assert error.reason is Reason.TOKEN_INVALID
    else:
        assert line.startswith(b"Authorization: ")
        assert line.endswith(b"\r\n")
        assert line.isascii()
        assert all(not set(each) & set(b"\r\n\0") and b": " in each for each in line[:-2].split(b"\r\n"))


def fault(uri: str) -> Reason | None:
    try:
        check_uri(uri, ("wss", "ws"))
    except StationkeeperError as error:
        return error.reason
    return None


@pytest.mark.parametrize(
    "uri",
    [
        "wss://lns.example.org:8887",
        "ws://10.0.0.1:1887",
        "wss://a:1",
        "wss://LNS.Example.org:65535",
        f"wss://{'a' * 115}:12345",
    ],
)
def test_a_uri_with_scheme_host_and_port_is_taken(uri: str) -> None:
    assert fault(uri) is None


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "lns.example.org:8887",
        "https://lns.example.org:8887",
        "WSS://lns.example.org:8887",
        "wss://lns.example.org",
        "wss://lns.example.org:",
        "wss://lns.example.org:0",
        "wss://lns.example.org:65536",
        "wss://lns.example.org:08887",
        "wss://lns.example.org:+1",
        "wss://lns.example.org:8887/",
        "wss://lns.example.org:8887/path",
        "wss://lns.example.org:8887?q",
        "wss://lns.example.org:8887#f",
        "wss://user@lns.example.org:8887",
        "wss://user:pw@lns.example.org:8887",
        "wss://:8887",
        "wss://-a:8887",
        "wss://a b:8887",
        " wss://a:8887",
        "wss://a:8887\n",
        "wss://a\t:8887",
        "wss://a\\b:8887",
        "wss://é:8887",
        "wss://[::1:8887",
        "wss://[zz]:8887",
        "wss://[2001:db8::1]:443",
        "wss://::1:8887",
        f"wss://{'a' * 117}:12345",
    ],
)
def test_any_other_uri_is_refused_with_what_to_write(uri: str) -> None:
    with pytest.raises(StationkeeperError) as refused:
        check_uri(uri, ("wss", "ws"))
    assert refused.value.reason is Reason.URI_INVALID
    assert "write wss://host:port" in refused.value.detail


@pytest.mark.slow
@given(st.text())
def test_any_text_is_a_uri_or_refused_by_name(text: str) -> None:
    for uri in (text, f"wss://{text}", f"wss://a:{text}"):
        try:
            check_uri(uri, ("wss",))
        except StationkeeperError as error:
            assert error.reason is Reason.URI_INVALID


@pytest.mark.parametrize(
    "content",
    [
        b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN EC PRIVATE KEY----- MAA= -----END EC PRIVATE KEY-----",
        b"Authorization: Bearer x\nX-Key: -----BEGIN RSA PRIVATE KEY-----",
    ],
)
def test_a_private_key_is_not_a_token(content: bytes) -> None:
    with pytest.raises(StationkeeperError, match="holds a private key"):
        parse_token(content)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("wss://my_lns.example.org:8887", "has an underscore in its host name"),
        ("wss://[2001:db8::1]:8887", "has an IPv6 address"),
        ("wss://[2001:db8::1:8887", "has no usable host and port"),
        ("wss://lns:8887/path", "has something after the port"),
    ],
)
def test_the_problem_of_a_uri_is_named(uri: str, said: str) -> None:
    with pytest.raises(StationkeeperError, match=said) as refused:
        check_uri(uri, ("wss", "ws"))
    assert refused.value.reason is Reason.URI_INVALID
    assert refused.value.detail.endswith("write wss://host:port")
