"""The request of one resource, from its own compiler to the plan for all resources.

A refused spec can only take trust away. The published record of the resource stays in force, without what the readable
parts of the spec take away. So a mistake in one part of a spec never widens what another part allows.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.published.documents import RegisteredGateway, TrustedAuthority
from stationkeeper_operator.resources.records import Key, Resource

R = TypeVar("R", TrustedAuthority, RegisteredGateway)
T = TypeVar("T")

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Candidate(Generic[R]):
    """The request of a resource.

    Attributes:
        resource: the resource.
        desired: the record to put in force if it fits; None if the spec gives no valid one.
        fallback: the record that stays in force if `desired` is None or does not fit.
        refusal: why the spec is not accepted; None if it is.
        note: a note for the author about an accepted spec.
        minimal: `fallback` without new revocations, or without the LNS of a suspended Gateway. It never needs more
            space than the record in force. None if it is `fallback` itself.
    """

    resource: Resource
    desired: R | None
    fallback: R | None
    refusal: StationkeeperError | None
    note: str = ""
    minimal: R | None = None

    @property
    def key(self) -> Key:
        """The key of the resource."""
        return self.resource.key

    def mapped(self, change: Callable[[R], R]) -> "Candidate[R]":
        """Return this candidate with `change` applied to all of its records."""
        desired, fallback, minimal = (each and change(each) for each in (self.desired, self.fallback, self.minimal))
        if desired is self.desired and fallback is self.fallback and minimal is self.minimal:
            return self
        return replace(self, desired=desired, fallback=fallback, minimal=minimal)

    @property
    def seniority(self) -> tuple[datetime, str, Key]:
        """A sort key: the oldest resource first."""
        return (*self.resource.metadata.seniority, self.key)


@dataclass
class Problems:
    """Collects the problems of one spec, so that an invalid part does not hide problems of the others."""

    errors: list[StationkeeperError] = field(default_factory=list)

    def attempt(self, read: Callable[[], T]) -> T | None:
        """Return the result of `read`; if it raises, collect the error and return None."""
        try:
            return read()
        except StationkeeperError as error:
            self.errors.append(error)
            return None

    def attempt_each(self, read: Callable[[str], T], texts: Iterable[str]) -> tuple[T, ...]:
        """Return the results of `read` for `texts`; collect its errors."""
        found = (self.attempt(partial(read, text)) for text in texts)
        return tuple(each for each in found if each is not None)

    @property
    def refusal(self) -> StationkeeperError | None:
        """All problems as one error, with the reason of the first; a private key comes first."""
        ranked = sorted(self.errors, key=lambda each: each.reason != Reason.PRIVATE_KEY_IN_TRUSTED_CA)
        if not ranked:
            return None
        return StationkeeperError(ranked[0].reason, "; ".join(each.detail for each in ranked[:_SHOWN]))
