"""A certificate taken apart into its fields: total and bounded, and as tolerant as OpenSSL.

Each field is read by itself, so that what cannot be read is refused by its name. What a field means is not asked here.
Source: RFC 5280, section 4.1; OpenSSL, `crypto/x509/x_x509.c`.
"""

from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from stationkeeper_core.x509.der import element
from stationkeeper_core.x509.der_reader import (
    BIT_STRING,
    GENERALIZED_TIME,
    INTEGER,
    NULL,
    SEQUENCE,
    UTC_TIME,
    DerReader,
    MalformedDERError,
    segments,
)
from stationkeeper_core.x509.extensions import Extension, read_extensions
from stationkeeper_core.x509.names import Name, read_name

_VERSION, _ISSUER_IDENTIFIER, _SUBJECT_IDENTIFIER, _EXTENSIONS = 0xA0, 0x81, 0x82, 0xA3
_CONSTRUCTED = 0x20
_UTC_DIGITS, _GENERALIZED_DIGITS = 12, 14
_FIRST_YEAR_OF_THE_OTHER_CENTURY = 50
_NULL = element(NULL, b"")
# As nearly every certificate writes it.
_VERSION_3 = element(_VERSION, element(INTEGER, b"\2"))


class UnreadableFieldError(ValueError):
    """A field of a certificate or CRL that cannot be read; the message begins with its name."""


class CertificateFields(msgspec.Struct, frozen=True):
    """The fields of a certificate.

    Attributes:
        signed: the part that is signed, as it is encoded.
        version: 1 for X.509 v1, 3 for v3.
        serial_number: may be zero or negative.
        inner_algorithm: AlgorithmIdentifier within the signed part, as it is encoded.
        issuer: its name.
        not_before, not_after: from when and until when, with that second, it is valid; aware.
        subject: its name.
        public_key: SubjectPublicKeyInfo, as it is encoded.
        extensions: in their order.
        signature_algorithm: AlgorithmIdentifier beside the signature, as it is encoded.
        signature: its bytes.
        has_strict_envelope: whether what is not signed is in DER.
    """

    signed: bytes
    version: int
    serial_number: int
    inner_algorithm: bytes
    issuer: Name
    not_before: datetime
    not_after: datetime
    subject: Name
    public_key: bytes
    extensions: tuple[Extension, ...]
    signature_algorithm: bytes
    signature: bytes
    has_strict_envelope: bool


class Envelope(msgspec.Struct, frozen=True):
    """What a certificate and a CRL have in common: something signed, and the signature.

    Attributes:
        signed: the signed part, as it is encoded.
        content: reads what is in it.
        algorithm: AlgorithmIdentifier beside the signature, as it is encoded.
        signature: its bytes.
        is_strict: whether what is not signed is in DER.
    """

    signed: bytes
    content: DerReader
    algorithm: bytes
    signature: bytes
    is_strict: bool


def read_fields(der: bytes) -> CertificateFields:
    """The fields of the certificate that `der` is, all of it.

    Raises:
        UnreadableFieldError: which one cannot be read, and why.
    """
    field = "outer form"
    try:
        envelope = open_envelope(der)
        content = envelope.content
        field = "version"
        version = _version(content)
        field = "serial number"
        serial_number = content.integer()
        field = "signature algorithm"
        inner_algorithm = take(content)
        if inner_algorithm != envelope.algorithm:
            DerReader(inner_algorithm).enter(SEQUENCE).object_identifier()
        field = "issuer"
        issuer = read_name(take(content))
        field = "validity"
        period = content.enter(SEQUENCE)
        not_before, not_after = read_time(period), read_time(period)
        period.finish()
        field = "subject"
        subject = read_name(take(content))
        field = "public key"
        public_key = take(content)
        field = "list of extensions"
        extensions = _extensions(content)
        content.finish()
    except MalformedDERError as error:
        raise UnreadableFieldError(f"{field} cannot be read: {error}") from None
    return CertificateFields(
        envelope.signed,
        version,
        serial_number,
        inner_algorithm,
        issuer,
        not_before,
        not_after,
        subject,
        public_key,
        extensions,
        envelope.algorithm,
        envelope.signature,
        envelope.is_strict,
    )


def read_issuer(der: bytes, most: int) -> Name:
    """The issuer of the certificate that `der` is, and nothing else of it.

    Args:
        der: a certificate.
        most: bytes of the name.

    Raises:
        MalformedDERError: it cannot be read, or is longer.
    """
    content = DerReader(der)
    content.narrow(SEQUENCE)
    content.narrow(SEQUENCE)
    if content.next_tag == _VERSION:
        content.read()
    content.read()
    content.read()
    name = take(content)
    if len(name) > most:
        raise MalformedDERError("it is longer than it may be")
    return read_name(name)


