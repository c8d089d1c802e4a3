"""The recent results of connections by network and certificate; they decide which connections wait under overload.

An address may stand for one gateway, for thousands behind a NAT or a node, or for a client that connects without end.
The results of its connections show which case it is. A connection that ends with an answer counts for its network, any
other one against it. A certificate that connects again and again counts against it too, because a gateway asks only
once.

Without overload, this refuses no client.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable

# The time after which a sum counts half.
HALF_LIFE_SECONDS = 10.0
# A network keeps a good reputation with this many more connections without an answer than with an answer.
FREE_FAILURES = 16.0
# The connections of one certificate; a gateway that fails tries again after a minute.
MAX_PER_CERTIFICATE = 8.0
MAX_REMEMBERED = 10_000


class _Decaying:
    """Sums that decay with a half-life; if there are too many, the least recently used one is dropped.

    Times are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._sums: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def of(self, key: Hashable, now: float) -> float:
        found = self._sums.get(key)
        if found is None:
            return 0.0
        value, at = found
        return float(value * 0.5 ** ((now - at) / HALF_LIFE_SECONDS))

    def add(self, key: Hashable, now: float) -> float:
        """Add 1 to the sum of `key`; return the earlier sum."""
        known = self._sums.pop(key, None)
        before = 0.0 if known is None else float(known[0] * 0.5 ** ((now - known[1]) / HALF_LIFE_SECONDS))
        self._sums[key] = (before + 1.0, now)
        if len(self._sums) > MAX_REMEMBERED:
            self._sums.popitem(last=False)
        return before


class Reputation:
    """The reputation of networks and certificates.

    Args:
        clock: returns monotonic seconds.
        most_per_certificate: the number of connections of one certificate that is too many.
    """

    def __init__(self, clock: Callable[[], float], most_per_certificate: float = MAX_PER_CERTIFICATE) -> None:
        self._clock = clock
        self._most_per_certificate = most_per_certificate
        self._with_answer = _Decaying()
        self._without_answer = _Decaying()
        self._certificates = _Decaying()

    def is_good(self, network: str) -> bool:
        """Return whether most connections of a network end with an answer."""
        now = self._clock()
        without = self._without_answer.of(network, now)
        return without <= FREE_FAILURES or without <= FREE_FAILURES + self._with_answer.of(network, now)

    def record_end(self, network: str, certificate: bytes | None, *, answered: bool) -> None:
        """Record the end of a connection that has sent something.

        Args:
            network: its network.
            certificate: the presented end-entity certificate, DER; None without one.
            answered: whether the client was accepted and answered.
        """
        now = self._clock()
        if answered and certificate is not None:
            # Too many connections of one certificate count against its network: no gateway needs so many.
            answered = self._certificates.add(hash(certificate), now) < self._most_per_certificate
        (self._with_answer if answered else self._without_answer).add(network, now)
