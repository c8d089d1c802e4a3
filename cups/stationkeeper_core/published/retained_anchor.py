"""A trust anchor that stays in force for a given time, in the form of the trust document."""

from typing import Annotated

import msgspec

Seconds = Annotated[int, msgspec.Meta(ge=-62_135_596_800, le=253_402_300_799)]
"""Seconds since the epoch, in the years 1 to 9999."""


class RetainedAnchor(msgspec.Struct, frozen=True, kw_only=True):
    """An anchor that its source no longer holds, but that is kept for a while; a record for the operator.

    Attributes:
        sha256: of the certificate, lower-case hex.
        replaced: the time since which the source lacks it, seconds since the epoch.
        until: from when on it is not trusted, seconds since the epoch.
    """

    sha256: str
    replaced: Seconds
    until: Seconds
