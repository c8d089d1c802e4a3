"""Parse the segments of an answer as a Station does, with the same order and tolerance.

Any bytes give an `Answer`, which may hold a fault, or a `StationError`. This code shares nothing with the encoder.
Source: the CUPS protocol, response; all integers little endian.
"""

from dataclasses import dataclass

from stationkeeper_tools.station.faults import StationError, StationFault
from stationkeeper_tools.station.http_answer import HttpAnswer

_KEY_CRC_BYTES = 4
_SIGNATURE_SEGMENT_BYTES = range(8, 133)
_TOO_LARGE = 1 << 31
_SIZES = (("cups_credentials", 2), ("tc_credentials", 2), ("signature", 4), ("update", 4))


@dataclass(frozen=True)
class Answer:
    """The content of an answer, as far as it can be read.

    Attributes:
        cups_uri, tc_uri: empty if it has none.
        cups_credentials, tc_credentials: blobs, empty if it has none.
        signature: the key's CRC and the signature of the update, empty if it has none.
        update: empty if it has none.
        takes_effect: whether a Station stores the URIs and credentials: it does when it reaches the update or the end.
        fault: why parsing ended before the last segment; None if it did not.
    """

    cups_uri: bytes = b""
    tc_uri: bytes = b""
    cups_credentials: bytes = b""
    tc_credentials: bytes = b""
    signature: bytes = b""
    update: bytes = b""
    takes_effect: bool = True
    fault: StationError | None = None

    @property
    def key_crc(self) -> int:
        """The CRC of the key that made the signature, as the server sends it."""
        return int.from_bytes(self.signature[:_KEY_CRC_BYTES], "little")

    @property
    def der_signature(self) -> bytes:
        """The signature without the key's CRC."""
        return self.signature[_KEY_CRC_BYTES:]


def parse_answer(http: HttpAnswer) -> Answer:
    """Return the content of an answer with status 200; ignore bytes after the last segment.

    Raises:
        StationError: `URISegmentsCut`: a Station ignores the whole answer.
    """
    chunk = http.body[: http.first_chunk]
    cups_uri, tc_start = _short_segment(chunk, 0)
    tc_uri, start = _short_segment(chunk, tc_start)
    if start >= len(chunk):
        detail = f"the URIs and the byte after them do not fit into the first chunk of {len(chunk)} bytes"
        raise StationError(StationFault.URI_SEGMENTS_CUT, detail)
    segments, fault = _long_segments(http.body, start)
    takes_effect = fault is None or "update" in segments
    return Answer(cups_uri, tc_uri, takes_effect=takes_effect, fault=fault, **segments)


def _short_segment(chunk: bytes, start: int) -> tuple[bytes, int]:
    size = chunk[start] if start < len(chunk) else 0
    end = start + 1 + size
    return chunk[start + 1 : end], end


def _long_segments(body: bytes, start: int) -> tuple[dict[str, bytes], StationError | None]:
    """Return the segments after the URIs by their names, and the error that ended parsing early, if any."""
    segments: dict[str, bytes] = {}
    for name, width in _SIZES:
        begin = start + width
        size = int.from_bytes(body[start:begin], "little")
        if begin > len(body):
            return segments, _cut(name, "its size is missing")
        if size >= _TOO_LARGE:
            return segments, StationError(StationFault.SEGMENT_TOO_LARGE, f"{name} of {size} bytes")
        if name == "signature" and size and size not in _SIGNATURE_SEGMENT_BYTES:
            return segments, StationError(StationFault.SIGNATURE_SIZE, f"{size} bytes, not 8 to 132")
        start = begin + size
        if size:
            segments[name] = body[begin:start]
        if start > len(body):
            return segments, _cut(name, f"{len(body) - begin} of {size} bytes are there")
    return segments, None


def _cut(name: str, detail: str) -> StationError:
    return StationError(StationFault.ANSWER_CUT, f"{name}: {detail}")
