"""Read DER, and as much of BER as OpenSSL reads. Bounded.

Old and home-made encoders write lengths with leading zeros, indefinite lengths, and strings in segments. OpenSSL
accepts all of that, so it is read here too. Any bytes give elements or a `MalformedDERError`.
Source: X.690, section 8; OpenSSL, `crypto/asn1/tasn_dec.c` and `asn1_lib.c`.
"""

import re
from functools import lru_cache

INTEGER, BIT_STRING, OCTET_STRING, NULL, OBJECT_IDENTIFIER = 0x02, 0x03, 0x04, 0x05, 0x06
BOOLEAN, SEQUENCE, SET = 0x01, 0x30, 0x31
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
CONSTRUCTED = 0x20

MAX_ELEMENTS_OF_OPEN_LENGTH = 1000
"""The maximum number of elements to read to find the end of one with an indefinite length."""
MAX_SEGMENT_DEPTH = 5
"""The maximum depth of strings in segments of segments, as in OpenSSL."""

_LONG_FORM, _OPEN_LENGTH, _TWO_BYTES, _HIGH_TAG = 0x80, 0x80, 0x82, 0x1F
_MAX_LENGTH_BYTES = 8
_MAX_UNUSED_BITS = 7
_END = b"\0\0"
_LONGEST_IDENTIFIER = 64
# Numbers with seven bits in each byte; the first byte of a number is never 0x80.
_IDENTIFIER = re.compile(rb"(?:(?!\x80)[\x80-\xff]*[\x00-\x7f])+", re.DOTALL)


class MalformedDERError(ValueError):
    """Malformed bytes; the message says what is wrong."""


class DerReader:
    """Reads elements one by one from a part of some bytes.

    Attributes:
        data: all bytes.
        at: where the next element begins.
        end: where the part ends.
    """

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    @property
    def next_tag(self) -> int:
        """The first byte of the next element; -1 at the end."""
        return self.data[self.at] if self.at < self.end else -1

    def read(self) -> tuple[int, int, int]:
        """Read an element; return its first byte, and the start and end of its content.

        Raises:
            MalformedDERError: there is none, or it does not end within the part.
        """
        data, at = self.data, self.at
        if at + 2 > self.end:
            raise MalformedDERError("it is cut short")
        tag, length = data[at], data[at + 1]
        start = at + 2
        if tag & _HIGH_TAG == _HIGH_TAG or length == _OPEN_LENGTH or length > _TWO_BYTES:
            return self._read_unusual()
        if length > _LONG_FORM:
            # The usual sizes in certificates.
            begin, start = start, start + length - _LONG_FORM
            length = int.from_bytes(data[begin:start], "big")
        stop = start + length
        if stop > self.end:
            raise MalformedDERError("it is cut short")
        self.at = stop
        return tag, start, stop

    def expect(self, tag: int) -> tuple[int, int]:
        """Read an element with `tag`; return the start and end of its content.

        Raises:
            MalformedDERError: it has another tag, or is cut short.
        """
        found, start, stop = self.read()
        if found != tag:
            raise _wrong_tag(found, tag)
        return start, stop

    def enter(self, tag: int) -> "DerReader":
        """Read an element with `tag`; return a reader of its content.

        Raises:
            MalformedDERError: it has another tag, or is cut short.
        """
        found, start, stop = self.read()
        if found != tag:
            raise _wrong_tag(found, tag)
        return DerReader(self.data, start, stop)

    def narrow(self, tag: int) -> None:
        """Continue with only the content of the next element, which must have `tag`.

        Raises:
            MalformedDERError: it has another tag, or is cut short.
        """
        found, self.at, self.end = self.read()
        if found != tag:
            raise _wrong_tag(found, tag)

    def enter_list(self, tag: int) -> "DerReader":
        """Read a SEQUENCE OF or SET OF, like OpenSSL without the constructed bit too; return a reader of its content.

        Raises:
            MalformedDERError: it has another tag, or is cut short.
        """
        found, start, stop = self.read()
        if found | CONSTRUCTED != tag:
            raise _wrong_tag(found, tag)
        return DerReader(self.data, start, stop)

    def finish(self) -> None:
        """Check that nothing is left.

        Raises:
            MalformedDERError: there is more.
        """
        if self.at != self.end:
            raise MalformedDERError("there is more in it than belongs there")

    def string(self, tag: int) -> bytes:
        """Read a string with `tag`; return its content, with segments joined.

        Raises:
            MalformedDERError: it has another tag, is cut short, or its segments are too deep.
        """
        found, start, stop = self.read()
        if found == tag:
            return self.data[start:stop]
        if found != tag | CONSTRUCTED:
            raise _wrong_tag(found, tag)
        return segments(self.data, start, stop)

    def content(self, tag: int) -> bytes:
        """Read an element with `tag`; return its content.

        Raises:
            MalformedDERError: it has another tag, or is cut short.
        """
        found, start, stop = self.read()
        if found != tag:
            raise _wrong_tag(found, tag)
        return self.data[start:stop]

    def integer(self) -> int:
        """Read an INTEGER in its shortest form.

        Raises:
            MalformedDERError: it is something else.
        """
        content = self.content(INTEGER)
        if not content:
            raise MalformedDERError("an integer is empty")
        # OpenSSL refuses a padded integer too (`c2i_ibuf`), so that a serial number has one form only.
        if len(content) > 1 and (content[0], content[1] >> 7) in {(0, 0), (0xFF, 1)}:
            raise MalformedDERError("an integer has more bytes than it needs")
        return int.from_bytes(content, "big", signed=True)

    def boolean(self) -> bool:
        """Read a BOOLEAN; any byte except zero is true.

        Raises:
            MalformedDERError: it is something else.
        """
        start, stop = self.expect(BOOLEAN)
        if stop - start != 1:
            raise MalformedDERError("a boolean does not have exactly one byte")
        return self.data[start] != 0

    def object_identifier(self) -> bytes:
        """Read an OBJECT IDENTIFIER; return its content.

        Raises:
            MalformedDERError: it is something else.
        """
        content = self.content(OBJECT_IDENTIFIER)
        is_identifier = _is_short_identifier if len(content) <= _LONGEST_IDENTIFIER else _is_identifier
        if not is_identifier(content):
            raise MalformedDERError("an object identifier is cut short or has leading zeros")
        return content

    def bit_string(self) -> tuple[bytes, int]:
        """Read a BIT STRING; return its bytes, and the number of unused bits at the end, which are set to zero.

        Raises:
            MalformedDERError: it is something else.
        """
        content = self.string(BIT_STRING)
        if not content or content[0] > _MAX_UNUSED_BITS:
            raise MalformedDERError("a bit string does not say how many bits it has")
        return masked(content[1:], content[0]) if content[0] else content[1:], content[0]

    def _read_unusual(self) -> tuple[int, int, int]:
        data, begin, end = self.data, self.at, self.end
        at, tag = begin + 1, data[begin]
        if tag & _HIGH_TAG == _HIGH_TAG:
            number = 0
            while at < end and data[at] & 0x80:
                number = min(number << 7 | data[at] & 0x7F, _HIGH_TAG)
                at += 1
            number = number << 7 | data[at] if at < end else _HIGH_TAG
            at += 1
            # A number that fits into the first byte is the same tag; all larger ones are treated as one tag.
            tag = tag & ~_HIGH_TAG | min(number, _HIGH_TAG)
        if at >= end:
            raise MalformedDERError("it is cut short")
        length = data[at]
        at += 1
        if length == _OPEN_LENGTH:
            return self._read_open(tag, at)
        if length > _OPEN_LENGTH:
            size = length & 0x7F
            digits = data[at : at + size]
            at += size
            if at > end or len(digits.lstrip(b"\0")) > _MAX_LENGTH_BYTES:
                raise MalformedDERError("it is cut short")
            length = int.from_bytes(digits, "big")
        if at + length > end:
            raise MalformedDERError("it is cut short")
        self.at = at + length
        return tag, at, self.at

    def _read_open(self, tag: int, start: int) -> tuple[int, int, int]:
        if not tag & CONSTRUCTED:
            raise MalformedDERError("a string has no length")
        stop = _end_of_open(self.data, start, self.end)
        self.at = stop + len(_END)
        return tag, start, stop


