"""The raw values of a certificate's extensions, and the few of them that paths are found and judged by.

OpenSSL judges extensions itself; here is only what it has to be asked in the right order for, or what it checks for a
purpose alone. Total: any bytes give values or none.
Source: RFC 5280, sections 4.1 and 4.2; Netscape Certificate Extensions (nsCertType).
"""

from collections.abc import Iterator, Mapping

EXTENDED_KEY_USAGE = b"\x55\x1d\x25"
KEY_USAGE = b"\x55\x1d\x0f"
BASIC_CONSTRAINTS = b"\x55\x1d\x13"
SUBJECT_KEY_IDENTIFIER = b"\x55\x1d\x0e"
AUTHORITY_KEY_IDENTIFIER = b"\x55\x1d\x23"
SUBJECT_ALTERNATIVE_NAME = b"\x55\x1d\x11"
NAME_CONSTRAINTS = b"\x55\x1d\x1e"
NETSCAPE_CERTIFICATE_TYPE = b"\x60\x86\x48\x01\x86\xf8\x42\x01\x01"

_SEQUENCE, _OBJECT_IDENTIFIER, _OCTET_STRING, _BIT_STRING = 0x30, 0x06, 0x04, 0x03
_EXTENSIONS, _KEY_IDENTIFIER = 0xA3, 0x80
_LONGEST_SHORT_LENGTH, _MULTI_BYTE_TAG = 0x7F, 0x1F
_MOST_LENGTH_BYTES = 4

Element = tuple[int, bytes]


def elements(content: bytes) -> Iterator[Element]:
    """Tag and content of each element of `content`; ends where what follows is none with a definite length."""
    place, end = 0, len(content)
    while place + 2 <= end:
        tag, length = content[place], content[place + 1]
        place += 2
        if tag & _MULTI_BYTE_TAG == _MULTI_BYTE_TAG:
            return
        if length > _LONGEST_SHORT_LENGTH:
            count = length & _LONGEST_SHORT_LENGTH
            if not 0 < count <= _MOST_LENGTH_BYTES:
                return
            length = int.from_bytes(content[place : place + count], "big")
            place += count
        if place + length > end:
            return
        yield tag, content[place : place + length]
        place += length


def extension_values(der: bytes) -> Mapping[bytes, bytes]:
    """The values of a certificate's extensions by their object identifiers, both without tag and length.

    Args:
        der: the certificate.
    """
    tbs = _inner(_inner(der, _SEQUENCE), _SEQUENCE)
    extensions = next((content for tag, content in elements(tbs) if tag == _EXTENSIONS), b"")
    found: dict[bytes, bytes] = {}
    for tag, content in elements(_inner(extensions, _SEQUENCE)):
        parts = list(elements(content)) if tag == _SEQUENCE else []
        if parts and parts[0][0] == _OBJECT_IDENTIFIER and parts[-1][0] == _OCTET_STRING:
            found.setdefault(parts[0][1], parts[-1][1])
    return found


def object_identifiers(value: bytes) -> list[bytes]:
    """Those of an extended key usage."""
    return [content for tag, content in elements(_inner(value, _SEQUENCE)) if tag == _OBJECT_IDENTIFIER]


def first_bits(value: bytes) -> int:
    """The first eight bits of a bit string, the first one being 0x80; 0 where there is none."""
    content = _inner(value, _BIT_STRING)
    return content[1] if len(content) > 1 else 0


def key_identifier(value: bytes) -> bytes | None:
    """That of a subject key identifier; None where it cannot be read."""
    return _inner(value, _OCTET_STRING) or None


def authority_key_identifier(value: bytes) -> bytes | None:
    """The key identifier of an authority key identifier; None without one."""
    parts = elements(_inner(value, _SEQUENCE))
    return next((content or None for tag, content in parts if tag == _KEY_IDENTIFIER), None)


def _inner(content: bytes, expected: int) -> bytes:
    tag, inner = next(elements(content), (0, b""))
    return inner if tag == expected else b""
