"""Let records share one object for equal values.

Nearly all gateways of a document have the same LNS with the same credentials, which take more memory than the rest of a
record. A decoder makes a separate object of each value.
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
    """Let gateways share equal values, in the fields that are often equal; nothing else changes."""
    found: dict[object, object] = {}
    for record in records:
        for field in _OFTEN_EQUAL:
            value = getattr(record, field)
            same = found.setdefault(value, value)
            if same is not value:
                msgspec.structs.force_setattr(record, field, same)
