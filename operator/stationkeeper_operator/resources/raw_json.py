"""JSON text that anybody may have written, read as far as it is what is looked for."""

from typing import Any

import msgspec

UNDECODABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What decoding may raise."""


def convert(value: object, kind: Any) -> Any:
    """Return a decoded value as a `kind`; None where it is none."""
    try:
        return msgspec.convert(value, type=kind)
    except UNDECODABLE:
        return None


def object_of(raw: bytes | msgspec.Raw) -> dict[str, Any]:
    """Return the object that a JSON text is; empty where it is none."""
    try:
        value = msgspec.json.decode(raw)
    except UNDECODABLE:
        return {}
    return value if isinstance(value, dict) else {}
