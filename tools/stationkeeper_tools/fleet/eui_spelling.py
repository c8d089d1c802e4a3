"""Read the EUI of a gateway in any form that people and vendors use."""

import re

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex, parse_hex, parse_router

_PAIRS = re.compile(r"[0-9A-Fa-f]{2}(?:([-:. ])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){6})")
_QUADS = re.compile(r"[0-9A-Fa-f]{4}(?:([-:. ])[0-9A-Fa-f]{4}(?:\1[0-9A-Fa-f]{4}){2})")
_SEPARATORS = re.compile(r"[-:. ]")
_MAC_DIGITS, _EUI_DIGITS = 12, 16
_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)?[eE][+-]?[0-9]+")
_MAX_CHARACTERS = 64


def read_eui(text: str) -> EUI64:
    """Return the EUI that `text` names.

    Args:
        text: 16 hex digits in any case, with or without `0x`; pairs or groups of four with dashes, colons, dots or
            spaces; or an ID6 as a Basics Station prints it (`102:304:506:708`).

    Raises:
        ValueError: it is none of these; says what to write.
    """
    trimmed = text.strip().strip("'\"").strip()
    digits = trimmed[2:] if trimmed[:2] in {"0x", "0X"} else trimmed
    if _PAIRS.fullmatch(digits) or _QUADS.fullmatch(digits):
        digits = _SEPARATORS.sub("", digits)
    found = parse_hex(digits)
    if found is not None:
        return found
    try:
        return parse_router(digits)
    except StationkeeperError:
        raise ValueError(f"{text.strip()[:_MAX_CHARACTERS]!a} is not an EUI-64: {_advice(digits)}") from None


def _advice(digits: str) -> str:
    if _NUMBER.fullmatch(digits):
        return "a spreadsheet took it for a number; format the column as text and enter the EUI again"
    bare = _SEPARATORS.sub("", digits)
    if not re.fullmatch(r"[0-9A-Fa-f]+", bare):
        return "write 16 hex digits"
    if len(bare) == _MAC_DIGITS:
        guess = format_hex(EUI64(int(f"{bare[:6]}FFFE{bare[6:]}", 16)))
        return f"it is a MAC address of 48 bits; write the EUI-64 that the gateway has, which is often {guess}"
    if len(bare) < _EUI_DIGITS:
        zeros = f"{bare:0>16}".upper()
        return f"it has {len(bare)} of 16 hex digits; if a spreadsheet dropped the zeros in front, write {zeros}"
    return f"it has {len(bare)} hex digits, write 16"