def open_envelope(der: bytes) -> Envelope:
    """A signed object, taken apart into what is signed and how.

    Raises:
        MalformedDERError: `der` is none, or more than one.
    """
    reader = DerReader(der)
    outer = reader.enter(SEQUENCE)
    if reader.at != reader.end:
        raise MalformedDERError("bytes follow it")
    begin = outer.at
    content = outer.enter(SEQUENCE)
    signed = der[begin : outer.at]
    algorithm = take(outer)
    is_strict_algorithm = _is_strict_algorithm(algorithm)
    signature, unused = outer.bit_string()
    outer.finish()
    strict = element(SEQUENCE, signed + algorithm + element(BIT_STRING, b"\0" + signature))
    is_strict = not unused and der == strict and is_strict_algorithm
    return Envelope(signed, content, algorithm, signature, is_strict)


def take(reader: DerReader) -> bytes:
    """The next element as it is encoded.

    Raises:
        MalformedDERError: there is none.
    """
    begin = reader.at
    reader.read()
    return reader.data[begin : reader.at]


def read_time(reader: DerReader) -> datetime:
    """The next element, a time in the one form with which OpenSSL verifies a chain: to the second, in UTC.

    The year 0 becomes the year 1, which is as far back as a `datetime` goes.

    Raises:
        MalformedDERError: it is none.
    """
    tag, start, stop = reader.read()
    if tag in {UTC_TIME, GENERALIZED_TIME}:
        text = reader.data[start:stop]
    elif tag & ~_CONSTRUCTED in {UTC_TIME, GENERALIZED_TIME}:
        tag, text = tag & ~_CONSTRUCTED, segments(reader.data, start, stop)
    else:
        raise MalformedDERError("a time has the wrong tag")
    size = _UTC_DIGITS if tag == UTC_TIME else _GENERALIZED_DIGITS
    # Of `bytes`, `isdigit` knows ASCII alone.
    if len(text) != size + 1 or text[size:] != b"Z" or not text[:size].isdigit():
        raise MalformedDERError("a time is not written as YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ")
    at = size - 10
    year = int(text[:at])
    if tag == UTC_TIME:
        year += 1900 if year >= _FIRST_YEAR_OF_THE_OTHER_CENTURY else 2000
    try:
        moment = datetime(
            year or 4,  # The year 0 is a leap year, as the year 4 is.
            int(text[at : at + 2]),
            int(text[at + 2 : at + 4]),
            int(text[at + 4 : at + 6]),
            int(text[at + 6 : at + 8]),
            int(text[at + 8 : at + 10]),
            tzinfo=UTC,
        )
    except ValueError:
        raise MalformedDERError("a time is none of the calendar") from None
    return moment if year else datetime.min.replace(tzinfo=UTC)


def _version(content: DerReader) -> int:
    usual = content.at + len(_VERSION_3)
    if content.data[content.at : usual] == _VERSION_3 and usual <= content.end:
        content.at = usual
        return 3
    if content.next_tag != _VERSION:
        return 1
    explicit = content.enter(_VERSION)
    version = explicit.integer() + 1
    explicit.finish()
    return version


def _extensions(content: DerReader) -> tuple[Extension, ...]:
    if content.at == content.end:
        return ()
    for identifier in (_ISSUER_IDENTIFIER, _SUBJECT_IDENTIFIER):
        if content.next_tag | _CONSTRUCTED == identifier | _CONSTRUCTED:
            content.string(identifier)
    if content.next_tag != _EXTENSIONS:
        return ()
    explicit = content.enter(_EXTENSIONS)
    found = read_extensions(explicit.enter_list(SEQUENCE))
    explicit.finish()
    return found


@lru_cache(maxsize=256)
def _is_strict_algorithm(algorithm: bytes) -> bool:
    """Whether OpenSSL would write an AlgorithmIdentifier in the same way: it keeps the bytes of a sequence.

    Raises:
        MalformedDERError: it is none.
    """
    content = DerReader(algorithm).enter(SEQUENCE)
    start, stop = content.at, content.end
    content.object_identifier()
    identifier, parameters = algorithm[start : content.at], algorithm[content.at : stop]
    if parameters not in {b"", _NULL} and parameters[0] != SEQUENCE:
        return False
    if element(SEQUENCE, algorithm[start:stop]) != algorithm:
        return False
    return element(0x06, identifier[2:]) == identifier
