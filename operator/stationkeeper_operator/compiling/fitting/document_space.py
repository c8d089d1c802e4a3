"""The space in a document for each namespace: its own share, and the common space beyond the shares.

A part of a document's space is kept for reductions of trust, one for namespaces that are within their share, and one
for the release's namespace. The rest is common space for all. So a tenant that uses all the space it can get still
leaves every other tenant its share.
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
    """The limits of one amount in a document.

    Attributes:
        most: the maximum of all namespaces together.
        share: the share of each namespace; it comes before the common space of others.
        shares: the space that is kept for namespaces within their share.
        release_share: the share of the release's namespace, and the space that is kept for it.
        reserve: the space that is kept for reductions of trust.
        namespace_most: the maximum of one namespace.
    """

    most: int
    share: int
    shares: int
    release_share: int
    reserve: int = 0
    namespace_most: int | None = None


BYTES = Bound(MAX_SECRET_BYTES - 1_000, share=20_000, shares=80_000, release_share=30_000, reserve=60_000)
PLAIN_BYTES = Bound(MAX_PAYLOAD_BYTES // 4, share=640_000, shares=2_560_000, release_share=960_000, reserve=1_920_000)
"""The limits before compression: a record of only zeros needs little space in a Secret, but normal memory in a pod. The
rest of a payload's limit is for reservations and revocations."""
AUTHORITIES = Bound(MAX_AUTHORITIES, share=40, shares=200, release_share=40)
CERTIFICATES = Bound(
    MAX_TRUSTED_CERTIFICATES, share=80, shares=400, release_share=80, namespace_most=MAX_NAMESPACE_CERTIFICATES
)
TRUST_BOUNDS = (BYTES, PLAIN_BYTES, AUTHORITIES, CERTIFICATES)
REGISTRY_BOUNDS = (BYTES, PLAIN_BYTES)

_REVOKING_SHARES = 4
"""One namespace may use a quarter of the reserve for all of its revocations."""

Amounts = tuple[int, ...]
"""Bytes, bytes before compression, TrustedCAs, certificates, in this order; a registry document has the first two."""


class UsedSpace:
    """The used space of a document.

    Args:
        bounds: one for each of the amounts.
        release_namespace: the namespace with a share of its own.
    """

    def __init__(self, bounds: tuple[Bound, ...], release_namespace: str) -> None:
        self._bounds = bounds
        self._release = release_namespace
        self._taken = tuple(Counter[str]() for _ in bounds)
        self._totals = [0 for _ in bounds]

    def take(self, namespace: str, amounts: Amounts) -> None:
        """Use more space, or less for a negative amount."""
        for position, amount in enumerate(amounts):
            self._taken[position][namespace] += amount
            self._totals[position] += amount

    def copy(self) -> "UsedSpace":
        """Return an independent copy."""
        copied = UsedSpace(self._bounds, self._release)
        copied._taken = tuple(taken.copy() for taken in self._taken)
        copied._totals = list(self._totals)
        return copied

    @property
    def kinds(self) -> int:
        """The number of amounts that are bounded."""
        return len(self._bounds)

    @property
    def common_bytes(self) -> int:
        """The bytes of the common space that no share can need."""
        bound = self._bounds[0]
        return bound.most - bound.reserve - bound.shares - bound.release_share

    @property
    def bytes_of(self) -> Counter[str]:
        """The bytes that each namespace uses."""
        return self._taken[0]

    @property
    def total_bytes(self) -> int:
        """The bytes that all namespaces use together."""
        return self._totals[0]

    @property
    def fits_without_shares(self) -> bool:
        """Whether everything fits without using shares."""
        return all(
            self._totals[position] <= self._common(position, "") - bound.shares
            and (bound.namespace_most is None or max(taken.values(), default=0) <= bound.namespace_most)
            for position, (bound, taken) in enumerate(zip(self._bounds, self._taken, strict=True))
        )

    def is_within(self, namespace: str, amounts: Amounts) -> bool:
        """Return whether the amounts other than bytes stay within the document's limits."""
        return all(
            self._totals[position] + amount <= bound.most
            and (bound.namespace_most is None or self._taken[position][namespace] + amount <= bound.namespace_most)
            for position, (bound, amount) in enumerate(zip(self._bounds, amounts, strict=True))
            if position > 0 and amount > 0
        )

    def may_grow(self, namespace: str, amounts: Amounts, *, within_share: bool) -> bool:
        """Return whether a namespace may use more space.

        Args:
            namespace: the namespace.
            amounts: the additional amounts.
            within_share: whether the namespace must stay within its share; otherwise it may use the common space.
        """
        for position, amount in enumerate(amounts):
            if amount > 0 and not self._fits(position, namespace, amount, within_share=within_share):
                return False
        return self.is_within(namespace, amounts)

    def may_reduce(self, amount: int, revoking: int) -> bool:
        """Return whether a reduction may use `amount` more bytes.

        Args:
            amount: the additional bytes.
            revoking: the bytes of all revocations of its namespace.
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
