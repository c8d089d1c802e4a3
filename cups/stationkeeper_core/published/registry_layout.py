"""The number of registry documents, and their names.

The count is a part of the contract: it is in a document's name and header. A release chooses one of `BUCKET_COUNTS`.
During a change, documents of both counts are published, and each count is complete. A CUPS pod loads the documents of
the count in its configuration.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from stationkeeper_core.cached import cached_property
from stationkeeper_core.eui64 import EUI64

TRUST = "trust"
BUCKETS = 16
"""The default count. Its documents have the names of older releases, which had only this count."""
BUCKET_COUNTS = (16, 32, 64, 128, 256, 512, 1024)

_NAME = re.compile(r"registry-(?:([1-9][0-9]{1,3})-)?([0-9]{2,4})")


@dataclass(frozen=True)
class RegistryLayout:
    """The documents of one count.

    Attributes:
        buckets: the number of registry documents; one of `BUCKET_COUNTS`.
    """

    buckets: int = BUCKETS

    def __post_init__(self) -> None:
        if self.buckets not in BUCKET_COUNTS:
            raise ValueError(f"{self.buckets} is not one of {', '.join(map(str, BUCKET_COUNTS))}")

    @cached_property
    def registry(self) -> tuple[str, ...]:
        """The names of the registry documents, by the numbers of their buckets."""
        return tuple(_name(self.buckets, number) for number in range(self.buckets))

    @cached_property
    def documents(self) -> tuple[str, ...]:
        """The names of all documents that a CUPS pod of this count loads."""
        return (TRUST, *self.registry)

    def document_of(self, eui: EUI64) -> str:
        """Return the name of the registry document that holds the gateway with `eui`."""
        return self.registry[bucket_of(eui, self.buckets)]


@lru_cache(maxsize=len(BUCKET_COUNTS))
def layout_of(buckets: int) -> RegistryLayout:
    """Return the layout of a count.

    Raises:
        ValueError: it is not one of `BUCKET_COUNTS`.
    """
    return RegistryLayout(buckets)


def bucket_of(eui: EUI64, buckets: int = BUCKETS) -> int:
    """Return the number of the bucket that holds the gateway with `eui`.

    Args:
        eui: of the gateway.
        buckets: how many there are.
    """
    # Least significant byte first: up to 256 buckets, only the first byte decides, as it did for 16.
    return int.from_bytes(hashlib.sha256(eui.to_bytes(8, "big")).digest()[:2], "little") % buckets


@lru_cache(maxsize=4096)
def place_of(document: str) -> tuple[int, int] | None:
    """Return the count and the number of a registry document; None for another name."""
    found = _NAME.fullmatch(document)
    if found is None:
        return None
    buckets, number = int(found.group(1) or BUCKETS), int(found.group(2))
    is_one = buckets in BUCKET_COUNTS and number < buckets and _name(buckets, number) == document
    return (buckets, number) if is_one else None


def _name(buckets: int, number: int) -> str:
    digits = len(str(buckets - 1))
    return f"registry-{number:02d}" if buckets == BUCKETS else f"registry-{buckets}-{number:0{digits}d}"
