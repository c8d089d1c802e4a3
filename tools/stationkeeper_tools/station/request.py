"""Encode the request of a Station, byte by byte as on the wire.

Source: the CUPS protocol, request.
"""

import re
import zlib
from dataclasses import dataclass

from stationkeeper_core.eui64 import EUI64, format_id6
from stationkeeper_tools.station.server_uri import ServerAddress

_ESCAPED = re.compile(rb'[\x01-\x1f"\\]')
_SHORT_ESCAPES = {b"\b": b"\\b", b"\f": b"\\f", b"\n": b"\\n", b"\r": b"\\r", b"\t": b"\\t"}


@dataclass(frozen=True)
class Report:
    """The report of a Station on itself.

    Attributes:
        eui: sent as ID6.
        cups_uri, tc_uri: of the regular sets; None if there is none.
        cups_credentials_crc, tc_credentials_crc: of the regular sets.
        station, model: what it runs on.
        package: raw bytes, not always UTF-8; None if there is no version.txt.
        keys: CRC-32 of each signature key.
    """

    eui: EUI64
    cups_uri: bytes | None
    tc_uri: bytes | None
    cups_credentials_crc: int
    tc_credentials_crc: int
    station: str
    model: str
    package: bytes | None
    keys: tuple[int, ...]

    def encode(self) -> bytes:
        """Return the body: one JSON object without white space."""
        fields = (
            (b"router", _string(format_id6(self.eui).encode())),
            (b"cupsUri", _string(self.cups_uri)),
            (b"tcUri", _string(self.tc_uri)),
            (b"cupsCredCrc", b"%d" % self.cups_credentials_crc),
            (b"tcCredCrc", b"%d" % self.tc_credentials_crc),
            (b"station", _string(self.station.encode("utf-8", "surrogateescape"))),
            (b"model", _string(self.model.encode("utf-8", "surrogateescape"))),
            (b"package", _string(self.package)),
            (b"keys", b"[%s]" % b",".join(b"%d" % key for key in self.keys)),
        )
        return b"{%s}" % b",".join(b'"%s":%s' % field for field in fields)


def key_crcs(keys: list[bytes]) -> tuple[int, ...]:
    """Return the CRC-32 of each key; the list ends before the first zero, such as that of an empty file."""
    values = [zlib.crc32(key) for key in keys]
    return tuple(values[: values.index(0)] if 0 in values else values)


def encode_request(address: ServerAddress, report: Report, header_lines: bytes) -> bytes:
    """Return head and body of the request.

    Args:
        address: of the server.
        report: what the body says.
        header_lines: of a token, each with CR and LF; empty without one.
    """
    body = report.encode()
    head = (
        "POST /update-info HTTP/1.1\r\n"
        f"Host: {address.authority}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body):5}\r\n"
    )
    return head.encode("latin-1") + header_lines + b"\r\n" + body


def _string(value: bytes | None) -> bytes:
    return b"null" if value is None else b'"%s"' % _ESCAPED.sub(_escape, value)


def _escape(found: re.Match[bytes]) -> bytes:
    byte = found[0]
    if byte in b'"\\':
        return b"\\" + byte
    return _SHORT_ESCAPES.get(byte, b"\\u%04x" % ord(byte))
