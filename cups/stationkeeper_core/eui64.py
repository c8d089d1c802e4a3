"""EUI-64 of a gateway, in the forms that the protocol uses.

An `EUI64` is a plain `int` below 2**64 once parsed, so that no comparison depends on case or separators.
Source: the CUPS protocol, request field `router`; ID6 as Basics Station prints it.
"""

import re
from typing import NewType

from stationkeeper_core.errors import Reason, StationkeeperError

EUI64 = NewType("EUI64", int)

_HEX16 = re.compile(r"[0-9A-Fa-f]{16}")
_SEPARATED = re.compile(r"[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){7}|[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){7}")
_ID6_GROUP = re.compile(r"[0-9A-Fa-f]{1,4}")
_GROUPS = 4
_MAC_BITS = 48


def parse_hex(text: str) -> EUI64 | None:
    """Return the EUI in a text of exactly 16 hex digits, upper or lower case; None for any other text."""
    return EUI64(int(text, 16)) if _HEX16.fullmatch(text) else None


def eui_asked_by_station(configured: EUI64) -> EUI64:
    """Return the EUI that a Basics Station puts into its requests.

    Args:
        configured: the EUI in the gateway's own settings. If its upper 16 bits are zero, a Station reads it as a MAC of
            48 bits, and inserts FFFE in its middle: 0000AABB0000CCDD becomes AABB00FFFE00CCDD (seen with Station
            2.0.6).
    """
    if configured >> _MAC_BITS:
        return configured
    half = _MAC_BITS // 2
    return EUI64(configured >> half << 40 | 0xFFFE << half | configured & ((1 << half) - 1))


def parse_router(text: str) -> EUI64:
    """Return the EUI that a request's `router` names.

    Args:
        text: ID6 (`102:304:506:708`, `aabb::1`) or eight pairs of hex digits, all with dashes or all with colons;
            in any case. A 48-bit MAC and bare hex digits are refused, as other CUPS servers do.

    Raises:
        StationkeeperError: `RouterUnparsable`.
    """
    if _SEPARATED.fullmatch(text):
        return EUI64(int(text.replace("-", "").replace(":", ""), 16))
    groups = _id6_groups(text)
    if groups is None:
        raise StationkeeperError(
            Reason.ROUTER_UNPARSABLE, f"router {text[:64]!a} is neither an ID6 nor a separated EUI-64"
        )
    value = 0
    for group in groups:
        value = value << 16 | int(group, 16)
    return EUI64(value)


def _id6_groups(text: str) -> list[str] | None:
    head, gap, tail = text.partition("::")
    left = head.split(":") if head else []
    right = tail.split(":") if tail else []
    missing = _GROUPS - len(left) - len(right)
    if missing < (1 if gap else 0) or (missing and not gap):
        return None
    groups = [*left, *["0"] * missing, *right]
    return groups if all(map(_ID6_GROUP.fullmatch, groups)) else None


def format_hex(eui: EUI64) -> str:
    """Return the EUI as 16 upper-case hex digits, the form of the resources and the log."""
    return f"{eui:016X}"


def format_id6(eui: EUI64) -> str:
    """Return the EUI as ID6: four groups without leading zeros; `::` stands for the longest run of zero groups."""
    groups = [f"{eui >> shift & 0xFFFF:x}" for shift in (48, 32, 16, 0)]
    for length in range(_GROUPS, 1, -1):
        for start in range(_GROUPS - length + 1):
            if groups[start : start + length] == ["0"] * length:
                return f"{':'.join(groups[:start])}::{':'.join(groups[start + length :])}"
    return ":".join(groups)
