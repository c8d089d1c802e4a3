"""Read the PROXY protocol header (versions 1 and 2), in which a load balancer names the client of a connection.

Bytes in, header out; no input or output. It accepts only headers that follow HAProxy's specification ("The PROXY
protocol, versions 1 & 2") exactly.
"""

import ipaddress
from dataclasses import dataclass

from stationkeeper_core.errors import Reason, StationkeeperError

# Far above the additions of load balancers: a TLS name has 255 bytes, an endpoint's identifier some tens.
MAX_HEADER_BYTES = 2048

_V1, _V2 = b"PROXY ", b"\r\n\r\n\x00\r\nQUIT\n"
_FIRST_BYTES = {_V1[0], _V2[0]}
# The longest line of version 1, its end included (2.1).
_MAX_LINE_BYTES = 107
_MAX_PORT = 65535
_V2_BYTES = 16
_LOCAL, _PROXY = 0, 1
_UNSPECIFIED, _TCP4, _TCP6, _UNIX_STREAM = 0x00, 0x11, 0x21, 0x31
# Bytes of the addresses by family and protocol: two addresses and, except for Unix, two ports (2.2).
_ADDRESS_BYTES = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX_STREAM: 216}
_IP_BYTES = {_TCP4: 4, _TCP6: 16}
_TLV_HEADER = 3
_CRC32C, _CRC32C_BYTES = 0x03, 4


@dataclass(frozen=True)
class ProxyHeader:
    """A header.

    Attributes:
        source: the IP address of the client; None for the sender's own connection (such as a health check), or if the
                sender does not know an IP address.
        size: the number of bytes of the header.
    """

    source: str | None
    size: int


def begins_like_a_header(received: bytes) -> bool:
    """Return whether `received` (not empty) begins like a header.

    TLS does not: its first byte is different.
    """
    if received[0] not in _FIRST_BYTES:
        return False
    return any(received.startswith(each[: len(received)]) for each in (_V1, _V2))


def read_header(received: bytes) -> ProxyHeader | None:
    """Return the header at the beginning of a connection; None if more bytes are needed.

    Args:
        received: the first bytes of the connection.

    Raises:
        StationkeeperError: `ProxyHeaderMissing` if there is no header; `ProxyHeaderInvalid` if the header is invalid
            or has more than `MAX_HEADER_BYTES`.
    """
    if not begins_like_a_header(received):
        raise StationkeeperError(
            Reason.PROXY_HEADER_MISSING, f"the first bytes are {received[:16].hex()}, not PROXY protocol"
        )
    if len(received) < len(_V1):
        return None
    return _read_line(received) if received.startswith(_V1) else _read_binary(received)


def _read_line(received: bytes) -> ProxyHeader | None:
    end = received.find(b"\r\n", 0, _MAX_LINE_BYTES)
    if end < 0:
        if len(received) >= _MAX_LINE_BYTES:
            raise _invalid(f"version 1: no end of line within {_MAX_LINE_BYTES} bytes")
        return None
    size = end + 2
    words = received[:end].split(b" ")
    if words[1] == b"UNKNOWN":
        # The specification says to ignore what follows it.
        return ProxyHeader(None, size)
    if words[1] not in (b"TCP4", b"TCP6") or len(words) != 6:  # noqa: PLR2004 - PROXY, protocol, two of each
        raise _invalid("version 1: not UNKNOWN, nor TCP4 or TCP6 with two addresses and two ports")
    source, destination, *ports = (_text(each) for each in words[2:])
    found, _ = (_ip(each, is_ipv4=words[1] == b"TCP4") for each in (source, destination))
    for port in ports:
        if not port.isdigit() or str(int(port)) != port or int(port) > _MAX_PORT:
            raise _invalid("version 1: a port is not a number from 0 to 65535")
    return ProxyHeader(found, size)


def _text(word: bytes) -> str:
    if not word.isascii():
        raise _invalid("version 1: not ASCII")
    return word.decode("ascii")


def _ip(text: str, *, is_ipv4: bool) -> str:
    try:
        return str(ipaddress.IPv4Address(text)) if is_ipv4 else _short(_without_zone(text))
    except ValueError:
        raise _invalid(f"version 1: an address is not one of {'IPv4' if is_ipv4 else 'IPv6'}") from None


def _without_zone(text: str) -> ipaddress.IPv6Address:
    if "%" in text:
        raise ValueError("a zone is valid only on one machine")
    return ipaddress.IPv6Address(text)


def _short(address: ipaddress.IPv6Address) -> str:
    """Return the form of `peer_address`."""
    return str(address.ipv4_mapped or address)


def _read_binary(received: bytes) -> ProxyHeader | None:
    if len(received) < _V2_BYTES:
        return None
    version, command = received[12] >> 4, received[12] & 0x0F
    family, size = received[13], _V2_BYTES + int.from_bytes(received[14:16], "big")
    if version != 2 or command not in (_LOCAL, _PROXY):  # noqa: PLR2004 - the version of this format
        raise _invalid(f"version and command are {received[12]:#04x}, neither 0x20 nor 0x21")
    if command == _PROXY and family not in _ADDRESS_BYTES:
        raise _invalid(f"version 2: family and protocol are {family:#04x}: not TCP, nor a Unix stream, nor unspecified")
    if size > MAX_HEADER_BYTES:
        raise _invalid(f"version 2: {size} bytes; the maximum is {MAX_HEADER_BYTES}")
    # Skip the content of a LOCAL header, or of one without a family.
    is_unknown = command == _LOCAL or family == _UNSPECIFIED
    addresses = 0 if is_unknown else _ADDRESS_BYTES[family]
    if size < _V2_BYTES + addresses:
        raise _invalid(f"version 2: {size - _V2_BYTES} bytes are too short for the addresses")
    if len(received) < size:
        return None
    if is_unknown:
        return ProxyHeader(None, size)
    _check_additions(received[:size], _V2_BYTES + addresses)
    length = _IP_BYTES.get(family)
    if length is None:
        return ProxyHeader(None, size)
    found = ipaddress.ip_address(received[_V2_BYTES : _V2_BYTES + length])
    return ProxyHeader(str(found) if isinstance(found, ipaddress.IPv4Address) else _short(found), size)


def _check_additions(header: bytes, place: int) -> None:
    """Check that the type-length-values fill the rest of `header`, and its checksum if there is one (2.2)."""
    has_checksum = False
    while place < len(header):
        value = place + _TLV_HEADER
        end = value + int.from_bytes(header[place + 1 : value], "big")
        if value > len(header) or end > len(header):
            raise _invalid("version 2: the additions to the addresses do not end with the header")
        if header[place] == _CRC32C:
            if has_checksum or end - value != _CRC32C_BYTES:
                raise _invalid("version 2: its checksum is given twice or does not have 4 bytes")
            has_checksum = True
            if int.from_bytes(header[value:end], "big") != crc32c(header[:value] + bytes(4) + header[end:]):
                raise _invalid("version 2: its checksum is wrong")
        place = end


def _invalid(detail: str) -> StationkeeperError:
    return StationkeeperError(Reason.PROXY_HEADER_INVALID, detail)


def _table() -> tuple[int, ...]:
    found = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        found.append(value)
    return tuple(found)


_CRC_TABLE = _table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of `data` (RFC 9260, appendix A)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC_TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
