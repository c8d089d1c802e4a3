"""The plan of a run: what goes wrong, and what users do; all of it follows from the seed. Pure.

The operator, the API server and CUPS are real processes, so the seed does not decide which of two requests comes first.
It decides what happens to the n-th request, or to the n-th line of a watch, of each kind.
"""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of perturbations."""

    DELAYED = "request delayed"
    LOST = "request lost"
    DOUBLED = "request sent twice"
    CONFLICT = "answered 409, nothing done"
    TOO_MANY = "answered 429, nothing done"
    FAILED = "answered 500, nothing done"
    TIMED_OUT = "answered 504, but done"
    UNANSWERED = "answer lost, but done"
    HELD = "answer held back"
    CUT = "answer cut"
    AGED = "older LIST answered"
    WATCH_LATE = "watch begins late"
    WATCH_GONE = "watch answered 410"
    WATCH_FAILED = "watch answered 500"
    EVENTS_HELD = "events held back"
    EVENT_REPEATED = "event repeated"
    EVENTS_REPLAYED = "older events replayed"
    CUT_MID_LINE = "watch cut in a line"
    CUT_BETWEEN = "watch cut between lines"
    GONE_IN_STREAM = "watch says 410"
    UNOBSERVED = "events withheld, then 410"
    KILLED_BEFORE = "operator killed before a write"
    KILLED_AFTER = "operator killed after a write"


OF_READS = (Kind.DELAYED, Kind.LOST, Kind.TOO_MANY, Kind.FAILED, Kind.HELD, Kind.CUT)
OF_LISTS = (*OF_READS, Kind.AGED)
OF_WRITES = (
    Kind.DELAYED,
    Kind.LOST,
    Kind.DOUBLED,
    Kind.CONFLICT,
    Kind.TOO_MANY,
    Kind.FAILED,
    Kind.TIMED_OUT,
    Kind.UNANSWERED,
    Kind.HELD,
)
# Another writer cannot change an object that does not exist yet.
OF_CREATIONS = tuple(kind for kind in OF_WRITES if kind is not Kind.CONFLICT)
OF_WATCHES = (Kind.WATCH_LATE, Kind.WATCH_GONE, Kind.WATCH_FAILED)
OF_LINES = (
    Kind.EVENTS_HELD,
    Kind.EVENT_REPEATED,
    Kind.EVENTS_REPLAYED,
    Kind.CUT_MID_LINE,
    Kind.CUT_BETWEEN,
    Kind.GONE_IN_STREAM,
    Kind.UNOBSERVED,
)
OF_OPERATOR = (Kind.KILLED_BEFORE, Kind.KILLED_AFTER)

_RATES = (0.02, 0.06, 0.2)
_ENABLED = 0.35
_LONGEST_SECONDS = 1.0
_MOST_KILLS = 2
_WRITES_AT_START = 18
"""The writes before a turn: the Lease, and a mark on each published Secret."""
_WRITES_OF_A_RUN = 45
_WHEN = ((1, _WRITES_AT_START), (_WRITES_AT_START + 1, _WRITES_OF_A_RUN), (_WRITES_AT_START + 1, _WRITES_OF_A_RUN))


@dataclass(frozen=True)
class Perturbation:
    """A perturbation of one request or line.

    Attributes:
        kind: its kind.
        seconds: how long it takes, if it takes time.
        share: a number from 0 to 1 for the place or the age, if that matters.
    """

    kind: Kind
    seconds: float
    share: float


@dataclass(frozen=True)
class Deed:
    """An action of a user.

    Attributes:
        after: the seconds since the action before.
        what: a name of `DEEDS`.
        choice: draws the resource and the spec.
    """

    after: float
    what: str
    choice: int


DEEDS = (
    "create CA",
    "create CA",
    "change CA",
    "suspend or resume CA",
    "suspend or resume CA",
    "delete CA",
    "replace CA",
    "create Gateway",
    "create Gateway",
    "change Gateway",
    "suspend or resume Gateway",
    "delete Gateway",
    "replace Gateway",
    "renew roots",
    "renew token",
)


class Plan:
    """The plan of one run.

    Args:
        seed: draws all of it.
        seconds: about how long users act.

    Attributes:
        seed: the argument.
        deeds: the actions of users, in order.
        kills: the numbers of the writes, from 1, at which the operator is killed, and whether before or after each.
        pause: how many seconds it is down then.
        awaited: how often each kind must have happened before the perturbations end.
        deeds_wait: whether users wait with their actions until the operator writes.
    """

    def __init__(self, seed: int, seconds: float) -> None:
        chance = random.Random(f"{seed}")  # noqa: S311 - reproducible, not secret
        self.seed = seed
        self._rates = {
            kind: chance.choice(_RATES)
            for kind in dict.fromkeys((*OF_LISTS, *OF_WRITES, *OF_WATCHES, *OF_LINES))
            if chance.random() < _ENABLED
        }
        self.kills: Mapping[int, Kind] = {
            chance.randint(*chance.choice(_WHEN)): chance.choice(OF_OPERATOR)
            for _ in range(chance.randint(0, _MOST_KILLS))
        }
        self.awaited: Mapping[Kind, int] = {}
        self.pause = chance.choice((0.0, 0.3))
        self.deeds_wait = chance.random() < 0.7
        self.deeds = tuple(_deeds(chance, seconds))

    def draw(self, traffic: str, number: int, kinds: Collection[Kind]) -> Perturbation | None:
        """Return the perturbation of a request or line; None if it passes unchanged.

        Args:
            traffic: its kind, such as `GET secrets`.
            number: how many of that kind came before.
            kinds: the possible perturbations.
        """
        chance = random.Random(f"{self.seed}/{traffic}/{number}")  # noqa: S311 - reproducible, not secret
        # A fault of a Lease costs seconds in which nothing else happens. A run has few LISTs.
        likelier = 0.3 if traffic.endswith("leases") else 1.0
        of_lists = {Kind.AGED: 4.0, Kind.CUT: 2.0} if traffic.startswith("LIST") else {}
        for kind in kinds:
            if chance.random() < self._rates.get(kind, 0.0) * of_lists.get(kind, likelier):
                return Perturbation(kind, chance.uniform(0.05, _LONGEST_SECONDS), chance.random())
        return None


def _deeds(chance: random.Random, seconds: float) -> list[Deed]:
    found, at = list[Deed](), 0.0
    while at < seconds:
        after = chance.choice((0.0, 0.02, 0.1, 0.3, 0.6))
        found.append(Deed(after, chance.choice(DEEDS), chance.getrandbits(32)))
        at += after + 0.02
    return found
