"""Decide which namespaces may have a Gateway with the same EUI in force.

Several may, if no client could match two of them: the TrustedCA that vouches, or the matching token, decides. If one CA
or one token serves two of them, the first one with the EUI keeps it, even after its Gateway is deleted. The other one
waits until a person hands the EUI over. The waiting is stored, so that the other one does not get the EUI while a
Gateway or TrustedCA of the first one is being replaced.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from functools import partial

from msgspec.structs import replace as with_fields

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.published.documents import RegisteredGateway, ReservedEUI
from stationkeeper_operator.compiling.candidate import Candidate
from stationkeeper_operator.compiling.trust.scopes import Scopes, may_overlap
from stationkeeper_operator.resources.records import TAKES_OVER

MAX_RESERVED = 1_000
"""The maximum of reserved EUIs of a namespace in one document, and also of the EUIs that it waits for."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim of one namespace to an EUI.

    Attributes:
        namespace: its name.
        candidate: of its Gateway with that EUI; None if it has none.
        in_force: the record in force, of this Gateway or of an earlier one.
        reserved: the reservation of an earlier Gateway, or of one that waits.
    """

    namespace: str
    candidate: Candidate[RegisteredGateway] | None = None
    in_force: RegisteredGateway | None = None
    reserved: ReservedEUI | None = None

    @property
    def record(self) -> RegisteredGateway | None:
        """The record of its Gateway that would be in force."""
        return None if self.candidate is None else self.candidate.desired or self.candidate.fallback

    @property
    def rank(self) -> int | None:
        """Its rank; None if it has none yet."""
        known = self.in_force or self.reserved
        return None if known is None else known.rank

    @property
    def was_in_force(self) -> bool:
        """Whether a Gateway of the namespace was in force with the EUI, and the namespace still holds it."""
        return self.in_force is not None or (self.reserved is not None and not self.reserved.waits)

    @property
    def tokens(self) -> frozenset[str]:
        """The digests of the tokens of its Gateway."""
        return _tokens(self.record)

    @property
    def precedence(self) -> tuple[datetime, str, str]:
        """A sort key for claims without a rank: the oldest Gateway first."""
        assert self.candidate is not None  # noqa: S101 - a claim without a rank is of a Gateway
        metadata = self.candidate.resource.metadata
        return (metadata.creation_timestamp, self.namespace, metadata.uid)


@dataclass(frozen=True, slots=True)
class Settled:
    """A settled claim.

    Attributes:
        candidate: of its Gateway, with its rank; refused if it waits.
        reserved: the reservation for the namespace if its Gateway is not published; None for none.
    """

    candidate: Candidate[RegisteredGateway] | None
    reserved: ReservedEUI | None


@dataclass(frozen=True)
class Grounds:
    """The grounds for deciding claims.

    Attributes:
        scopes: the scopes of the trust that will be in force.
        before: the scopes of the trust in force.
        full: the namespaces that may have no more waiting entries in this document.
    """

    scopes: Scopes
    before: Scopes
    full: frozenset[str] = frozenset()


class _Loss(Enum):
    """The ways in which a claim loses."""

    YIELDS = 0
    """The release gives the EUI to another namespace; the claim loses until the release undoes that decision."""
    WAITS = 1
    """The claim waits until a person hands the EUI over."""
    WAITS_BEHIND = 2
    """The claim waits until a person hands the EUI over, and gets a new rank after all others."""


def settle(eui: EUI64, claims: Sequence[Claim], grounds: Grounds) -> Mapping[str, Settled]:
    """Decide which namespaces may have an EUI in force.

    Args:
        eui: the EUI.
        claims: at most one of each namespace.
        grounds: the grounds for the decision.
    """
    live = [each for each in _without_handed_over(claims) if each.record is not None or each.rank is not None]
    ranked = _ranks(live)
    losses = _losses(eui, ranked, grounds) if len(live) > 1 else {}
    last = max((rank for _, rank in ranked), default=-1)
    settled: dict[str, Settled] = {}
    for claim, rank in ranked:
        loss = losses.get(claim.namespace)
        final = rank
        if loss is _Loss.WAITS_BEHIND:
            final = last = last + 1
        settled[claim.namespace] = _settled(eui, claim, final, loss)
    # The other claims could not be in force anyway: only their own refusal is reported.
    rest = {each.namespace: Settled(each.candidate, None) for each in claims if each.candidate is not None}
    return {**rest, **settled}


def _without_handed_over(claims: Sequence[Claim]) -> list[Claim]:
    """Return `claims` without those that a person handed over, which is possible only for a deleted Gateway."""
    named = {
        each.candidate.resource.metadata.annotations.takes_over
        for each in claims
        if each.candidate is not None and each.record is not None
    } - {""}
    return [each for each in claims if each.record is not None or not _is_named(each, named)]


def _is_named(claim: Claim, uids: set[str]) -> bool:
    known = claim.in_force or claim.reserved
    return known is not None and claim.was_in_force and known.uid in uids


def _ranks(claims: Sequence[Claim]) -> list[tuple[Claim, int]]:
    """Return all claims with their ranks, in order; claims without one get the next ranks, the oldest Gateway first."""
    ranked = [(each, each.rank) for each in claims if each.rank is not None]
    following = max((rank for _, rank in ranked), default=-1) + 1
    new = sorted((each for each in claims if each.rank is None), key=lambda each: each.precedence)
    ranked += [(each, following + number) for number, each in enumerate(new)]
    return sorted(ranked, key=lambda pair: (pair[1], pair[0].namespace))


def _losses(eui: EUI64, ranked: Sequence[tuple[Claim, int]], grounds: Grounds) -> dict[str, _Loss]:
    """Return the namespaces that may not have the EUI in force, and why."""
    standing: list[Claim] = []
    losses: dict[str, _Loss] = {}
    for claim, _ in ranked:
        if claim.record is None and not claim.was_in_force:
            losses[claim.namespace] = _Loss.WAITS
            continue
        losers = [each for each in standing if _loses_to(each, claim, eui, grounds)]
        others = [each for each in standing if each not in losers]
        if any(_share_trust(each, claim, eui, grounds) for each in others):
            own = not claim.was_in_force or any(_introduced(claim, each, eui, grounds) for each in others)
            losses[claim.namespace] = _Loss.WAITS if own else _Loss.YIELDS
        elif _must_wait(claim, others, eui, grounds):
            losses[claim.namespace] = _Loss.WAITS
        else:
            losses |= dict.fromkeys((each.namespace for each in losers), _Loss.WAITS_BEHIND)
            standing = [*others, claim]
    return losses


def _must_wait(claim: Claim, standing: Sequence[Claim], eui: EUI64, grounds: Grounds) -> bool:
    if claim.was_in_force or not standing:
        return False
    if claim.reserved is None:
        return claim.namespace in grounds.full
    # The release took the EUI away from the others: its TrustedCAs serve the EUI only in this namespace.
    scope = grounds.scopes.of(claim.namespace, eui)
    return bool(scope.own) or not scope.served


def _share_trust(one: Claim, other: Claim, eui: EUI64, grounds: Grounds) -> bool:
    scopes = (grounds.scopes.of(each.namespace, eui) for each in (one, other))
    return bool(one.tokens & other.tokens) or may_overlap(*scopes)


def _loses_to(first: Claim, second: Claim, eui: EUI64, grounds: Grounds) -> bool:
    """Return whether `first` got the shared TrustedCA or token only after `second` already had the EUI with it."""
    return second.was_in_force and _introduced(first, second, eui, grounds)


def _introduced(claim: Claim, other: Claim, eui: EUI64, grounds: Grounds) -> bool:
    """Return whether `claim` itself now has a TrustedCA or token that only `other` had before."""
    if claim.tokens - _tokens(claim.in_force) & _tokens(other.in_force):
        return True
    now, was = grounds.scopes.of(claim.namespace, eui), grounds.before.of(claim.namespace, eui)
    theirs = grounds.before.of(other.namespace, eui)
    return not now.own <= was.own and may_overlap(now.only_own, theirs) and not may_overlap(was, theirs)


def _tokens(record: RegisteredGateway | None) -> frozenset[str]:
    return frozenset(record.token_sha256s) if record is not None else frozenset()


def _settled(eui: EUI64, claim: Claim, rank: int, loss: _Loss | None) -> Settled:
    known = claim.in_force or claim.reserved
    uid = known.uid if known is not None else ""
    if known is None and loss is not None and claim.candidate is not None:
        uid = claim.candidate.resource.metadata.uid
    waits = loss in {_Loss.WAITS, _Loss.WAITS_BEHIND} or (loss is None and known is not None and not claim.was_in_force)
    text = format_hex(eui)
    if known is not None and known.eui == text:
        # That text is in memory already.
        text = known.eui
    reserved = ReservedEUI(eui=text, namespace=claim.namespace, uid=uid, rank=rank, waits=waits)
    candidate = claim.candidate
    if candidate is not None and claim.record is not None:
        if loss is None:
            candidate = candidate.mapped(partial(_ranked, rank=rank))
        else:
            candidate = replace(candidate, desired=None, fallback=None, minimal=None, refusal=_refusal(eui))
    return Settled(candidate, reserved if uid else None)


def _ranked(record: RegisteredGateway, rank: int) -> RegisteredGateway:
    return record if record.rank == rank else with_fields(record, rank=rank)


def _refusal(eui: EUI64) -> StationkeeperError:
    detail = (
        f"another namespace had a Gateway with EUI {format_hex(eui)} before, and one TrustedCA, key or token serves"
        " both; a person must hand it over: delete the other Gateway, and set on this one the annotation"
        f" {TAKES_OVER} to the uid in the last event of the other; or serve the EUI in one namespace only, in"
        " spec.serves of the release's TrustedCAs"
    )
    return StationkeeperError(Reason.EUI_CONFLICT, detail)
