"""In which order those are served who wait for their handshake, and who has to leave where there are too many.

As long as nobody waits for more than a moment, the first to come is the first to be served. Once somebody does, there
are more than can be served: then the newest is. It is the one that waits for its answer for the longest time to come,
while who has waited for long gives up soon, and what is spent on it is lost to all others.

Networks of a bad standing have a small share of the turns, and take turns within it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar

from stationkeeper_cups.accepting.networks import Groups

PRESSED_SECONDS = 1.0
# Of so many turns, one is for networks of a bad standing.
TURNS = 8
# So many are looked at, at most, for one that may be served.
LOOKED_AT = 64


class Waiting(Protocol):
    """Who waits."""

    @property
    def network(self) -> str:
        """From which it comes."""


W = TypeVar("W", bound=Waiting)


class WaitingRoom(Generic[W]):
    """Those who wait.

    Args:
        is_good: whether a network is of a good standing.

    Attributes:
        everybody: all of them, by their networks.
    """

    def __init__(self, is_good: Callable[[str], bool]) -> None:
        self._is_good = is_good
        self.everybody: Groups[W] = Groups()
        self._good: OrderedDict[W, float] = OrderedDict()
        # By network; the networks in the order of their turns.
        self._others: OrderedDict[str, OrderedDict[W, float]] = OrderedDict()
        self._turn = 0

    def __iter__(self) -> Iterator[W]:
        return iter(self.everybody)

    def __contains__(self, one: W) -> bool:
        return one in self._good or one in self._others.get(one.network, ())

    def enter(self, one: W, now: float) -> None:
        """Let one wait, from `now` on."""
        self.everybody.add(one.network, one)
        if self._is_good(one.network):
            self._good[one] = now
        else:
            self._others.setdefault(one.network, OrderedDict())[one] = now

    def leave(self, one: W) -> None:
        """Let one go, wherever it is."""
        if not self.everybody.discard(one.network, one):
            return
        if one in self._good:
            del self._good[one]
            return
        mine = self._others[one.network]
        del mine[one]
        if not mine:
            del self._others[one.network]

    def waited(self, now: float) -> float:
        """Return how long the first of those of a good standing has waited, in seconds."""
        oldest = next(iter(self._good.values()), None)
        return 0.0 if oldest is None else now - oldest

    def is_pressed(self, now: float) -> bool:
        """Whether more come than can be served."""
        return self.waited(now) > PRESSED_SECONDS

    def next(self, now: float, may_begin: Callable[[W], bool]) -> W | None:
        """Return whose turn it is, who stays until it is told to leave; None where nobody may begin.

        Args:
            now: in the seconds of `enter`.
            may_begin: whether there is a place for somebody.
        """
        self._turn = (self._turn + 1) % TURNS
        of_good, of_others = self._next_of_good, self._next_of_others
        for choice in (of_others, of_good) if self._turn == 0 else (of_good, of_others):
            found = choice(now, may_begin)
            if found is not None:
                return found
        return None

    def crowded_out(self) -> W | None:
        """Return who has to leave where there are too many: the oldest of a network that has the most."""
        return self.everybody.oldest_of_the_most()

    def _next_of_good(self, now: float, may_begin: Callable[[W], bool]) -> W | None:
        fallen: list[W] = []
        found: W | None = None
        for one in islice(reversed(self._good) if self.is_pressed(now) else self._good, LOOKED_AT):
            if not self._is_good(one.network):
                fallen.append(one)
            elif may_begin(one):
                found = one
                break
        for one in fallen:
            self._others.setdefault(one.network, OrderedDict())[one] = self._good.pop(one)
        return found

    def _next_of_others(self, _now: float, may_begin: Callable[[W], bool]) -> W | None:
        for network in list(islice(self._others, LOOKED_AT)):
            self._others.move_to_end(network)
            newest = next(reversed(self._others[network]))
            if may_begin(newest):
                return newest
        return None
