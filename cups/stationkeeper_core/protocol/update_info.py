"""The wire format of `/update-info`, both directions, as bytes.

Sans-I/O: `parse_request` takes the body of a request, and `encode_response` gives the body of an answer. Parsing is
bounded: any bytes give an `UpdateInfoRequest` or a `StationkeeperError` with a reason of `Fault.REQUEST`.
Source: the CUPS protocol of LoRa Basics Station, request and response.
"""

import json
import struct
from functools import lru_cache
from typing import Any

import msgspec

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, parse_router

MAX_BODY_BYTES = 16 * 1024
MAX_URI_BYTES = 127
MAX_CREDENTIALS_BYTES = 65_535
MAX_KEYS = 64
NO_CHANGE = bytes(14)

_MAX_TEXT = 256
_MAX_REMEMBERED_BYTES = 512
_U32_MAX = 0xFFFF_FFFF
_JSON = json.JSONDecoder(strict=False)
_NEITHER_SIGNATURE_NOR_UPDATE = struct.pack("<II", 0, 0)


class UpdateInfoRequest(msgspec.Struct, frozen=True):
    """The report of a gateway.

    Attributes:
        router: the EUI that the gateway claims.
        cups_uri, tc_uri: its URIs; None if it has or reports none.
        cups_credentials_crc, tc_credentials_crc: CRC-32 of its regular credential sets, None if not reported.
        station, model, package: its software and hardware, for people; cut at 256 characters; None if not reported
            as text.
        keys: CRC-32 of each of its signature keys.
    """

    router: EUI64
    cups_uri: str | None = None
    tc_uri: str | None = None
    cups_credentials_crc: int | None = None
    tc_credentials_crc: int | None = None
    station: str | None = None
    model: str | None = None
    package: str | None = None
    keys: tuple[int, ...] = ()


class UpdateInfoResponse(msgspec.Struct, frozen=True):
    """The changes for the gateway; an empty field changes nothing.

    There is no field for an update of the gateway's software: a gateway without a signature key executes unsigned
    updates.
    """

    cups_uri: str = ""
    tc_uri: str = ""
    cups_credentials: bytes = b""
    tc_credentials: bytes = b""


NOTHING = UpdateInfoResponse()


def parse_request(body: bytes) -> UpdateInfoRequest:
    """Parse the body of a request.

    Only `router` is required. Texts for people are parsed leniently, so that a gateway is not stranded by the name of
    its package. Fields that decide the answer are parsed strictly.

    Raises:
        StationkeeperError: `RequestTooLarge`, `MalformedRequest`, `RouterMissing` or `RouterUnparsable`.
    """
    if len(body) > MAX_BODY_BYTES:
        raise StationkeeperError(
            Reason.REQUEST_TOO_LARGE, f"the body has {len(body)} bytes, at most {MAX_BODY_BYTES} are read"
        )
    # A gateway without changes reports the same each time.
    return _remembered(body) if len(body) <= _MAX_REMEMBERED_BYTES else _parse(body)


def _parse(body: bytes) -> UpdateInfoRequest:
    fields = _json_object(body)
    router = fields.get("router")
    if router is None:
        raise StationkeeperError(Reason.ROUTER_MISSING, "the body has no router")
    if not isinstance(router, str):
        raise StationkeeperError(Reason.ROUTER_UNPARSABLE, f"router is {_kind(router)}, not a string")
    return UpdateInfoRequest(
        router=parse_router(router),
        cups_uri=_uri(fields, "cupsUri"),
        tc_uri=_uri(fields, "tcUri"),
        cups_credentials_crc=_u32_field(fields, "cupsCredCrc"),
        tc_credentials_crc=_u32_field(fields, "tcCredCrc"),
        station=_text(fields, "station"),
        model=_text(fields, "model"),
        package=_text(fields, "package"),
        keys=_keys(fields),
    )


_remembered = lru_cache(maxsize=2048)(_parse)


