"""A registry document into a bucket of packed gateways, piece by piece.

A document may hold a hundred thousand records. To decode it in one call would keep the interpreter from answering
gateways for as long; so its records are decoded some hundred at a time, each as strictly as the whole would be. What
cannot be cut into pieces as `encode_payload` writes it, and what is refused in a piece, is decoded as a whole: that
says what is wrong, or takes what is only written in another way.
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
# A quote inside of a JSON string is escaped, so that this stands between two records only.
_BETWEEN = b'},{"eui":"'
_RECORDS = msgspec.json.Decoder(tuple[RegisteredGateway, ...])


class _OtherFormError(ValueError):
    """The payload is not as `encode_payload` writes it."""


def read_registry(document: str, header: Header, payload: bytes) -> RegistryBucket:
    """Return the bucket that a payload holds.

    Args:
        document: the name of it.
        header: of it.
        payload: uncompressed; its digest is the header's.

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
    # The parts around the records make a document without any.
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
    """The records between two places, some at a time, each piece a JSON array."""
    while begin < end:
        cut = payload.find(_BETWEEN, min(begin + PIECE_BYTES, end), end)
        until = end if cut < 0 else cut + 1
        yield b"[" + payload[begin:until] + b"]"
        begin = until + 1
