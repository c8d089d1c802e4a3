"""Read the header of PROXY protocol."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_cups.accepting.before_tls import Opening, ProxyProtocol
from stationkeeper_cups.accepting.peer_address import peer_address, read_networks
from stationkeeper_cups.accepting.proxy_protocol import MAX_HEADER_BYTES, ProxyHeader, crc32c, read_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
HELLO = b"\x16\x03\x01\x02\x00\x01"
LOCAL, PROXY = 0x20, 0x21
UNSPECIFIED, TCP4, TCP6, UDP4, UNIX = 0x00, 0x11, 0x21, 0x12, 0x31


def binary(
    source: str = "192.0.2.7", additions: bytes = b"", *, command: int = PROXY, family: int | None = None
) -> bytes:
    """Return a header of version 2."""
    address = ipaddress.ip_address(source)
    body = address.packed + address.packed + (1234).to_bytes(2, "big") + (8987).to_bytes(2, "big") + additions
    kind = family if family is not None else TCP4 if address.version == 4 else TCP6
    return SIGNATURE + bytes([command, kind]) + len(body).to_bytes(2, "big") + body


def addition(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def with_checksum(source: str, additions: bytes = b"", wrong: int = 0) -> bytes:
    blank = binary(source, addition(0x03, bytes(4)) + additions)
    place = blank.index(addition(0x03, bytes(4))) + 3
    return blank[:place] + (crc32c(blank) ^ wrong).to_bytes(4, "big") + blank[place + 4 :]


def reason_of(received: bytes) -> Reason:
    with pytest.raises(StationkeeperError) as caught:
        read_header(received)
    return caught.value.reason


@pytest.mark.parametrize(
    ("header", "source"),
    [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 8987\r\n", "192.0.2.7"),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
        (b"PROXY TCP6 2001:db8::7 2001:DB8:0:0:0:0:0:1 0 8987\r\n", "2001:db8::7"),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "192.0.2.7"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
        (binary("192.0.2.7"), "192.0.2.7"),
        (binary("2001:db8::7"), "2001:db8::7"),
        (binary("::ffff:192.0.2.7"), "192.0.2.7"),
        (binary("192.0.2.7", addition(0xEA, b"\x01vpce-08d2bf15fac5001c9") + addition(0x04, bytes(7))), "192.0.2.7"),
        (with_checksum("2001:db8::7", addition(0x02, b"cups.example.com")), "2001:db8::7"),
        (binary(command=LOCAL), None),
        (SIGNATURE + bytes([LOCAL, UNSPECIFIED, 0, 0]), None),
        (SIGNATURE + bytes([LOCAL, 0xFF, 0, 3]) + b"any", None),
        (SIGNATURE + bytes([PROXY, UNSPECIFIED, 0, 3]) + b"any", None),
        (SIGNATURE + bytes([PROXY, UNIX, 0, 216]) + bytes(216), None),
    ],
)
def test_a_header_is_read_to_its_last_byte_however_it_arrives(header: bytes, source: str | None) -> None:
    assert read_header(header) == read_header(header + HELLO) == ProxyHeader(source, len(header))
    for size in range(1, len(header)):
        assert read_header(header[:size]) is None


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY \r\n",
        b"PROXY TCP5 192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
        b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 \xb2 2\r\n",
        b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 2001:db8::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n" + HELLO * 20,
        b"PROXY UNKNOWN" + b" " * 100 + b"\r\n",
        SIGNATURE + bytes([0x11, TCP4, 0, 12]) + bytes(12),
        SIGNATURE + bytes([0x22, TCP4, 0, 12]) + bytes(12),
        binary(family=UDP4),
        binary(family=0xFF),
        binary("192.0.2.7", family=TCP6),
        SIGNATURE + bytes([PROXY, TCP4, 0, 11]) + bytes(11),
        SIGNATURE + bytes([PROXY, UNIX, 0, 12]) + bytes(12),
        SIGNATURE + bytes([LOCAL, UNSPECIFIED]) + (MAX_HEADER_BYTES - 15).to_bytes(2, "big"),
        SIGNATURE + bytes([PROXY, TCP4, 0xFF, 0xFF]),
        binary("192.0.2.7", b"\x04"),
        binary("192.0.2.7", addition(0x04, b"seven")[:-1]),
        binary("192.0.2.7", addition(0x03, b"123")),
        with_checksum("192.0.2.7", wrong=1),
        with_checksum("192.0.2.7", addition(0x03, bytes(4))),
    ],
)
def test_an_almost_valid_header_is_refused(header: bytes) -> None:
    assert reason_of(header) is Reason.PROXY_HEADER_INVALID


@pytest.mark.parametrize(
    "received", [HELLO, b"\x00", b"GET / HTTP/1.1\r\n", b"PROXY_", b"PRoXY ", b"\r\n\r\n\x00\r\nQUIT\r"]
)
def test_bytes_that_do_not_begin_a_header_are_refused_as_missing_one(received: bytes) -> None:
    assert reason_of(received) is Reason.PROXY_HEADER_MISSING


def test_a_header_may_have_as_many_bytes_as_are_allowed() -> None:
    room = MAX_HEADER_BYTES - len(binary("192.0.2.7")) - 3
    header = binary("192.0.2.7", addition(0x04, bytes(room)))
    assert len(header) == MAX_HEADER_BYTES
    assert read_header(header) == ProxyHeader("192.0.2.7", MAX_HEADER_BYTES)


def test_the_checksum_is_the_one_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


@given(
    st.ip_addresses(),
    st.ip_addresses(),
    st.integers(0, 65535),
    st.lists(st.tuples(st.integers(4, 255), st.binary(max_size=200)), max_size=5),
)
def test_every_address_is_read_as_it_was_written(
    source: ipaddress.IPv4Address | ipaddress.IPv6Address,
    destination: ipaddress.IPv4Address | ipaddress.IPv6Address,
    port: int,
    additions: list[tuple[int, bytes]],
) -> None:
    expected = peer_address(str(getattr(source, "ipv4_mapped", None) or source))
    whole = with_checksum(str(source), b"".join(addition(kind, value) for kind, value in additions))
    assert read_header(whole + HELLO) == ProxyHeader(expected, len(whole))
    if source.version == destination.version:
        line = f"PROXY TCP{source.version} {source} {destination} {port} 8987\r\n".encode()
        assert read_header(line + HELLO) == ProxyHeader(expected, len(line))


@st.composite
def _nearly_headers(draw: st.DrawFn) -> bytes:
    line = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 8987\r\n"
    seed = draw(st.sampled_from([line, binary("2001:db8::7"), with_checksum("192.0.2.7", addition(4, b"123"))]))
    found = bytearray(seed + HELLO)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(found) - 1))
        found[place : place + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(found)


@given(st.one_of(st.binary(max_size=300), _nearly_headers()))
def test_any_bytes_are_read_the_same_in_one_piece_and_byte_by_byte(received: bytes) -> None:
    outcomes = []
    for sizes in ([len(received)], range(1, len(received) + 1)):
        outcome: object = None
        for size in sizes:
            if not size:
                continue
            try:
                outcome = read_header(received[:size])
            except StationkeeperError as error:
                outcome = error.reason
            if outcome is not None:
                break
        outcomes.append(outcome)
    # With one byte more, an error may show earlier: a missing header may then be an invalid one at once.
    assert outcomes[0] == outcomes[1]


@given(st.binary(min_size=1, max_size=40))
def test_an_address_that_is_not_trusted_never_has_a_header_passed_over(received: bytes) -> None:
    opener = ProxyProtocol(read_networks("10.0.0.0/8"))
    for begin in (b"", b"PROXY ", SIGNATURE):
        try:
            opening = opener("192.0.2.1", begin + received)
        except StationkeeperError as error:
            assert error.reason is Reason.PROXY_HEADER_NOT_ALLOWED
        else:
            assert not begin
            assert opening in (None, Opening("192.0.2.1", 0))


def test_a_network_decides_who_must_send_a_header() -> None:
    opener = ProxyProtocol(read_networks("10.0.0.0/8, 2001:db8::/32"))
    for source in ("10.1.2.3", "2001:db8::9"):
        assert opener(source, binary("192.0.2.7") + HELLO) == Opening("192.0.2.7", 28)
        assert opener(source, b"PROXY UNKNOWN\r\n" + HELLO) == Opening(source, 15)
        with pytest.raises(StationkeeperError, match="ProxyHeaderMissing"):
            opener(source, HELLO)
    assert opener("11.1.2.3", HELLO) == Opening("11.1.2.3", 0)


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:1", "::ffff:1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_a_client_has_one_address_whatever_socket_it_came_by(host: str, peer: str) -> None:
    assert peer_address(host) == peer


@pytest.mark.parametrize(
    "text", ["10.0.0.1/8", "all", "0.0.0.0/0", "::/0", "::ffff:10.0.0.0/104", ",".join(["10.0.0.0/8"] * 65)]
)
def test_implausible_networks_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"network|every|at most"):
        read_networks(text)


def test_an_empty_list_of_networks_contains_no_address() -> None:
    assert not read_networks("")
    assert "10.0.0.1" not in read_networks(" , ")
