"""The segments of an answer, in the order and with the tolerance of a Station's parser.

Total: any bytes give an `Answer`, which may hold a fault, or a `StationError`. Shares nothing with the encoder.
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
    """What an answer holds, as far as it can be read.

    Attributes:
        cups_uri, tc_uri: empty where it has none.
        cups_credentials, tc_credentials: blobs, empty where it has none.
        signature: the key's CRC and the signature of the update, empty where it has none.
        update: empty where it has none.
        takes_effect: whether a Station makes URIs and credentials its own: it does once it comes to the update or to
            the end.
        fault: where reading came to an end before the last segment's.
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
        """Which key made the signature, as the server has it."""
        return int.from_bytes(self.signature[:_KEY_CRC_BYTES], "little")

    @property
    def der_signature(self) -> bytes:
        """The signature alone."""
        return self.signature[_KEY_CRC_BYTES:]


def parse_answer(http: HttpAnswer) -> Answer:
    """What the body of an answer with status 200 holds; what follows the last segment is not looked at.

    Raises:
        StationError: `URISegmentsCut`, nothing of the answer counts.
    """
    chunk = http.body[: http.first_chunk]
    cups_uri, tc_start = _short_segment(chunk, 0)
    tc_uri, start = _short_segment(chunk, tc_start)
    if start >= len(chunk):
        detail = f"the URIs and the byte after them end behind the {len(chunk)} bytes of the first chunk"
        raise StationError(StationFault.URI_SEGMENTS_CUT, detail)
    segments, fault = _long_segments(http.body, start)
    takes_effect = fault is None or "update" in segments
    return Answer(cups_uri, tc_uri, takes_effect=takes_effect, fault=fault, **segments)


def _short_segment(chunk: bytes, start: int) -> tuple[bytes, int]:
    size = chunk[start] if start < len(chunk) else 0
    end = start + 1 + size
    return chunk[start + 1 : end], end


def _long_segments(body: bytes, start: int) -> tuple[dict[str, bytes], StationError | None]:
    """The segments after the URIs by their names, those with a size; and why there are not all."""
    segments: dict[str, bytes] = {}
    for name, width in _SIZES:
        begin = start + width
        size = int.from_bytes(body[start:begin], "little")
        if begin > len(body):
            return segments, _cut(name, "its size is not there")
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
