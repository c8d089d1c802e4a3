"""Compress a document's payload so that the space of a namespace depends only on its own records.

The records of a namespace are together, and the compressor is reset at each namespace (zlib's full flush). So the size
of a document is the sum of the sizes of its namespaces, and no tenant's records make another's larger. In a normal
stream, records of other tenants in between would push repeated content out of the compressor's window. A reader sees
one zlib stream.

A part is compressed without the parts before it, so its bytes are the same at any place. The parts used last are
cached: a change of one Gateway compresses only the records of its namespace again.
"""

import hashlib
import re
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator

_LEVEL = 6
_RECENT_BYTES = 16 * 1024 * 1024

# A quote inside a JSON string is escaped, so none of these can occur in a string.
_MARK = b'"namespace":"'
_RECORD = re.compile(rb'\{(?:"eui":"[^"\\]*",)?"namespace":"([^"\\]*)","(?:name|uid)":')
_RESERVED = b'],"reserved":['
_LONGEST_EUI = 64
_SEPARATORS = b",]}"
_SLACK = 24
"""The bytes of the separators around a part, which are compressed by themselves."""

# RFC 1950: the header of a stream of this level; RFC 1951: an empty last block.
_HEADER, _END = b"\x78\x9c", b"\x03\x00"


def segments(payload: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the parts of a payload, each with the namespace of its records; "" for parts without a namespace."""
    begin, namespace = 0, ""
    for start, found in _records(payload):
        if found != namespace or not found:
            yield namespace, payload[begin:start]
            begin, namespace = start, found
    yield namespace, payload[begin:]


def compress(payload: bytes) -> bytes:
    """Return the zlib stream of a payload."""
    stream = bytearray(_HEADER)
    for _, each in segments(payload):
        rest = each.lstrip(_SEPARATORS)
        content = rest.rstrip(_SEPARATORS)
        parts = (each[: len(each) - len(rest)], content, rest[len(content) :])
        stream += b"".join(_deflated(part) for part in parts if part)
    return bytes(stream + _END + zlib.adler32(payload).to_bytes(4, "big"))


def segment_bytes(segment: bytes) -> int:
    """Return the maximum bytes of a part in the stream, at any place in the document."""
    return len(_deflated(segment.strip(_SEPARATORS))) + _SLACK


def _records(payload: bytes) -> Iterator[tuple[int, str]]:
    """Yield where each record begins, with its namespace, and where the reservations begin, with ""."""
    reserved = payload.find(_RESERVED)
    at = payload.find(_MARK)
    while at >= 0:
        begin = payload.rfind(b"{", max(0, at - _LONGEST_EUI), at)
        match = _RECORD.match(payload, begin) if begin >= 0 else None
        if match is not None:
            if 0 <= reserved < begin:
                yield reserved, ""
                reserved = -1
            yield begin, match.group(1).decode()
        at = payload.find(_MARK, at + len(_MARK))
    if reserved >= 0:
        yield reserved, ""


class _RecentParts:
    """A cache of the compressed parts that were used last, by the digest of their content."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._parts: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: bytes) -> bytes | None:
        with self._lock:
            found = self._parts.get(name)
            if found is not None:
                self._parts.move_to_end(name)
            return found

    def put(self, name: bytes, compressed: bytes) -> None:
        with self._lock:
            if name not in self._parts:
                self._parts[name] = compressed
                self._bytes += len(compressed)
            while self._bytes > self._most:
                _, dropped = self._parts.popitem(last=False)
                self._bytes -= len(dropped)


_recent_parts = _RecentParts(_RECENT_BYTES)


def _deflated(part: bytes) -> bytes:
    """Return a part in the stream: the compressor begins with it, and ends with a full flush."""
    name = hashlib.sha256(part).digest()
    found = _recent_parts.get(name)
    if found is None:
        compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        found = compressor.compress(part) + compressor.flush(zlib.Z_FULL_FLUSH)
        _recent_parts.put(name, found)
    return found
