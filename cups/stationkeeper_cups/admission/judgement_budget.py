"""How much of the server's time the certificates of one address may take to be judged.

A judgement that is remembered costs next to nothing and is always made. What is new costs signatures, and whoever makes
up certificates can ask for any number. Where the judgements of all addresses take too much, an address that has used up
its share meets only what is remembered, until time has refilled it.

It binds under that pressure only: a whole fleet may be behind one address, and is behind a node's where the Service has
`externalTrafficPolicy: Cluster`. There a stranger must not shut the gateways out with a few certificates a second.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from stationkeeper_cups.accepting.networks import network_of

# Of each second, and saved up: the first moments of a large fleet behind one address.
SHARE = 0.1
SAVED_SECONDS = 3.0
# Of all addresses together; below that no address is refused.
COMMON_SHARE = 0.5
MAX_ADDRESSES = 10_000


class JudgementBudget:
    """The budgets of all addresses, of which the last are remembered. Those of one IPv6 network of 64 bits share one.

    Args:
        clock: seconds, monotonic.
        spent: the CPU time that the process has used, in seconds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, spent: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock = clock
        self._spent = spent
        # What is left, and when that was known.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._common = (SAVED_SECONDS, clock())

    def begin(self, address: str) -> float | None:
        """Return the mark that `end` takes; None where the address has nothing left, nor have all together."""
        now = self._clock()
        own = self._left.get(network_of(address), (SAVED_SECONDS, now))
        if _refilled(own, now, SHARE) <= 0 and _refilled(self._common, now, COMMON_SHARE) <= 0:
            return None
        return self._spent()

    def end(self, address: str, begun: float | None) -> None:
        """Take what was spent since `begun` from the address."""
        if begun is None:
            return
        now, cost = self._clock(), self._spent() - begun
        network = network_of(address)
        own = self._left.pop(network, (SAVED_SECONDS, now))
        self._left[network] = (_charged(own, now, SHARE, cost), now)
        self._common = (_charged(self._common, now, COMMON_SHARE, cost), now)
        if len(self._left) > MAX_ADDRESSES:
            self._left.popitem(last=False)


def _refilled(known: tuple[float, float], now: float, share: float) -> float:
    left, at = known
    return min(SAVED_SECONDS, left + (now - at) * share)


def _charged(known: tuple[float, float], now: float, share: float, cost: float) -> float:
    """What is left then; an address that was let in beyond its share does not pay for that later on."""
    left = _refilled(known, now, share)
    return (left if left > 0 else 0.0) - cost
