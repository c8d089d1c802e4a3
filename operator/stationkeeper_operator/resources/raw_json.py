"""Read untrusted JSON text."""

from typing import Any

import msgspec

UNDECODABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""The exceptions of decoding."""


def convert(value: object, kind: Any) -> Any:
    """Return a decoded value as a `kind`; None if it is not one."""
    try:
        return msgspec.convert(value, type=kind)
    except UNDECODABLE:
        return None


def object_of(raw: bytes | msgspec.Raw) -> dict[str, Any]:
    """Return the object in a JSON text; an empty one if the text is not an object."""
    try:
        value = msgspec.json.decode(raw)
    except UNDECODABLE:
        return {}
    return value if isinstance(value, dict) else {}
