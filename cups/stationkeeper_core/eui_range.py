"""Ranges of EUIs: a prefix and the number of its leading bits, such as `0102030405000000/40`."""

from dataclasses import dataclass

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, parse_hex

_BITS = 64


@dataclass(frozen=True, order=True)
class EUIRange:
    """All EUIs that share the leading `bits` of `prefix`."""

    prefix: int
    bits: int

    def __contains__(self, eui: EUI64) -> bool:
        shift = _BITS - self.bits
        return eui >> shift == self.prefix >> shift

    def __str__(self) -> str:
        return f"{self.prefix:016X}/{self.bits}"


def parse_range(text: str) -> EUIRange:
    """Parse a range: 16 hex digits, a slash, and the number of leading bits (0 to 64); the bits after them are zero.

    Raises:
        StationkeeperError: `EUIRangeInvalid`.
    """
    prefix, _, bits = text.partition("/")
    eui = parse_hex(prefix)
    if eui is None or not (bits.isascii() and bits.isdigit() and len(bits) <= 2) or int(bits) > _BITS:  # noqa: PLR2004
        raise StationkeeperError(
            Reason.EUI_RANGE_INVALID,
            f"{text[:40]!a} is not 16 hex digits, a slash and a number of bits up to 64",
        )
    parsed = EUIRange(eui, int(bits))
    if eui & ((1 << (_BITS - parsed.bits)) - 1):
        raise StationkeeperError(Reason.EUI_RANGE_INVALID, f"{text!a} has bits set after the first {parsed.bits}")
    return parsed
