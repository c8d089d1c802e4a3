"""Compress a document's payload so that the space of a namespace depends only on its own records.

The records of a namespace are together, and the compressor is reset at each namespace (zlib's full flush). So the size
of a document is the sum of the sizes of its namespaces, and no tenant's records make another's larger. In a normal
stream, records of other tenants in between would push repeated content out of the compressor's window. A reader sees
one zlib stream.
"""

import re
import zlib
from collections.abc import Iterator

_LEVEL = 6

# A quote inside a JSON string is escaped, so neither can occur in a string.
_BOUNDARY = re.compile(rb'\{(?:"eui":"[^"\\]*",)?"namespace":"([^"\\]*)","(?:name|uid)":|\],"reserved":\[')
_SEPARATORS = b",]}"
_SLACK = 8


def segments(payload: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the parts of a payload, each with the namespace of its records; "" for parts without a namespace."""
    begin, namespace = 0, ""
    for match in _BOUNDARY.finditer(payload):
        found = (match.group(1) or b"").decode()
        if found != namespace or not found:
            yield namespace, payload[begin : match.start()]
            begin, namespace = match.start(), found
    yield namespace, payload[begin:]


def compress(payload: bytes) -> bytes:
    """Return the zlib stream of a payload."""
    compressor = zlib.compressobj(_LEVEL)
    found = bytearray()
    for _, each in segments(payload):
        found += compressor.compress(each)
        found += compressor.flush(zlib.Z_FULL_FLUSH)
    return bytes(found + compressor.flush())


def segment_bytes(segment: bytes) -> int:
    """Return the maximum bytes of a part in the stream, at any place in the document."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    content = segment.strip(_SEPARATORS)
    return len(compressor.compress(content)) + len(compressor.flush(zlib.Z_FULL_FLUSH)) + _SLACK
