"""Have records use one object for equal values.

Nearly all gateways of a document have the same LNS with the same credentials, which take more memory than the rest of a
record. A decoder makes an object of each.
"""

from collections.abc import Iterable

import msgspec

_OFTEN_EQUAL = (
    "namespace",
    "trusted_cas",
    "lns_uri",
    "lns_credentials",
    "cups_uri",
    "cups_credentials",
    "token_sources",
)


def share_values(records: Iterable[msgspec.Struct]) -> None:
    """Replace equal values in the fields of gateways that are often equal by one object; nothing else changes."""
    found: dict[object, object] = {}
    for each in records:
        for field in _OFTEN_EQUAL:
            value = getattr(each, field)
            same = found.setdefault(value, value)
            if same is not value:
                msgspec.structs.force_setattr(each, field, same)
