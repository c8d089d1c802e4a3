"""Split a certificate revocation list into its fields: bounded, and as tolerant as OpenSSL.

`stationkeeper_core.x509.crl` interprets the fields. The revocation dates are not read.
Source: RFC 5280, section 5; OpenSSL, `crypto/x509/x_crl.c`.
"""

from datetime import datetime
from typing import NamedTuple

from stationkeeper_core.x509.der_reader import (
    CONSTRUCTED,
    GENERALIZED_TIME,
    INTEGER,
    SEQUENCE,
    UTC_TIME,
    DerReader,
    MalformedDERError,
)
from stationkeeper_core.x509.extensions import Extension, read_extensions
from stationkeeper_core.x509.fields import UnreadableFieldError, open_envelope, read_time, take
from stationkeeper_core.x509.names import Name, read_name
from stationkeeper_core.x509.signatures import SignatureAlgorithm, read_signature_algorithm

_EXTENSIONS = 0xA0
_TIMES = {UTC_TIME, GENERALIZED_TIME}


class CrlFields(NamedTuple):
    """The fields of a list.

    Attributes:
        signed: the signed part, as encoded.
        issuer: the issuer's name.
        this_update, next_update: when it was made and when the next one is due, aware; None if it does not say.
        serials: of the revoked certificates, in their order.
        entry_extensions: the extensions of all entries.
        extensions: the extensions of the list.
        algorithm: the signature algorithm.
        signature: the signature's bytes.
    """

    signed: bytes
    issuer: Name
    this_update: datetime
    next_update: datetime | None
    serials: tuple[int, ...]
    entry_extensions: tuple[Extension, ...]
    extensions: tuple[Extension, ...]
    algorithm: SignatureAlgorithm
    signature: bytes


class TooManyEntriesError(ValueError):
    """A list has too many entries."""


def read_crl_fields(der: bytes, max_entries: int) -> CrlFields:
    """Return the fields of the list; `der` must be exactly one list.

    Raises:
        UnreadableFieldError: a field cannot be read; the message says which and why.
        TooManyEntriesError: there are more than `max_entries`.
    """
    field = "outer form"
    try:
        envelope = open_envelope(der)
        content = envelope.content
        field = "version"
        if content.next_tag == INTEGER:
            content.integer()
        field = "signature algorithm"
        algorithm = _algorithm(take(content), envelope.algorithm)
        field = "issuer"
        issuer = read_name(take(content))
        field = "thisUpdate"
        this_update = read_time(content)
        field = "nextUpdate"
        next_update = read_time(content) if content.next_tag & ~CONSTRUCTED in _TIMES else None
        field = "list of entries"
        serials, entry_extensions = _entries(content, max_entries)
        field = "list of extensions"
        extensions = _extensions(content)
        content.finish()
    except MalformedDERError as error:
        raise UnreadableFieldError(f"{field} cannot be read: {error}") from None
    return CrlFields(
        envelope.signed,
        issuer,
        this_update,
        next_update,
        serials,
        entry_extensions,
        extensions,
        algorithm,
        envelope.signature,
    )


def _algorithm(inner: bytes, outer: bytes) -> SignatureAlgorithm:
    algorithm = read_signature_algorithm(inner)
    if algorithm != read_signature_algorithm(outer):
        raise MalformedDERError("it differs between the signed part and the signature")
    return algorithm


def _entries(content: DerReader, max_entries: int) -> tuple[tuple[int, ...], tuple[Extension, ...]]:
    if content.next_tag | CONSTRUCTED != SEQUENCE:
        return (), ()
    listed = content.enter_list(SEQUENCE)
    serials: list[int] = []
    extensions: list[Extension] = []
    while listed.at < listed.end:
        if len(serials) == max_entries:
            raise TooManyEntriesError(f"it has more than {max_entries} entries")
        entry = listed.enter(SEQUENCE)
        serials.append(entry.integer())
        if entry.next_tag & ~CONSTRUCTED not in _TIMES:
            raise MalformedDERError("an entry has no time")
        entry.read()
        if entry.at < entry.end:
            extensions.extend(read_extensions(entry.enter_list(SEQUENCE)))
            entry.finish()
    return tuple(serials), tuple(extensions)


def _extensions(content: DerReader) -> tuple[Extension, ...]:
    if content.next_tag != _EXTENSIONS:
        return ()
    explicit = content.enter(_EXTENSIONS)
    found = read_extensions(explicit.enter_list(SEQUENCE))
    explicit.finish()
    return found
