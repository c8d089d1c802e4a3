"""The order of connections that wait for their handshake, and which one is closed if there are too many.

While all waits are short, the first connection is served first. A longer wait means overload; then the newest one is
served first. The newest client still waits for its answer the longest; a client that has waited long gives up soon, and
the work for it would be lost.

Networks with a bad reputation share a small part of the turns, and take turns within it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar

from stationkeeper_cups.accepting.networks import Groups

OVERLOAD_SECONDS = 1.0
# One of this number of turns is for networks with a bad reputation.
TURNS = 8
# The maximum number of connections to check, to find one to serve.
MOST_CHECKED = 64


class Waiting(Protocol):
    """A waiting connection."""

    @property
    def network(self) -> str:
        """Its source network."""


W = TypeVar("W", bound=Waiting)


class WaitingRoom(Generic[W]):
    """The waiting connections.

    Args:
        is_good: returns whether a network has a good reputation.

    Attributes:
        by_network: all waiting connections, by their networks.
    """

    def __init__(self, is_good: Callable[[str], bool]) -> None:
        self._is_good = is_good
        self.by_network: Groups[W] = Groups()
        self._good: OrderedDict[W, float] = OrderedDict()
        # Connections by network; the networks in the order of their turns.
        self._others: OrderedDict[str, OrderedDict[W, float]] = OrderedDict()
        self._turn = 0

    def __iter__(self) -> Iterator[W]:
        return iter(self.by_network)

    def __contains__(self, connection: W) -> bool:
        return connection in self._good or connection in self._others.get(connection.network, ())

    def enter(self, connection: W, now: float) -> None:
        """Add a connection that waits from `now` on."""
        self.by_network.add(connection.network, connection)
        if self._is_good(connection.network):
            self._good[connection] = now
        else:
            self._others.setdefault(connection.network, OrderedDict())[connection] = now

    def leave(self, connection: W) -> None:
        """Remove a connection."""
        if not self.by_network.discard(connection.network, connection):
            return
        if connection in self._good:
            del self._good[connection]
            return
        same = self._others[connection.network]
        del same[connection]
        if not same:
            del self._others[connection.network]

    def waited(self, now: float) -> float:
        """Return the seconds that the first connection of a network with a good reputation has waited."""
        oldest = next(iter(self._good.values()), None)
        return 0.0 if oldest is None else now - oldest

    def is_overloaded(self, now: float) -> bool:
        """Return whether there is overload."""
        return self.waited(now) > OVERLOAD_SECONDS

    def next(self, now: float, may_begin: Callable[[W], bool]) -> W | None:
        """Return the next connection to serve, which stays in the room until `leave`; None if no connection may begin.

        Args:
            now: the time in the seconds of `enter`.
            may_begin: returns whether there is a place for a connection.
        """
        self._turn = (self._turn + 1) % TURNS
        of_good, of_others = self._next_of_good, self._next_of_others
        for choice in (of_others, of_good) if self._turn == 0 else (of_good, of_others):
            chosen = choice(now, may_begin)
            if chosen is not None:
                return chosen
        return None

    def one_to_close(self) -> W | None:
        """Return the connection to close if there are too many: the oldest one of a network with the most."""
        return self.by_network.oldest_of_the_most()

    def _next_of_good(self, now: float, may_begin: Callable[[W], bool]) -> W | None:
        demoted: list[W] = []
        chosen: W | None = None
        for connection in islice(reversed(self._good) if self.is_overloaded(now) else self._good, MOST_CHECKED):
            if not self._is_good(connection.network):
                demoted.append(connection)
            elif may_begin(connection):
                chosen = connection
                break
        for connection in demoted:
            self._others.setdefault(connection.network, OrderedDict())[connection] = self._good.pop(connection)
        return chosen

    def _next_of_others(self, _now: float, may_begin: Callable[[W], bool]) -> W | None:
        for network in list(islice(self._others, MOST_CHECKED)):
            self._others.move_to_end(network)
            newest = next(reversed(self._others[network]))
            if may_begin(newest):
                return newest
        return None
