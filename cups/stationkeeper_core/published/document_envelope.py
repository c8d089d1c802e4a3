"""The envelope of a document: a header line, then the payload as a compressed stream."""

import hashlib
import zlib

import msgspec

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.published.document_segments import compress
from stationkeeper_core.published.registry_layout import BUCKETS, place_of

CONTRACT = 2
READABLE_CONTRACTS = (1, CONTRACT)
"""Older contracts that are still read, so that a new operator keeps the documents of an older one in force."""
MAX_SECRET_BYTES = 1_000_000
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
MAX_GENERATION = 2**63 - 1

_MAX_HEADER_BYTES = 1024


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a document.

    Attributes:
        contract: the version of the contract, for the whole document.
        document: the document's name.
        generation: rises with every change of this document; from 0 to `MAX_GENERATION`.
        sha256: of the uncompressed payload, lower-case hex.
        buckets: the number of registry documents, as in the name of a registry document. Always `BUCKETS` in the trust
            document, which is the same for all counts.
    """

    contract: int
    document: str
    generation: int
    sha256: str
    buckets: int = BUCKETS


def digest(payload: bytes) -> str:
    """Return the digest by which payloads are compared: SHA-256 in lower-case hex."""
    return hashlib.sha256(payload).hexdigest()


def encode(document: str, generation: int, payload: bytes) -> bytes:
    """Return the value of the Secret's key for a payload from `encode_payload`.

    Raises:
        StationkeeperError: `CapacityExceeded`: it does not fit into a Secret.
    """
    header = Header(
        contract=CONTRACT,
        document=document,
        generation=generation,
        sha256=digest(payload),
        buckets=_count(document),
    )
    value = msgspec.json.encode(header) + b"\n" + compress(payload)
    if len(value) > MAX_SECRET_BYTES or len(payload) > MAX_PAYLOAD_BYTES:
        raise StationkeeperError(
            Reason.CAPACITY_EXCEEDED,
            f"{document} has {len(value)} bytes, at most {MAX_SECRET_BYTES} fit into a Secret",
        )
    return value


def open_document(document: str, value: bytes) -> tuple[Header, bytes]:
    """Return the header and the uncompressed payload of a document; the payload's content is not checked.

    Args:
        document: the name that it must have.
        value: the content of the Secret's key or of the file.

    Raises:
        StationkeeperError: `MalformedDocument`, `UnknownContract`, `WrongDocument` or `DigestMismatch`.
    """
    header, stream = _opened(document, value)
    payload = _inflate(document, stream)
    if digest(payload) != header.sha256:
        raise StationkeeperError(Reason.DIGEST_MISMATCH, f"{document} does not have the digest in its header")
    return header, payload


def read_header(document: str, value: bytes) -> Header:
    """Return the header of a document; its payload is not looked at.

    Args:
        document: the name that it must have.
        value: the content of the Secret's key or of the file.

    Raises:
        StationkeeperError: `MalformedDocument`, `UnknownContract` or `WrongDocument`.
    """
    header, _ = _opened(document, value)
    return header


def _opened(document: str, value: bytes) -> tuple[Header, bytes]:
    if len(value) > MAX_SECRET_BYTES:
        raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"{document} has {len(value)} bytes")
    line, newline, stream = value.partition(b"\n")
    if not newline or len(line) > _MAX_HEADER_BYTES:
        raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"{document} has no header")
    return _header(document, line), stream


def _count(document: str) -> int:
    place = place_of(document)
    return place[0] if place is not None else BUCKETS


def _header(document: str, line: bytes) -> Header:
    try:
        contract = msgspec.json.decode(line, type=dict[str, msgspec.Raw]).get("contract")
        if contract is not None and msgspec.json.decode(contract) not in READABLE_CONTRACTS:
            raise StationkeeperError(
                Reason.UNKNOWN_CONTRACT,
                f"{document} has contract {bytes(contract)[:20]!r}, this is {CONTRACT}",
            )
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"the header of {document}: {error}") from None
    if (header.document, header.buckets) != (document, _count(document)):
        raise StationkeeperError(
            Reason.WRONG_DOCUMENT,
            f"{header.document[:40]!a} of {header.buckets} buckets is in place of {document} of {_count(document)}",
        )
    if not 0 <= header.generation <= MAX_GENERATION:
        raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"{document} has an invalid generation")
    return header


def _inflate(document: str, stream: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        payload = inflater.decompress(stream, MAX_PAYLOAD_BYTES)
    except zlib.error as error:
        raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"the payload of {document}: {error}") from None
    if not inflater.eof or inflater.unused_data:
        raise StationkeeperError(Reason.MALFORMED_DOCUMENT, f"the payload of {document} is cut short or too long")
    return payload
