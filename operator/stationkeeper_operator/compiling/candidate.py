"""What one resource asks to be published, between its own compiler and the plan for all.

A spec that is refused can only take away: what was published of the same resource stays in force, less what the spec
takes away in those parts that can be read. So no slip in one part of a spec ever widens what another part allows.
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
    """What a resource asks for.

    Attributes:
        resource: which one.
        desired: what is to be in force if it fits; None where the spec gives nothing that may be.
        fallback: what stays in force if `desired` is None or does not fit.
        refusal: why the spec is not accepted, None where it is.
        note: what its author should know about an accepted spec.
        minimal: `fallback` without what it revokes anew, or without the LNS of a Gateway that is suspended. It can only
            take less room than what is in force. None where that is `fallback` itself.
    """

    resource: Resource
    desired: R | None
    fallback: R | None
    refusal: StationkeeperError | None
    note: str = ""
    minimal: R | None = None

    @property
    def key(self) -> Key:
        """Of the resource."""
        return self.resource.key

    def mapped(self, change: Callable[[R], R]) -> "Candidate[R]":
        """The same with `change` made to all of its records."""
        desired, fallback, minimal = (each and change(each) for each in (self.desired, self.fallback, self.minimal))
        if desired is self.desired and fallback is self.fallback and minimal is self.minimal:
            return self
        return replace(self, desired=desired, fallback=fallback, minimal=minimal)

    @property
    def seniority(self) -> tuple[datetime, str, Key]:
        """Sorts the oldest resource first."""
        return (*self.resource.metadata.seniority, self.key)


@dataclass
class Problems:
    """Collects what is wrong with the parts of one spec, so that a broken part does not hide the others."""

    found: list[StationkeeperError] = field(default_factory=list)

    def attempt(self, read: Callable[[], T]) -> T | None:
        """What `read` returns; None where it refuses, which is collected."""
        try:
            return read()
        except StationkeeperError as error:
            self.found.append(error)
            return None

    def attempt_each(self, read: Callable[[str], T], texts: Iterable[str]) -> tuple[T, ...]:
        """What `read` returns for those of `texts` that it takes; its refusals are collected."""
        found = (self.attempt(partial(read, text)) for text in texts)
        return tuple(each for each in found if each is not None)

    @property
    def refusal(self) -> StationkeeperError | None:
        """All that was found, under the reason of the first; a private key comes before anything else."""
        ranked = sorted(self.found, key=lambda each: each.reason != Reason.PRIVATE_KEY_IN_TRUSTED_CA)
        if not ranked:
            return None
        return StationkeeperError(ranked[0].reason, "; ".join(each.detail for each in ranked[:_SHOWN]))
