"""The budget of CPU time for judging the certificates of one address.

A cached judgement costs almost nothing and is always made. A new one costs signature checks, and an attacker can make
any number of certificates. If the judgements of all addresses take too much time, an address without budget gets only
cached judgements, until time has refilled the budget.

The budget acts only under this load: a whole fleet may have one address, for example a node's with
`externalTrafficPolicy: Cluster`. There an attacker must not block the gateways with a few certificates a second.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from stationkeeper_cups.accepting.networks import network_of

# The share of each second, and the saved seconds: enough for the first moments of a large fleet behind one address.
SHARE = 0.1
SAVED_SECONDS = 3.0
# The share of all addresses together; below it no address is refused.
COMMON_SHARE = 0.5
MAX_ADDRESSES = 10_000


class JudgementBudget:
    """The budgets of the last used addresses. The addresses of one IPv6 /64 network share one budget.

    Args:
        clock: returns monotonic seconds.
        spent: returns the CPU time of the process, in seconds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, spent: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock = clock
        self._spent = spent
        # The remaining budget, and its time.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._common = (SAVED_SECONDS, clock())

    def begin(self, address: str) -> float | None:
        """Return the mark for `end`; None if both the address and all addresses together have no budget left."""
        now = self._clock()
        own = self._left.get(network_of(address), (SAVED_SECONDS, now))
        if _refilled(own, now, SHARE) <= 0 and _refilled(self._common, now, COMMON_SHARE) <= 0:
            return None
        return self._spent()

    def end(self, address: str, begun: float | None) -> None:
        """Charge the address with the time spent since `begun`."""
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
    """Return the remaining budget; an address that was allowed to exceed its share does not pay for that later."""
    left = _refilled(known, now, share)
    return (left if left > 0 else 0.0) - cost