def _wrong_tag(found: int, wanted: int) -> MalformedDERError:
    return MalformedDERError(f"it has the tag {found:02x} where {wanted:02x} belongs")


def masked(bits: bytes, unused: int) -> bytes:
    """Return the bytes of a bit string with zeros in the `unused` last bits, which may have any value."""
    return bits[:-1] + bytes([bits[-1] >> unused << unused & 0xFF]) if unused and bits else bits


def segments(data: bytes, start: int, stop: int, depth: int = 1) -> bytes:
    """Join the strings between `start` and `stop`; with any tags, like OpenSSL.

    Raises:
        MalformedDERError: they are cut short, or too deep.
    """
    if depth > MAX_SEGMENT_DEPTH:
        raise MalformedDERError("the segments of a string are nested too deeply")
    reader, found = DerReader(data, start, stop), []
    while reader.at < stop:
        tag, begin, end = reader.read()
        found.append(segments(data, begin, end, depth + 1) if tag & CONSTRUCTED else data[begin:end])
    return b"".join(found)


@lru_cache(maxsize=512)
def dotted(identifier: bytes) -> str:
    """Return an object identifier's content as numbers with dots; as hex if it is longer than any in use."""
    if len(identifier) > _LONGEST_IDENTIFIER:
        return identifier.hex()
    numbers: list[int] = []
    value = 0
    for byte in identifier:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _is_identifier(content: bytes) -> bool:
    return _IDENTIFIER.fullmatch(content) is not None


_is_short_identifier = lru_cache(maxsize=512)(_is_identifier)


def _end_of_open(data: bytes, start: int, end: int) -> int:
    """Return the offset of the end mark of an element with an indefinite length."""
    at, depth = start, 1
    for _ in range(MAX_ELEMENTS_OF_OPEN_LENGTH):
        if data[at : at + 2] == _END and at + 2 <= end:
            depth -= 1
            if depth == 0:
                return at
            at += 2
            continue
        if at + 2 <= end and data[at + 1] == _OPEN_LENGTH and data[at] & CONSTRUCTED and data[at] & 0x1F != _HIGH_TAG:
            depth += 1
            at += 2
            continue
        reader = DerReader(data, at, end)
        reader.read()
        at = reader.at
    raise MalformedDERError("the end of an element with an indefinite length is not found")
