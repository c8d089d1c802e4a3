"""Names of subjects and issuers: as text for people, and folded for comparison as in OpenSSL.

Source: RFC 4514; OpenSSL, `x509_name_canon` and `asn1_string_canon` in `crypto/x509/x_name.c`.
"""

from functools import lru_cache

import msgspec

from stationkeeper_core.cached import cached_property
from stationkeeper_core.x509.der import element
from stationkeeper_core.x509.der_reader import (
    BIT_STRING,
    CONSTRUCTED,
    OBJECT_IDENTIFIER,
    SEQUENCE,
    SET,
    DerReader,
    MalformedDERError,
    dotted,
    masked,
    segments,
)

MAX_ATTRIBUTES = 256
MAX_REMEMBERED_BYTES = 512
_REMEMBERED = 4096

_UTF8, _NUMERIC, _PRINTABLE, _T61, _IA5, _VISIBLE, _UNIVERSAL, _BMP = 12, 18, 19, 20, 22, 26, 28, 30
_WIDE = {_BMP: "utf-16-be", _UNIVERSAL: "utf-32-be"}
# OpenSSL reads each of their bytes as one character (Latin-1), although the standard of T61String differs.
_NARROW = {_NUMERIC, _PRINTABLE, _T61, _IA5, _VISIBLE, 4, 23, 24}
_FOLDED = {_UTF8, _PRINTABLE, _T61, _IA5, _VISIBLE, _UNIVERSAL, _BMP}
_COMMON_NAME = bytes.fromhex("550403")
_COMMON_NAME_ELEMENT = element(OBJECT_IDENTIFIER, _COMMON_NAME)
# Before the text: a sequence, a set, a sequence, the identifier, and the header of the text.
_COMMON_NAME_HEADER = 6 + len(_COMMON_NAME_ELEMENT) + 2
# The maximum bytes of a whole element whose length is one byte.
_SHORT_FORM = 2 + 127
_USUAL_TEXTS = {_UTF8, _PRINTABLE}
_SHORT = {
    _COMMON_NAME: "CN",
    bytes.fromhex("550407"): "L",
    bytes.fromhex("550408"): "ST",
    bytes.fromhex("55040a"): "O",
    bytes.fromhex("55040b"): "OU",
    bytes.fromhex("550406"): "C",
    bytes.fromhex("550409"): "STREET",
    bytes.fromhex("0992268993f22c640119"): "DC",
    bytes.fromhex("0992268993f22c640101"): "UID",
}
_ESCAPED = str.maketrans({each: f"\\{each}" for each in '\\"+,;<>'} | {"\0": "\\00"})


class Attribute(msgspec.Struct, frozen=True):
    """One part of a name.

    Attributes:
        kind: the content of its object identifier.
        tag: of its string.
        content: of its string, as encoded; the whole element for a sequence, which OpenSSL accepts in place of a
            string.
        text: the string; None if its tag is not that of a text.
    """

    kind: bytes
    tag: int
    content: bytes
    text: str | None

    def __str__(self) -> str:
        """Return the attribute in the form of RFC 4514."""
        return f"{_SHORT.get(self.kind) or dotted(self.kind)}={self._escaped()}"

    @property
    def folded(self) -> bytes:
        """The attribute in DER for comparison: without case, superfluous white space and the kind of string."""
        tag, content = self.tag, self.content
        if tag in _FOLDED:
            text = content.decode("latin-1") if tag in _NARROW else self.text or ""
            # Both methods of `bytes` know only ASCII, like those of OpenSSL.
            tag, content = _UTF8, b" ".join(text.encode("utf-8", "surrogatepass").split()).lower()
        elif tag == BIT_STRING and content:
            content = bytes([content[0] if len(content) > 1 else 0]) + masked(content[1:], content[0])
        value = content if tag == SEQUENCE else element(tag, content)
        return element(SEQUENCE, element(OBJECT_IDENTIFIER, self.kind) + value)

    def _escaped(self) -> str:
        if self.text is None:
            return f"#{self.content.hex()}" if self.content else ""
        text = self.text.translate(_ESCAPED)
        if text.startswith("#") or (text.startswith(" ") and len(text) > 1):
            text = f"\\{text}"
        return f"{text[:-1]}\\ " if text.endswith(" ") else text


