"""A document's payload, compressed so that each namespace takes the room that its own records need.

The records of a namespace stand together, and the compressor starts anew at each namespace (zlib's full flush). So the
size of a document is the sum of what its namespaces take, and no tenant's records make another's larger: with one
stream, records of others between them would push what repeats out of the compressor's window. What reads a document
sees one zlib stream.
"""

import re
import zlib
from collections.abc import Iterator

_LEVEL = 6

# A quote inside of a JSON string is escaped, so that neither can stand in one.
_BOUNDARY = re.compile(rb'\{(?:"eui":"[^"\\]*",)?"namespace":"([^"\\]*)","(?:name|uid)":|\],"reserved":\[')
_SEPARATORS = b",]}"
_SLACK = 8


def segments(payload: bytes) -> Iterator[tuple[str, bytes]]:
    """The parts of a payload with the namespace whose records they hold; that of what belongs to none is empty."""
    begin, namespace = 0, ""
    for match in _BOUNDARY.finditer(payload):
        found = (match.group(1) or b"").decode()
        if found != namespace or not found:
            yield namespace, payload[begin : match.start()]
            begin, namespace = match.start(), found
    yield namespace, payload[begin:]


def compress(payload: bytes) -> bytes:
    """The zlib stream of a payload."""
    compressor = zlib.compressobj(_LEVEL)
    found = bytearray()
    for _, each in segments(payload):
        found += compressor.compress(each)
        found += compressor.flush(zlib.Z_FULL_FLUSH)
    return bytes(found + compressor.flush())


def segment_bytes(segment: bytes) -> int:
    """The bytes that a part takes in the stream at most, wherever in the document it stands."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    content = segment.strip(_SEPARATORS)
    return len(compressor.compress(content)) + len(compressor.flush(zlib.Z_FULL_FLUSH)) + _SLACK
