"""Extensions of certificates as facts.

The list is read when the certificate is, the content of one only when it is asked for. One that is there twice, or
cannot be read, is `UNREADABLE`: OpenSSL takes no chain with such a certificate, so nothing is concluded from it.
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
    """Why nothing can be said of an extension."""

    ABSENT = "absent"
    UNREADABLE = "unreadable"


Found: TypeAlias = T | Absence
ABSENT: Literal[Absence.ABSENT] = Absence.ABSENT
UNREADABLE: Literal[Absence.UNREADABLE] = Absence.UNREADABLE


class Extension(NamedTuple):
    """One extension.

    Attributes:
        kind: the content of its object identifier.
        is_critical: whether it has to be understood.
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
    """Whether a certificate may issue others.

    Attributes:
        is_authority: CA:TRUE.
        path_length: how many CAs may follow below it; None for any number.
    """

    is_authority: bool
    path_length: int | None


class KeyUsage(NamedTuple):
    """What a key may be used for; only what is asked for here."""

    digital_signature: bool
    key_agreement: bool
    key_cert_sign: bool
    crl_sign: bool


def read_extensions(listed: DerReader) -> tuple[Extension, ...]:
    """The extensions of a sequence.

    Args:
        listed: reads the content of the sequence.

    Raises:
        MalformedDERError: one is not in the form of an extension, or there are more than `MAX_EXTENSIONS`.
    """
    found: list[Extension] = []
    while listed.at < listed.end:
        if len(found) == MAX_EXTENSIONS:
            raise MalformedDERError(f"there are more than {MAX_EXTENSIONS}")
        reader = listed.enter(SEQUENCE)
        kind = reader.object_identifier()
        # DER leaves out what is the default, yet `critical FALSE` is written by many.
        is_critical = reader.next_tag == BOOLEAN and reader.boolean()
        found.append(Extension(kind, is_critical, reader.string(OCTET_STRING)))
        reader.finish()
    return tuple(found)


def find(extensions: tuple[Extension, ...], kind: bytes, read: Callable[[DerReader], T]) -> "T | Absence":
    """What the extension of `kind` says, as `read` reads it.

    Args:
        extensions: of one certificate.
        kind: the content of the object identifier.
        read: from the beginning of its value; what follows there is passed over, as by OpenSSL.
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
    """The content of that extension.

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
    """The content of that extension.

    Raises:
        MalformedDERError: it cannot be read, or allows nothing at all.
    """
    content, _ = reader.bit_string()
    if not any(content):
        raise MalformedDERError("it allows nothing")
    return KeyUsage(*(bool(content[0] & bit) for bit in (0x80, 0x08, 0x04, 0x02)))


def extended_key_usage(reader: DerReader) -> tuple[str, ...]:
    """The content of that extension: object identifiers with dots.

    Raises:
        MalformedDERError: it cannot be read.
    """
    content, found = reader.enter_list(SEQUENCE), []
    while content.at < content.end:
        found.append(dotted(content.object_identifier()))
    return tuple(found)


def subject_key_identifier(reader: DerReader) -> bytes:
    """The content of that extension.

    Raises:
        MalformedDERError: it cannot be read.
    """
    return reader.string(OCTET_STRING)


def authority_key_identifier(reader: DerReader) -> bytes | None:
    """The key identifier in that extension, None where it names none.

    Raises:
        MalformedDERError: it cannot be read.
    """
    content = reader.enter(SEQUENCE)
    if content.next_tag & ~0x20 != _KEY_IDENTIFIER:
        return None
    return content.string(_KEY_IDENTIFIER)


def netscape_certificate_type(reader: DerReader) -> int:
    """The content of that old extension: its first eight bits, the first one being 0x80.

    Raises:
        MalformedDERError: it cannot be read.
    """
    content, _ = reader.bit_string()
    return content[0] if content else 0


def _sequence(reader: DerReader) -> None:
    """Look only whether it is a sequence of elements."""
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
"""The extensions that OpenSSL reads of every certificate in a chain: what they are called, and how they are read."""


def first_unreadable(extensions: tuple[Extension, ...]) -> str | None:
    """The name of an extension for which OpenSSL takes no chain with the certificate; None where there is none."""
    return next((name for kind, (name, read) in READERS.items() if find(extensions, kind, read) is UNREADABLE), None)