class Name:
    """A subject or issuer.

    Attributes:
        der: its encoding.
        parts: its relative distinguished names in the order of the encoding: the root of the tree first.
    """

    def __init__(self, der: bytes, parts: tuple[tuple[Attribute, ...], ...]) -> None:
        self.der = der
        self.parts = parts

    @cached_property
    def text(self) -> str:
        """The name in the form of RFC 4514: the root of the tree last."""
        return ",".join("+".join(map(str, part)) for part in reversed(self.parts))

    @cached_property
    def folded(self) -> str:
        """The name for comparison: equal for two names exactly if OpenSSL finds them equal. Not for people."""
        # OpenSSL's `canon_enc`; it ignores a part without attributes.
        sets = (element(SET, b"".join(sorted(each.folded for each in part))) for part in self.parts if part)
        return b"".join(sets).decode("latin-1")

    @cached_property
    def common_names(self) -> tuple[str, ...]:
        """Every Common Name, in the order of the encoding; bytes that are no text as Latin-1."""
        listed = [each for part in self.parts for each in part if each.kind == _COMMON_NAME]
        return tuple([each.content.decode("latin-1") if each.text is None else each.text for each in listed])

    @property
    def tags(self) -> frozenset[int]:
        """The tags of its strings."""
        return frozenset(each.tag for part in self.parts for each in part)


def read_name(der: bytes) -> Name:
    """Parse a name; `der` is one element.

    Raises:
        MalformedDERError: it is not a name, or has more than `MAX_ATTRIBUTES`.
    """
    return _remembered(der) if len(der) <= MAX_REMEMBERED_BYTES else _read(der)


def _read(der: bytes) -> Name:
    return _read_common_name(der) or _read_any(der)


def _read_common_name(der: bytes) -> Name | None:
    """Read a name with only one Common Name, such as the subject of a gateway's certificate, without a full parser."""
    size = len(der)
    if not _COMMON_NAME_HEADER < size <= _SHORT_FORM or der[0] != SEQUENCE or der[2] != SET or der[4] != SEQUENCE:
        return None
    if der[1] != size - 2 or der[3] != size - 4 or der[5] != size - 6 or der[12] != size - _COMMON_NAME_HEADER:
        return None
    tag, content = der[11], der[_COMMON_NAME_HEADER:]
    if der[6:11] != _COMMON_NAME_ELEMENT or tag not in _USUAL_TEXTS:
        return None
    return Name(der, ((Attribute(_COMMON_NAME, tag, content, _text(tag, content)),),))


def _read_any(der: bytes) -> Name:
    reader = DerReader(der)
    listed = reader.enter_list(SEQUENCE)
    reader.finish()
    parts: list[tuple[Attribute, ...]] = []
    count = 0
    while listed.at < listed.end:
        part = listed.enter_list(SET)
        attributes: list[Attribute] = []
        while part.at < part.end and count + len(attributes) <= MAX_ATTRIBUTES:
            attributes.append(_attribute(part.enter(SEQUENCE)))
        count += max(len(attributes), 1)
        if count > MAX_ATTRIBUTES:
            raise MalformedDERError(f"it has more than {MAX_ATTRIBUTES} parts")
        parts.append(tuple(attributes))
    return Name(der, tuple(parts))


_remembered = lru_cache(maxsize=_REMEMBERED)(_read)


def _attribute(reader: DerReader) -> Attribute:
    kind = reader.object_identifier()
    begin = reader.at
    tag, start, stop = reader.read()
    reader.finish()
    if tag == SEQUENCE:
        content = reader.data[begin : reader.at]
    elif tag & CONSTRUCTED:
        tag, content = tag & ~CONSTRUCTED, segments(reader.data, start, stop)
    else:
        content = reader.data[start:stop]
    return Attribute(kind, tag, content, _text(tag, content))


def _text(tag: int, content: bytes) -> str | None:
    try:
        if tag == _UTF8:
            return content.decode()
        if tag in _WIDE:
            return content.decode(_WIDE[tag])
    except UnicodeDecodeError:
        raise MalformedDERError("a text in it does not have the encoding of its tag") from None
    if tag not in _NARROW:
        return None
    # Many encoders write UTF-8 as T61String or PrintableString, so it is shown as UTF-8 if possible.
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")
