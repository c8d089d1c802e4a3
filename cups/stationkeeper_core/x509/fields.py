"""Split a certificate into its fields: bounded, and as tolerant as OpenSSL.

Each field is read separately, so that an error can name it. The meaning of fields is not interpreted here.
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
# The form in which nearly every certificate writes it.
_VERSION_3 = element(_VERSION, element(INTEGER, b"\2"))


class UnreadableFieldError(ValueError):
    """A field of a certificate or CRL cannot be read; the message begins with its name."""


class CertificateFields(msgspec.Struct, frozen=True):
    """The fields of a certificate.

    Attributes:
        signed: the signed part, as encoded.
        version: 1 for X.509 v1, 3 for v3.
        serial_number: may be zero or negative.
        inner_algorithm: AlgorithmIdentifier in the signed part, as encoded.
        issuer: the issuer's name.
        not_before, not_after: the first and the last second at which it is valid; aware.
        subject: the subject's name.
        public_key: SubjectPublicKeyInfo, as encoded.
        extensions: in their order.
        signature_algorithm: AlgorithmIdentifier next to the signature, as encoded.
        signature: the signature's bytes.
        has_strict_envelope: whether the parts without a signature are strict DER.
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
    """The common structure of a certificate and a CRL: a signed part, and the signature.

    Attributes:
        signed: the signed part, as encoded.
        content: a reader of the signed part.
        algorithm: AlgorithmIdentifier next to the signature, as encoded.
        signature: the signature's bytes.
        is_strict: whether the parts without a signature are strict DER.
    """

    signed: bytes
    content: DerReader
    algorithm: bytes
    signature: bytes
    is_strict: bool


def read_fields(der: bytes) -> CertificateFields:
    """Return the fields of the certificate; `der` must be exactly one certificate.

    Raises:
        UnreadableFieldError: a field cannot be read; the message says which and why.
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
    """Return only the issuer of a certificate.

    Args:
        der: a certificate.
        most: the maximum bytes of the name.

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
    """Split a signed object into its signed part and its signature.

    Raises:
        MalformedDERError: `der` is not exactly one signed object.
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
    """Read the next element; return it as encoded.

    Raises:
        MalformedDERError: there is none.
    """
    begin = reader.at
    reader.read()
    return reader.data[begin : reader.at]


def read_time(reader: DerReader) -> datetime:
    """Read a time in the only form that OpenSSL accepts in a chain: to the second, in UTC.

    The year 0 becomes the year 1, the first year of a `datetime`.

    Raises:
        MalformedDERError: it is not such a time.
    """
    tag, start, stop = reader.read()
    if tag in {UTC_TIME, GENERALIZED_TIME}:
        text = reader.data[start:stop]
    elif tag & ~_CONSTRUCTED in {UTC_TIME, GENERALIZED_TIME}:
        tag, text = tag & ~_CONSTRUCTED, segments(reader.data, start, stop)
    else:
        raise MalformedDERError("a time has the wrong tag")
    size = _UTC_DIGITS if tag == UTC_TIME else _GENERALIZED_DIGITS
    # `bytes.isdigit` knows only ASCII.
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
        raise MalformedDERError("a time is not a valid date") from None
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
    """Return whether OpenSSL would write an AlgorithmIdentifier in the same way; OpenSSL keeps the bytes of a sequence.

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