def encode_response(response: UpdateInfoResponse) -> bytes:
    """Return the body of an answer, at least 14 bytes; all integers are little endian.

    Raises:
        ValueError: a field is larger than its length field or the client allows; published fields never are.
    """
    if response == NOTHING:
        # Nearly every answer.
        return NO_CHANGE
    segments = [
        _segment("B", response.cups_uri.encode("ascii"), MAX_URI_BYTES),
        _segment("B", response.tc_uri.encode("ascii"), MAX_URI_BYTES),
        _segment("H", response.cups_credentials, MAX_CREDENTIALS_BYTES),
        _segment("H", response.tc_credentials, MAX_CREDENTIALS_BYTES),
    ]
    return b"".join((*segments, _NEITHER_SIGNATURE_NOR_UPDATE))


def decode_response(body: bytes) -> UpdateInfoResponse:
    """Parse the body of an answer, the inverse of `encode_response`; for tools and tests that act as a gateway.

    Raises:
        ValueError: `body` is cut short, holds more than an answer, or holds an update.
    """
    fields: list[bytes] = []
    rest = memoryview(body)
    for code in ("B", "B", "H", "H", "I", "I"):
        size = struct.calcsize(f"<{code}")
        if len(rest) < size:
            raise ValueError("the answer is cut short within a length")
        (length,) = struct.unpack(f"<{code}", rest[:size])
        if len(rest) < size + length:
            raise ValueError("the answer is cut short within a segment")
        fields.append(bytes(rest[size : size + length]))
        rest = rest[size + length :]
    cups_uri, tc_uri, cups_credentials, tc_credentials, signature, update = fields
    if len(rest):
        raise ValueError(f"{len(rest)} bytes follow the answer")
    if signature or update:
        raise ValueError("the answer holds an update, which this server never sends")
    return UpdateInfoResponse(cups_uri.decode("ascii"), tc_uri.decode("ascii"), cups_credentials, tc_credentials)


def _segment(code: str, content: bytes, limit: int) -> bytes:
    if len(content) > limit:
        raise ValueError(f"a segment of {len(content)} bytes, at most {limit} fit")
    return struct.pack(f"<{code}", len(content)) + content


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        # The tolerant decoder accepts all that this fast decoder accepts, with the same result.
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = _tolerantly_decoded(body)
    if not isinstance(value, dict):
        raise StationkeeperError(Reason.MALFORMED_REQUEST, f"the body is {_kind(value)}, not an object")
    return value


def _tolerantly_decoded(body: bytes) -> object:
    # `package` passes raw bytes of the gateway's file: not always UTF-8, and control characters unescaped. Home-made
    # clients send a byte order mark, or the zero byte that ends a string in C.
    text = body.decode("utf-8", errors="replace").removeprefix("\ufeff").rstrip("\0")
    try:
        return _JSON.decode(text)
    except RecursionError:
        raise StationkeeperError(Reason.MALFORMED_REQUEST, "the body is nested too deeply") from None
    except ValueError as error:
        raise StationkeeperError(Reason.MALFORMED_REQUEST, f"the body is not JSON: {error}") from None


def _uri(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise StationkeeperError(Reason.MALFORMED_REQUEST, f"{name} is {_kind(value)}, not a string")
    return value


def _u32_field(fields: dict[str, Any], name: str) -> int | None:
    value = fields.get(name)
    return None if value is None else _u32(value, name)


def _u32(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _U32_MAX:
        raise StationkeeperError(Reason.MALFORMED_REQUEST, f"{name} is not an unsigned 32-bit number")
    return value


def _keys(fields: dict[str, Any]) -> tuple[int, ...]:
    value = fields.get("keys")
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_KEYS:
        raise StationkeeperError(Reason.MALFORMED_REQUEST, f"keys is not a list of at most {MAX_KEYS} numbers")
    return tuple(_u32(entry, "an entry of keys") for entry in value)


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value[:_MAX_TEXT] if isinstance(value, str) else None


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
