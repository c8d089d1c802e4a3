"""Read extensions of certificates as facts.

The list is parsed with the certificate; the content of an extension is parsed on demand. An extension that is there
twice, or cannot be read, is `UNREADABLE`. OpenSSL accepts no chain with such a certificate, so nothing depends on it.
Source: RFC 5280, section 4.2; OpenSSL, `crypto/x509/v3_purp.c`.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

from stationkeeper_core.x509.der_reader import (
    BOOLEAN,
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    DerReader,
    MalformedDERError,
    dotted,
)

MAX_EXTENSIONS = 256

BASIC_CONSTRAINTS = bytes.fromhex("551d13")
KEY_USAGE = bytes.fromhex("551d0f")
EXTENDED_KEY_USAGE = bytes.fromhex("551d25")
SUBJECT_ALTERNATIVE_NAME = bytes.fromhex("551d11")
NAME_CONSTRAINTS = bytes.fromhex("551d1e")
CRL_DISTRIBUTION_POINTS = bytes.fromhex("551d1f")
NETSCAPE_CERTIFICATE_TYPE = bytes.fromhex("6086480186f8420101")
SUBJECT_KEY_IDENTIFIER = bytes.fromhex("551d0e")
AUTHORITY_KEY_IDENTIFIER = bytes.fromhex("551d23")
_KEY_IDENTIFIER = 0x80

T = TypeVar("T")


class Absence(Enum):
    """Why an extension has no value."""

    ABSENT = "absent"
    UNREADABLE = "unreadable"


Found: TypeAlias = T | Absence
ABSENT: Literal[Absence.ABSENT] = Absence.ABSENT
UNREADABLE: Literal[Absence.UNREADABLE] = Absence.UNREADABLE


class Extension(NamedTuple):
    """One extension.

    Attributes:
        kind: the content of its object identifier.
        is_critical: whether it is critical.
        value: its content, DER within an octet string.
    """

    kind: bytes
    is_critical: bool
    value: bytes

    @property
    def identifier(self) -> str:
        """The object identifier with dots."""
        return dotted(self.kind)


class BasicConstraints(NamedTuple):
    """The basic constraints of a certificate.

    Attributes:
        is_authority: CA:TRUE.
        path_length: the number of CAs that may follow below it; None for any number.
    """

    is_authority: bool
    path_length: int | None


class KeyUsage(NamedTuple):
    """The key usage; only the bits that are used here."""

    digital_signature: bool
    key_agreement: bool
    key_cert_sign: bool
    crl_sign: bool


def read_extensions(listed: DerReader) -> tuple[Extension, ...]:
    """Return the extensions in a sequence.

    Args:
        listed: reads the content of the sequence.

    Raises:
        MalformedDERError: one does not have the form of an extension, or there are more than `MAX_EXTENSIONS`.
    """
    extensions: list[Extension] = []
    while listed.at < listed.end:
        if len(extensions) == MAX_EXTENSIONS:
            raise MalformedDERError(f"there are more than {MAX_EXTENSIONS}")
        reader = listed.enter(SEQUENCE)
        kind = reader.object_identifier()
        # DER omits the default, but many encoders write `critical FALSE`.
        is_critical = reader.next_tag == BOOLEAN and reader.boolean()
        extensions.append(Extension(kind, is_critical, reader.string(OCTET_STRING)))
        reader.finish()
    return tuple(extensions)


def find(extensions: tuple[Extension, ...], kind: bytes, read: Callable[[DerReader], T]) -> "T | Absence":
    """Return the value of the extension of `kind`, parsed by `read`.

    Args:
        extensions: of one certificate.
        kind: the content of the object identifier.
        read: parses the beginning of its value; like in OpenSSL, the rest is ignored.
    """
    listed = [each.value for each in extensions if each.kind == kind] if extensions else []
    if not listed:
        return ABSENT
    if len(listed) > 1:
        return UNREADABLE
    try:
        return read(DerReader(listed[0]))
    except MalformedDERError:
        return UNREADABLE


def basic_constraints(reader: DerReader) -> BasicConstraints:
    """Parse basic constraints.

    Raises:
        MalformedDERError: it cannot be read, or its path length is negative.
    """
    content = reader.enter(SEQUENCE)
    is_authority = content.next_tag == BOOLEAN and content.boolean()
    path_length = content.integer() if content.next_tag == INTEGER else None
    content.finish()
    if path_length is not None and path_length < 0:
        raise MalformedDERError("a path length is negative")
    return BasicConstraints(is_authority, path_length)


def key_usage(reader: DerReader) -> KeyUsage:
    """Parse a key usage.

    Raises:
        MalformedDERError: it cannot be read, or allows nothing at all.
    """
    content, _ = reader.bit_string()
    if not any(content):
        raise MalformedDERError("it allows nothing")
    return KeyUsage(*(bool(content[0] & bit) for bit in (0x80, 0x08, 0x04, 0x02)))


def extended_key_usage(reader: DerReader) -> tuple[str, ...]:
    """Parse an extended key usage; return object identifiers with dots.

    Raises:
        MalformedDERError: it cannot be read.
    """
    content, found = reader.enter_list(SEQUENCE), []
    while content.at < content.end:
        found.append(dotted(content.object_identifier()))
    return tuple(found)


def subject_key_identifier(reader: DerReader) -> bytes:
    """Parse a subject key identifier.

    Raises:
        MalformedDERError: it cannot be read.
    """
    return reader.string(OCTET_STRING)


def authority_key_identifier(reader: DerReader) -> bytes | None:
    """Parse an authority key identifier; return its key identifier, None if it has none.

    Raises:
        MalformedDERError: it cannot be read.
    """
    content = reader.enter(SEQUENCE)
    if content.next_tag & ~0x20 != _KEY_IDENTIFIER:
        return None
    return content.string(_KEY_IDENTIFIER)


def netscape_certificate_type(reader: DerReader) -> int:
    """Parse an old Netscape certificate type; return its first eight bits, the first one is 0x80.

    Raises:
        MalformedDERError: it cannot be read.
    """
    content, _ = reader.bit_string()
    return content[0] if content else 0


def _sequence(reader: DerReader) -> None:
    """Check only that it is a sequence of elements."""
    content = reader.enter(SEQUENCE)
    while content.at < content.end:
        content.read()


READERS: Final[Mapping[bytes, tuple[str, Callable[[DerReader], object]]]] = MappingProxyType(
    {
        BASIC_CONSTRAINTS: ("basic constraints", basic_constraints),
        KEY_USAGE: ("key usage", key_usage),
        EXTENDED_KEY_USAGE: ("extended key usage", extended_key_usage),
        SUBJECT_KEY_IDENTIFIER: ("subject key identifier", subject_key_identifier),
        AUTHORITY_KEY_IDENTIFIER: ("authority key identifier", authority_key_identifier),
        SUBJECT_ALTERNATIVE_NAME: ("subject alternative name", _sequence),
        NAME_CONSTRAINTS: ("name constraints", _sequence),
        CRL_DISTRIBUTION_POINTS: ("CRL distribution points", _sequence),
        NETSCAPE_CERTIFICATE_TYPE: ("Netscape certificate type", netscape_certificate_type),
    }
)
"""The extensions that OpenSSL reads in every certificate of a chain: their names, and their parsers."""


def first_unreadable(extensions: tuple[Extension, ...]) -> str | None:
    """Return the name of an unreadable extension, for which OpenSSL accepts no chain; None if there is none."""
    return next((name for kind, (name, read) in READERS.items() if find(extensions, kind, read) is UNREADABLE), None)
