"""Read an HTTP answer as a Station does: sans-I/O, with a buffer of 8 KiB for the head and the first chunk.

Source: the CUPS protocol, response. The client reads one header, Content-Length, and ignores the others.
"""

import re
from dataclasses import dataclass

from stationkeeper_tools.station.faults import StationError, StationFault
from stationkeeper_tools.station.server_uri import ServerAddress

HTTP_OK = 200
BUFFER_BYTES = 8192
MAX_CONTENT_BYTES = 64 * 1024 * 1024

_STATUS_LINE = re.compile(rb".{4}/1\.. ([0-9]{1,9})", re.DOTALL)
_CONTENT_LENGTH = re.compile(rb"\ncontent-length:(?:\r\n[ \t]|[ \t])*([0-9]{1,18})", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True)
class HttpAnswer:
    """A complete answer.

    Attributes:
        status: -1 where the status line is invalid.
        body: as many bytes as Content-Length says.
        first_chunk: how many bytes of the body are in a Station's buffer when it parses the first of them.
    """

    status: int
    body: bytes
    first_chunk: int


class HttpAnswerReader:
    """Turns the bytes of a connection into an answer.

    Args:
        address: of the server; its host and port take space in the client's buffer.
    """

    def __init__(self, address: ServerAddress) -> None:
        self._capacity = BUFFER_BYTES - len(f"{address.host}:{address.port}") - 1
        self._received = bytearray()
        self._head_bytes = 0
        self._status = -1
        self._content_bytes = 0

    def feed(self, data: bytes) -> HttpAnswer | None:
        """Take bytes; return the answer when it is complete, else None.

        Args:
            data: the bytes of one read.

        Raises:
            StationError: a Station cannot use the answer; `ErrorBodyTooLarge` makes it crash.
        """
        self._received += data
        if not self._head_bytes and not self._read_head():
            return None
        excess = len(self._received) - self._head_bytes - self._content_bytes
        if excess > 0:
            raise StationError(StationFault.CONTENT_EXCESS, f"{excess} bytes more than the Content-Length says")
        first_chunk = min(self._content_bytes, self._capacity - self._head_bytes)
        if self._status != HTTP_OK and first_chunk < self._content_bytes:
            raise StationError(
                StationFault.ERROR_BODY_TOO_LARGE,
                f"status {self._status} with {self._content_bytes} bytes, of which {first_chunk} fit into the buffer; "
                "a Station crashes",
            )
        if excess < 0:
            return None
        return HttpAnswer(self._status, bytes(self._received[self._head_bytes :]), first_chunk)

    def end(self) -> StationError:
        """Return the error for a connection that ends now, without a complete answer."""
        missing = self._head_bytes + self._content_bytes - len(self._received)
        detail = f"{missing} bytes of the body are missing" if self._head_bytes else "no answer"
        return StationError(StationFault.CONNECTION_CLOSED, f"the server closed the connection: {detail}")

    def _read_head(self) -> bool:
        end = self._received.find(_END_OF_HEAD, 0, self._capacity)
        if end < 0:
            if len(self._received) >= self._capacity:
                raise StationError(StationFault.HEAD_TOO_LARGE, f"no end of the head within {self._capacity} bytes")
            return False
        self._head_bytes = end + len(_END_OF_HEAD)
        head = bytes(self._received[: self._head_bytes])
        status, length = _STATUS_LINE.match(head), _CONTENT_LENGTH.search(head)
        self._status = int(status[1]) if status else -1
        self._content_bytes = int(length[1]) if length else 0
        if not length and self._status == HTTP_OK:
            raise StationError(StationFault.CONTENT_LENGTH_MISSING, "the answer has no Content-Length")
        if self._content_bytes > MAX_CONTENT_BYTES:
            detail = f"{self._content_bytes} bytes, at most {MAX_CONTENT_BYTES} are read here"
            raise StationError(StationFault.CONTENT_TOO_LARGE, detail)
        return True
