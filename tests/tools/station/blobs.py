"""Blobs and answers, byte by byte, without any encoder of the project."""

from stationkeeper_tools.station.http_answer import HttpAnswer

ABSENT = bytes(4)
TOKEN = b"Authorization: Bearer NNSXS.secret\r\n"


def sequence(size: int, fill: int = 1) -> bytes:
    """Return a DER sequence with `size` content bytes and a DER length."""
    if size < 128:
        length = bytes([size])
    elif size < 256:
        length = bytes([0x81, size])
    else:
        length = bytes([0x82, size >> 8, size & 0xFF])
    return b"\x30" + length + bytes([fill]) * size


def answer_body(
    cups_uri: bytes = b"",
    tc_uri: bytes = b"",
    cups_credentials: bytes = b"",
    tc_credentials: bytes = b"",
    signature: bytes = b"",
    update: bytes = b"",
) -> bytes:
    parts = ((cups_uri, 1), (tc_uri, 1), (cups_credentials, 2), (tc_credentials, 2), (signature, 4), (update, 4))
    return b"".join(len(part).to_bytes(width, "little") + part for part, width in parts)


def ok(body: bytes) -> HttpAnswer:
    return HttpAnswer(200, body, len(body))
