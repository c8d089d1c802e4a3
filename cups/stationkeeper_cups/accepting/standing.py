"""How the connections of networks and certificates went lately: who waits where more come than can be served.

An address may stand for one gateway, for thousands behind a NAT or a node, or for a client that connects without end.
What tells them apart is what becomes of their connections. One that ends with an answer speaks for its network, any
other against it. So does one of a certificate that comes again and again, since a gateway asks once.

Nothing here keeps anybody out while there is room for all.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable

# What was is worth half after so long.
HALF_LIFE_SECONDS = 10.0
# Connections without an answer that any network may have, beside as many as it has with one.
FREE = 16.0
# Connections of one certificate; a gateway that fails tries again after a minute.
OFTEN = 8.0
MAX_REMEMBERED = 10_000


class _Decaying:
    """Sums that halve again and again; of those that were not touched for the longest time the first is forgotten.

    Times are in seconds of one monotonic clock.
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
        """Count one more; return the sum without it."""
        known = self._sums.pop(key, None)
        before = 0.0 if known is None else float(known[0] * 0.5 ** ((now - known[1]) / HALF_LIFE_SECONDS))
        self._sums[key] = (before + 1.0, now)
        if len(self._sums) > MAX_REMEMBERED:
            self._sums.popitem(last=False)
        return before


class Standing:
    """The standing of networks and certificates.

    Args:
        clock: seconds, monotonic.
        often: connections of one certificate from which on it comes too often.
    """

    def __init__(self, clock: Callable[[], float], often: float = OFTEN) -> None:
        self._clock = clock
        self._often = often
        self._with_answer = _Decaying()
        self._without_answer = _Decaying()
        self._certificates = _Decaying()

    def is_good(self, network: str) -> bool:
        """Whether the connections of a network end with an answer, for the most part."""
        now = self._clock()
        without = self._without_answer.of(network, now)
        return without <= FREE or without <= FREE + self._with_answer.of(network, now)

    def ended(self, network: str, certificate: bytes | None, *, answered: bool) -> None:
        """Take note of a connection that has said something.

        Args:
            network: it came from.
            certificate: the end-entity certificate that it presented, DER; None without one.
            answered: whether it ended with an answer that let it in.
        """
        now = self._clock()
        if answered and certificate is not None:
            # One that comes again and again speaks against its network: no gateway needs so many.
            answered = self._certificates.add(hash(certificate), now) < self._often
        (self._with_answer if answered else self._without_answer).add(network, now)
