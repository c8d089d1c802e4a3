"""The paths by which the TrustedCAs of one namespace may vouch for a certificate.

Every TrustedCA is asked by itself: its anchors are the only trust, its intermediates and what the client presented
only help to build paths. Paths are found here, by names and key identifiers, and OpenSSL is given one at a time: by
itself it takes the first issuer of the right name and never tries a second, so that of two CAs with one subject (a CA
whose key was replaced) it would refuse the clients of one.

What the client presented is looked at last and has a budget of its own, so that it never takes away what is found
without. A TrustedCA that takes only listed intermediates is not asked with it at all.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import msgspec

from stationkeeper_core.errors import Reason
from stationkeeper_core.trust.budget import ASKED_UNITS, PATH_UNITS, PRESENTED_FAILURES, Budget
from stationkeeper_core.trust.examination import MAX_CONSTRAINT_BYTES, Examination, constraint_bytes
from stationkeeper_core.trust.judgement import TrustPath
from stationkeeper_core.trust.path_certificate import PathCertificate
from stationkeeper_core.trust.purpose import is_for_clients
from stationkeeper_core.trust.trusted_ca import TrustedCA
from stationkeeper_core.trust.verification import Path, Verdict, Verification
from stationkeeper_core.x509.strength import Strength

MAX_PATHS = 128
MAX_PATH_CERTIFICATES = 16
MAX_REFUSED = 16

_TIME = {Verdict.EXPIRED: Reason.CERTIFICATE_EXPIRED, Verdict.NOT_YET_VALID: Reason.CERTIFICATE_NOT_YET_VALID}


class Refused(msgspec.Struct, frozen=True):
    """A path that does not count.

    Attributes:
        trusted_ca: whose path it is.
        path: its certificates.
        reason: what is wrong with it.
        detail: the same in words.
        signed: whether all its signatures are known to hold.
    """

    trusted_ca: TrustedCA
    path: Path
    reason: Reason
    detail: str
    signed: bool = False


class _Finding(msgspec.Struct, frozen=True):
    """What is known of one TrustedCA; it `decides` where no other path could change it."""

    path: TrustPath | None = None
    decides: bool = False


class PathSearch:
    """The search in TrustedCAs that share a budget.

    Args:
        examination: the certificate and the time.
        units: for paths by configured certificates, see `budget`, and as many for paths by presented ones.

    Attributes:
        refused: paths that would count but for one thing, the first `MAX_REFUSED`.
        undecided: whether a TrustedCA that revokes something could not be asked for want of units: then nobody else's
            word counts either.
    """

    def __init__(self, examination: Examination, units: int) -> None:
        self._examination = examination
        self._budget = Budget(units)
        self._presented_budget = Budget(units, PRESENTED_FAILURES)
        self._known: dict[Path, Verification] = {}
        self._unsigned: set[tuple[PathCertificate, str]] = set()
        self._failed_at_anchors: set[PathCertificate] = set()
        self.refused: list[Refused] = []
        self.undecided = False

    @property
    def is_spent(self) -> bool:
        """Whether a path by configured certificates was left out for want of units.

        What the client adds and is left out does not count: else it could change the reason of its refusal by that.
        """
        return self._budget.is_spent

    @property
    def left_out_presented(self) -> bool:
        """Whether a path by certificates that the client presented was left out, since too many of them failed."""
        return self._presented_budget.is_spent

    def ask(self, trusted_cas: Iterable[TrustedCA], by_presented: Callable[[], list[TrustedCA]]) -> list[TrustPath]:
        """Of each TrustedCA that vouches, the path that decides; ordered by their references.

        Args:
            trusted_cas: those that have the issuer's name.
            by_presented: those that have the name of an issuer of what was presented; asked for only where the client
                presented something.
        """
        found: dict[TrustedCA, _Finding] = {}
        # Those that revoke come first, so that others leave them no want of units.
        for each in sorted(trusted_cas, key=_order):
            if self._budget.take(ASKED_UNITS):
                found[each] = self._decide(each, _Finding(), self._budget, presented=False)
            if self._budget.is_spent and each.revocations.is_any:
                self.undecided = self.undecided or found.get(each, _Finding()).path is None
        if self._examination.has_presented:
            taking = (each for each in {*found, *by_presented()} if each.record.presented_intermediates)
            for each in sorted(taking, key=_order):
                before = found.get(each, _Finding())
                if not before.decides and self._presented_budget.take(ASKED_UNITS):
                    found[each] = self._decide(each, before, self._presented_budget, presented=True)
        paths = [each.path for each in found.values() if each.path is not None]
        return sorted(paths, key=lambda each: each.trusted_ca.reference)

    def _decide(self, trusted_ca: TrustedCA, before: _Finding, budget: Budget, *, presented: bool) -> _Finding:
        """The path that decides.

        One with a certificate that the spec itself revokes does, else the first that is neither revoked by CRL nor too
        weak, else the first.
        """
        self._examination.consider_deadlines(trusted_ca.revocations.deadlines)
        found = before.path
        for path in self._paths(trusted_ca, budget, presented=presented):
            if not self._counts(trusted_ca, path, budget):
                continue
            certificates = tuple(each.certificate for each in path)
            if trusted_ca.revocations.hold_any_of(certificates):
                return _Finding(TrustPath(trusted_ca, certificates, Reason.CERTIFICATE_REVOKED), decides=True)
            if found is None or not found.is_sound:
                another = self._trust_path(trusted_ca, path)
                found = another if found is None or another.is_sound else found
            if found.is_sound and not trusted_ca.revocations.names_certificates:
                return _Finding(found, decides=True)
        return _Finding(found)

    def _trust_path(self, trusted_ca: TrustedCA, path: Path) -> TrustPath:
        least = Strength.WEAK if trusted_ca.record.weak_signatures else Strength.STRONG
        return TrustPath(
            trusted_ca,
            tuple(each.certificate for each in path),
            self._revocation(trusted_ca, path) if trusted_ca.revocations.lists else None,
            too_weak=_strength(path) < least,
        )

    def _revocation(self, trusted_ca: TrustedCA, path: Path) -> Reason | None:
        signed = [(child.certificate, issuer.certificate) for child, issuer in self._signed_pairs(trusted_ca, path)]
        return trusted_ca.revocations.refusal_of(signed, self._examination.seconds)

    def _signed_pairs(self, trusted_ca: TrustedCA, path: Path) -> Iterator[tuple[PathCertificate, PathCertificate]]:
        """Each certificate of `path` with the one whose key signed it, the anchor with those of the TrustedCA's."""
        yield from pairwise(path)
        anchor = path[-1]
        for above in (*trusted_ca.anchors.get(anchor.issuer, ()), *trusted_ca.intermediates.get(anchor.issuer, ())):
            # Two CAs of one name may both have a list with the anchor's serial number.
            pair = [(anchor.certificate, above.certificate)]
            if trusted_ca.revocations.could_refuse(pair) and self._examination.is_signed(anchor, above):
                yield anchor, above

    def _counts(self, trusted_ca: TrustedCA, path: Path, budget: Budget) -> bool:
        """Whether OpenSSL verifies exactly this path, and it is one for clients."""
        flaw = self._powerless(trusted_ca, path) or self._flaw(path)
        if flaw is not None:
            self._refuse(Refused(trusted_ca, path, *flaw))
            return False
        found = self._known.get(path) or self._verify(path, budget)
        if found is None:
            return False
        if found.verdict is Verdict.VERIFIED:
            return True
        if found.verdict in {Verdict.SIGNATURE, Verdict.ANOTHER_PATH}:
            return False
        reason = _TIME.get(found.verdict, Reason.CERTIFICATE_INVALID)
        self._refuse(Refused(trusted_ca, path, reason, found.detail, signed=found.signed))
        return False

    def _powerless(self, trusted_ca: TrustedCA, path: Path) -> tuple[Reason, str] | None:
        """The flaw of a path by a presented certificate that is no CA's, so that a refusal can say so."""
        for each in path[1:-1]:
            if each in self._examination.presented_without_ca and not trusted_ca.is_intermediate(each):
                subject = each.certificate.subject[:128]
                return Reason.CERTIFICATE_INVALID, f"the certificate {subject!a} issued another and is no CA's"
        return None

    def _flaw(self, path: Path) -> tuple[Reason, str] | None:
        seconds = self._examination.seconds
        for each in path:
            if not each.is_valid(seconds):
                reason = Reason.CERTIFICATE_EXPIRED if each.ends < seconds else Reason.CERTIFICATE_NOT_YET_VALID
                word = "expired" if each.ends < seconds else "is not valid yet"
                return reason, f"the certificate {each.certificate.subject[:128]!a} {word}"
        if not is_for_clients(path):
            return Reason.CERTIFICATE_WRONG_PURPOSE, "a key usage of the chain does not allow client authentication"
        if constraint_bytes(path) > MAX_CONSTRAINT_BYTES:
            return Reason.CERTIFICATE_INVALID, "the chain has more names and name constraints than can be compared"
        return None

    def _refuse(self, refused: Refused) -> None:
        if len(self.refused) < MAX_REFUSED:
            self.refused.append(refused)

    def _verify(self, path: Path, budget: Budget) -> Verification | None:
        costs = [each.verification_units for each in (path[1:] or path)]
        if not budget.allows(PATH_UNITS + sum(costs)):
            return None
        found = self._known[path] = self._examination.verify(path)
        certain = _has_one_order(path)
        # OpenSSL verifies the anchor's signature first and the end entity's last.
        done = costs[found.depth :] if certain and found.verdict is Verdict.SIGNATURE else costs
        budget.spend(PATH_UNITS + sum(done))
        failed = certain and found.verdict is Verdict.SIGNATURE and found.depth + 1 < len(path)
        if found.verdict is not Verdict.VERIFIED and not (failed and self._has_failed_at_an_anchor(path, found)):
            budget.failures -= 1
        if failed:
            self._unsigned.add((path[found.depth], path[found.depth + 1].key))
        return found

    def _has_failed_at_an_anchor(self, path: Path, found: Verification) -> bool:
        """Whether the anchor did not sign the certificate below it, as another anchor of that name did not before.

        A CA whose key was replaced a few times has as many anchors of one name: that is no failure of the client's.
        """
        if found.depth + 2 != len(path):
            return False
        below = path[found.depth]
        has_failed = below in self._failed_at_anchors
        self._failed_at_anchors.add(below)
        return has_failed

    def _paths(self, trusted_ca: TrustedCA, budget: Budget, *, presented: bool) -> Iterator[Path]:
        """What names and key identifiers allow, the shortest first.

        Only paths with a presented certificate that the TrustedCA does not hold itself, or only paths without.
        """
        leaf = self._examination.leaf
        if not presented and trusted_ca.is_anchor(leaf):
            yield (leaf,)
        begun: deque[tuple[Path, bool]] = deque([((leaf,), False)])
        for _ in range(MAX_PATHS):
            if not begun:
                return
            if budget.is_exhausted:
                break
            path, has_presented = begun.popleft()
            if any((child, issuer.key) in self._unsigned for child, issuer in pairwise(path)):
                continue
            if has_presented is presented:
                yield from self._ends(trusted_ca, path, budget)
            if len(path) + 1 < MAX_PATH_CERTIFICATES:
                begun.extend(self._longer(trusted_ca, path, has_presented, budget, presented=presented))
        budget.is_spent = budget.is_spent or bool(begun)

    def _ends(self, trusted_ca: TrustedCA, path: Path, budget: Budget) -> Iterator[Path]:
        for anchor in self._issuers(path, trusted_ca.anchors.get(path[-1].issuer, ()), budget):
            if (path[-1], anchor.key) not in self._unsigned:
                yield (*path, anchor)

    def _longer(
        self, trusted_ca: TrustedCA, path: Path, has_presented: bool, budget: Budget, *, presented: bool
    ) -> list[tuple[Path, bool]]:
        configured = trusted_ca.intermediates.get(path[-1].issuer, ())
        found = [((*path, each), has_presented) for each in self._issuers(path, configured, budget)]
        if presented:
            sent = [
                each
                for each in self._examination.presented_by_subject.get(path[-1].issuer, ())
                if each not in configured and not trusted_ca.is_anchor(each)
            ]
            found += [((*path, each), True) for each in self._issuers(path, sent, budget)]
        return found[:MAX_PATHS]

    def _issuers(self, path: Path, named: Sequence[PathCertificate], budget: Budget) -> Sequence[PathCertificate]:
        """Those of `named`, which have the issuer's name, that may have issued the last of `path`, the likely first."""
        if not named:
            return ()
        if not budget.take(len(named)):
            return ()
        last, seconds = path[-1], self._examination.seconds
        found = [each for each in named if each not in path and each.may_have_issued(last)]
        self._examination.consider(found)
        if len(found) > 1:
            named_key = last.authority_key_identifier
            found.sort(key=lambda each: (each.key_identifier != named_key, not each.is_valid(seconds), -each.ends))
        return [each for each in found if (last, each.key) not in self._unsigned]


def _order(trusted_ca: TrustedCA) -> tuple[bool, str]:
    return not trusted_ca.revocations.is_any, trusted_ca.reference


def _has_one_order(path: Path) -> bool:
    """Whether the names leave OpenSSL no other path through these certificates."""
    return all(
        path[start].issuer != path[end].subject for start in range(len(path)) for end in range(start + 2, len(path))
    )


def _strength(path: Path) -> Strength:
    """The least of its keys and signatures; who signed the anchor does not matter, it is trusted as it is."""
    return min(*(each.key_strength for each in path), *(each.signature_strength for each in path[:-1]), Strength.STRONG)
