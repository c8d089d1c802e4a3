"""The content of a condition, and the words for it that more than one room uses."""

from typing import NamedTuple

ENFORCED = "Enforced"
NOT_PUBLISHED = "NotPublished"
NOT_OBSERVED = "NotObserved"
STILL_TRUSTED_BY = "StillTrustedBy"


class Fact(NamedTuple):
    """The content of a condition.

    Attributes:
        status: `True`, `False` or `Unknown`.
        reason: a CamelCase word.
        message: the text for people.
    """

    status: str
    reason: str
    message: str
