"""A trust anchor that stays in force for a stated time, as the trust document holds it."""

from typing import Annotated

import msgspec

Seconds = Annotated[int, msgspec.Meta(ge=-62_135_596_800, le=253_402_300_799)]
"""Seconds since the epoch, in the years 1 to 9999."""


class RetainedAnchor(msgspec.Struct, frozen=True, kw_only=True):
    """An anchor that its source no longer holds, and that is kept for a while; for the operator to remember.

    Attributes:
        sha256: of the certificate, lower-case hex.
        replaced: since when the source lacks it, seconds since the epoch.
        until: up to but without when it is kept, seconds since the epoch.
    """

    sha256: str
    replaced: Seconds
    until: Seconds
