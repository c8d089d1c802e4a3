"""Decode a registry document into a bucket of packed gateways, piece by piece.

A document may hold a hundred thousand records. One call that decodes all of them would block the interpreter, and CUPS
would not answer gateways during that time. So some hundred records are decoded at a time, as strictly as the whole
document. A payload that is not in the form of `encode_payload`, or with a piece that is refused, is decoded as a whole:
this gives the exact error, or accepts a different but valid form.
"""

from collections.abc import Iterator

import msgspec

from stationkeeper_core.in_force.gateway_registry import RegistryBucket
from stationkeeper_core.published.documents import (
    Header,
    RegisteredGateway,
    RegistryDocument,
    bucket_check,
    decode_registry,
)
from stationkeeper_core.published.packed_gateways import GatewayPacker

PIECE_BYTES = 64 * 1024

_GATEWAYS, _RESERVED = b'"gateways":[', b'],"reserved":['
# A quote inside a JSON string is escaped, so this occurs only between two records.
_BETWEEN = b'},{"eui":"'
_RECORDS = msgspec.json.Decoder(tuple[RegisteredGateway, ...])


class _OtherFormError(ValueError):
    """The payload does not have the form that `encode_payload` writes."""


def read_registry(document: str, header: Header, payload: bytes) -> RegistryBucket:
    """Return the bucket in a payload.

    Args:
        document: the document's name.
        header: the document's header.
        payload: uncompressed; its digest is that of the header.

    Raises:
        StationkeeperError: `MalformedDocument` or `WrongDocument`.
    """
    try:
        return _read_in_pieces(document, header, payload)
    except (_OtherFormError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        content = decode_registry(document, payload)
        return RegistryBucket.of_document(content, header.generation, header.sha256)


def _read_in_pieces(document: str, header: Header, payload: bytes) -> RegistryBucket:
    begin, end = payload.find(_GATEWAYS, 0, 64), payload.rfind(_RESERVED)
    if begin < 0 or end < begin:
        raise _OtherFormError
    # The parts around the records form a document without records.
    rest = payload[: begin + len(_GATEWAYS)] + payload[end:]
    content = msgspec.json.decode(rest, type=RegistryDocument)
    check = bucket_check(document, content)
    for reserved in content.reserved:
        check(reserved)
    packer = GatewayPacker()
    for piece in _pieces(payload, begin + len(_GATEWAYS), end):
        for gateway in _RECORDS.decode(piece):
            packer.add(check(gateway), gateway)
    return RegistryBucket(packer.finish(), content.reserved, header.generation, header.sha256)


def _pieces(payload: bytes, begin: int, end: int) -> Iterator[bytes]:
    """Yield the records between two offsets in pieces, each a JSON array."""
    while begin < end:
        cut = payload.find(_BETWEEN, min(begin + PIECE_BYTES, end), end)
        until = end if cut < 0 else cut + 1
        yield b"[" + payload[begin:until] + b"]"
        begin = until + 1
