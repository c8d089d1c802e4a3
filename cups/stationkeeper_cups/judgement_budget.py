"""How much of the server's time the certificates of one address may take to be judged.

A judgement that is remembered costs next to nothing and is always made. What is new costs signatures, and whoever makes
up certificates can ask for any number; an address that has used up its share meets only what is remembered, until time
has refilled it. Many honest gateways behind one address stay below: a new gateway's judgement takes about 0.2 ms.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

# Of each second, and saved up: the first moments of a large fleet behind one address.
SHARE = 0.1
SAVED_SECONDS = 3.0
MAX_ADDRESSES = 10_000


class JudgementBudget:
    """The budgets of all addresses, of which the last are remembered.

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

    def begin(self, address: str) -> float | None:
        """Return the mark that `end` takes; None where the address has nothing left."""
        left, at = self._left.get(address, (SAVED_SECONDS, 0.0))
        if left <= 0 and left + (self._clock() - at) * SHARE <= 0:
            return None
        return self._spent()

    def end(self, address: str, begun: float | None) -> None:
        """Take what was spent since `begun` from the address."""
        if begun is None:
            return
        now = self._clock()
        left, at = self._left.pop(address, (SAVED_SECONDS, now))
        self._left[address] = (min(SAVED_SECONDS, left + (now - at) * SHARE) - (self._spent() - begun), now)
        if len(self._left) > MAX_ADDRESSES:
            self._left.popitem(last=False)
