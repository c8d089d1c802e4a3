"""How much of a document each namespace may take up: a share that is its own, and what all have in common beyond.

Of what a document can hold, one part is kept for what takes trust away, one for namespaces that are within their share,
and one for the release's namespace. The rest is for whoever comes. So a tenant that takes all it can get still leaves
every other one its share.
"""

from collections import Counter
from dataclasses import dataclass

from stationkeeper_core.published.documents import (
    MAX_AUTHORITIES,
    MAX_NAMESPACE_CERTIFICATES,
    MAX_PAYLOAD_BYTES,
    MAX_SECRET_BYTES,
    MAX_TRUSTED_CERTIFICATES,
)


@dataclass(frozen=True)
class Bound:
    """How much of one thing a document holds.

    Attributes:
        most: of all namespaces together.
        share: what each namespace gets before the others get more than theirs.
        shares: what is kept for namespaces within their share.
        release_share: what is kept for the release's namespace, and its share.
        reserve: what is kept for what takes trust away.
        namespace_most: of one namespace.
    """

    most: int
    share: int
    shares: int
    release_share: int
    reserve: int = 0
    namespace_most: int | None = None


BYTES = Bound(MAX_SECRET_BYTES - 1_000, share=20_000, shares=80_000, release_share=30_000, reserve=60_000)
PLAIN_BYTES = Bound(MAX_PAYLOAD_BYTES // 4, share=640_000, shares=2_560_000, release_share=960_000, reserve=1_920_000)
"""Before compression: what is all zeros takes next to nothing of a Secret, and as much of a pod's memory as the rest.
The rest of what a payload may have is for what is reserved and revoked."""
AUTHORITIES = Bound(MAX_AUTHORITIES, share=40, shares=200, release_share=40)
CERTIFICATES = Bound(
    MAX_TRUSTED_CERTIFICATES, share=80, shares=400, release_share=80, namespace_most=MAX_NAMESPACE_CERTIFICATES
)
TRUST_BOUNDS = (BYTES, PLAIN_BYTES, AUTHORITIES, CERTIFICATES)
REGISTRY_BOUNDS = (BYTES, PLAIN_BYTES)

_REVOKING_SHARES = 4
"""Of the reserve, one namespace gets a fourth for all that it revokes."""

Amounts = tuple[int, ...]
"""Of bytes, bytes before compression, TrustedCAs and certificates, in this order; a registry has the first two."""


class Room:
    """What is taken up of a document.

    Args:
        bounds: one for each of the amounts.
        release_namespace: the one with a share of its own.
    """

    def __init__(self, bounds: tuple[Bound, ...], release_namespace: str) -> None:
        self._bounds = bounds
        self._release = release_namespace
        self._taken = tuple(Counter[str]() for _ in bounds)
        self._totals = [0 for _ in bounds]

    def take(self, namespace: str, amounts: Amounts) -> None:
        """Takes up more, or less where an amount is negative."""
        for position, amount in enumerate(amounts):
            self._taken[position][namespace] += amount
            self._totals[position] += amount

    def copy(self) -> "Room":
        """The same, which later changes do not touch."""
        found = Room(self._bounds, self._release)
        found._taken = tuple(taken.copy() for taken in self._taken)
        found._totals = list(self._totals)
        return found

    @property
    def plenty(self) -> int:
        """So many bytes are there for all in common, whatever share is used."""
        bound = self._bounds[0]
        return bound.most - bound.reserve - bound.shares - bound.release_share

    @property
    def bytes_of(self) -> Counter[str]:
        """The bytes that each namespace takes up."""
        return self._taken[0]

    @property
    def total_bytes(self) -> int:
        """What all take up together."""
        return self._totals[0]

    @property
    def has_plenty(self) -> bool:
        """Whether all that is taken would be so without anybody's share."""
        return all(
            self._totals[position] <= self._common(position, "") - bound.shares
            and (bound.namespace_most is None or max(taken.values(), default=0) <= bound.namespace_most)
            for position, (bound, taken) in enumerate(zip(self._bounds, self._taken, strict=True))
        )

    def is_within(self, namespace: str, amounts: Amounts) -> bool:
        """Whether a document can hold so much more of a namespace at all, bytes aside."""
        return all(
            self._totals[position] + amount <= bound.most
            and (bound.namespace_most is None or self._taken[position][namespace] + amount <= bound.namespace_most)
            for position, (bound, amount) in enumerate(zip(self._bounds, amounts, strict=True))
            if position > 0 and amount > 0
        )

    def may_grow(self, namespace: str, amounts: Amounts, *, within_share: bool) -> bool:
        """Whether a namespace may take so much more.

        Args:
            namespace: which.
            amounts: how much more.
            within_share: whether it then has to be within its share, or may take what all have in common.
        """
        for position, amount in enumerate(amounts):
            if amount > 0 and not self._fits(position, namespace, amount, within_share=within_share):
                return False
        return self.is_within(namespace, amounts)

    def may_take_away(self, amount: int, revoking: int) -> bool:
        """Whether a reduction may take so many bytes more.

        Args:
            amount: how many.
            revoking: the bytes of all that its namespace revokes.
        """
        bound, total = self._bounds[0], self._totals[0] + amount
        return total <= bound.most - (0 if revoking <= bound.reserve // _REVOKING_SHARES else bound.reserve)

    def _fits(self, position: int, namespace: str, amount: int, *, within_share: bool) -> bool:
        bound, total = self._bounds[position], self._totals[position] + amount
        limit = self._common(position, namespace)
        if not within_share:
            return total <= limit - bound.shares
        share = bound.release_share if namespace == self._release else bound.share
        return total <= limit and self._taken[position][namespace] + amount <= share

    def _common(self, position: int, namespace: str) -> int:
        bound = self._bounds[position]
        kept = 0 if namespace == self._release else bound.release_share - self._taken[position][self._release]
        return bound.most - bound.reserve - max(0, kept)
