"""Read the EUI of a Station in each form that gateways are labelled with."""

import re

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import EUI64, eui_asked_by_station, parse_hex, parse_router

_MAC = re.compile(r"[0-9A-Fa-f]{12}|[0-9A-Fa-f]{2}(?:([-:])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}")


def parse_gateway_eui(text: str) -> EUI64:
    """Return the EUI that a Station with this label asks with.

    Args:
        text: 16 hex digits; eight pairs of them with dashes or colons; a MAC of 48 bits, with or without such
            separators; or an ID6 such as `102:304:506:708`.

    Raises:
        ValueError: it has none of these forms; the message says what to write.
    """
    if _MAC.fullmatch(text):
        return eui_asked_by_station(EUI64(int(re.sub("[-:]", "", text), 16)))
    eui = parse_hex(text)
    if eui is None:
        try:
            eui = parse_router(text)
        except StationkeeperError:
            raise ValueError(
                f"{text[:64]!a} is not an EUI: write 16 hex digits (dashes or colons may separate pairs), a MAC of 12, "
                "or an ID6 such as 102:304:506:708"
            ) from None
    return eui_asked_by_station(eui)
