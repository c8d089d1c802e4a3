"""Search the paths by which the TrustedCAs of one namespace may vouch for a certificate.

Each TrustedCA is asked separately: only its anchors are trusted. Its intermediates and the presented certificates only
help to build paths. Paths are found here, by names and key identifiers, and OpenSSL verifies one path at a time.
OpenSSL itself takes the first issuer with the right name and never tries a second one. So of two CAs with the same
subject (a CA with a replaced key), it would refuse the clients of one.

The presented certificates are used last and with a budget of their own, so that they never change what is found without
them. A TrustedCA that accepts only listed intermediates ignores them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from operator import attrgetter

import msgspec

from stationkeeper_core.errors import Reason
from stationkeeper_core.trust.budget import ASKED_UNITS, PATH_UNITS, PRESENTED_FAILURES, Budget
from stationkeeper_core.trust.examination import MAX_CONSTRAINT_BYTES, Examination, constraint_bytes
from stationkeeper_core.trust.judgement import TrustPath
from stationkeeper_core.trust.path_certificate import PathCertificate
from stationkeeper_core.trust.trusted_ca import TrustedCA
from stationkeeper_core.trust.verification import Path, Verdict, Verification
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.purpose import may_be_client, may_be_clients_ca
from stationkeeper_core.x509.strength import Strength

MAX_PATHS = 128
MAX_PATH_CERTIFICATES = 16
MAX_REFUSED = 16

BY_REFERENCE = attrgetter("trusted_ca.reference")
"""The order of trust paths."""
_ORDER = attrgetter("order")

_TIME = {Verdict.EXPIRED: Reason.CERTIFICATE_EXPIRED, Verdict.NOT_YET_VALID: Reason.CERTIFICATE_NOT_YET_VALID}


class Refused(msgspec.Struct, frozen=True):
    """A path that does not count.

    Attributes:
        trusted_ca: the TrustedCA of the path.
        path: its certificates.
        reason: what is wrong with it.
        detail: the same in words.
        signed: whether all its signatures are known to be valid.
    """

    trusted_ca: TrustedCA
    path: Path
    reason: Reason
    detail: str
    signed: bool = False


class _Finding(msgspec.Struct, frozen=True):
    """The result for one TrustedCA; it `decides` if no other path could change it."""

    path: TrustPath | None = None
    decides: bool = False


class PathSearch:
    """A search in TrustedCAs that share a budget.

    Args:
        examination: the certificate and the time.
        units: the budget for paths by configured certificates, see `budget`; paths by presented ones get the same
            again.

    Attributes:
        refused: the first `MAX_REFUSED` paths that would count except for one thing.
        undecided: whether units were missing to ask a TrustedCA that revokes something. Then no other TrustedCA may
            vouch either.
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
        """Whether a path by configured certificates was skipped because units were missing.

        Paths by presented certificates do not count, or a client could change the reason of its refusal.
        """
        return self._budget.is_spent

    @property
    def left_out_presented(self) -> bool:
        """Whether a path by certificates that the client presented was skipped because too many of them failed."""
        return self._presented_budget.is_spent

    def ask(self, trusted_cas: Iterable[TrustedCA], by_presented: Callable[[], list[TrustedCA]]) -> list[TrustPath]:
        """Return the deciding path of each TrustedCA that vouches, ordered by the TrustedCAs' references.

        Args:
            trusted_cas: the TrustedCAs with the issuer's name.
            by_presented: returns the TrustedCAs with the name of an issuer of a presented certificate; called only if
                the client presented others.
        """
        findings: dict[TrustedCA, _Finding] = {}
        # TrustedCAs that revoke something come first, so that others do not use up their units.
        for each in sorted(trusted_cas, key=_ORDER):
            if self._budget.take(ASKED_UNITS):
                findings[each] = self._decide(each, _Finding(), self._budget, presented=False)
            if self._budget.is_spent and each.revocations.is_any:
                self.undecided = self.undecided or findings.get(each, _Finding()).path is None
        if self._examination.has_presented:
            taking = (each for each in {*findings, *by_presented()} if each.record.presented_intermediates)
            for each in sorted(taking, key=_ORDER):
                before = findings.get(each, _Finding())
                if not before.decides and self._presented_budget.take(ASKED_UNITS):
                    findings[each] = self._decide(each, before, self._presented_budget, presented=True)
        paths = [each.path for each in findings.values() if each.path is not None]
        return sorted(paths, key=BY_REFERENCE)

    def _decide(self, trusted_ca: TrustedCA, before: _Finding, budget: Budget, *, presented: bool) -> _Finding:
        """Return the deciding path.

        It is one with a certificate that the spec itself revokes, else the first that is neither revoked by a CRL nor
        too weak, else the first.
        """
        if trusted_ca.revocations.lists:
            self._examination.consider_deadlines(trusted_ca.revocations.deadlines)
        best = before.path
        for path in self._paths(trusted_ca, budget, presented=presented):
            if not self._counts(trusted_ca, path, budget):
                continue
            certificates = tuple([each.certificate for each in path])
            if trusted_ca.revocations.hold_any_of(certificates):
                return _Finding(TrustPath(trusted_ca, certificates, Reason.CERTIFICATE_REVOKED), decides=True)
            if best is None or not best.is_sound:
                another = self._trust_path(trusted_ca, path, certificates)
                best = another if best is None or another.is_sound else best
            if best.is_sound and not trusted_ca.revocations.names_certificates:
                return _Finding(best, decides=True)
        return _Finding(best)

    def _trust_path(self, trusted_ca: TrustedCA, path: Path, certificates: tuple[Certificate, ...]) -> TrustPath:
        least = Strength.WEAK if trusted_ca.record.weak_signatures else Strength.STRONG
        return TrustPath(
            trusted_ca,
            certificates,
            self._revocation(trusted_ca, path) if trusted_ca.revocations.lists else None,
            too_weak=_strength(path) < least,
        )

    def _revocation(self, trusted_ca: TrustedCA, path: Path) -> Reason | None:
        signed = [(child.certificate, issuer.certificate) for child, issuer in self._signed_pairs(trusted_ca, path)]
        return trusted_ca.revocations.refusal_of(signed, self._examination.seconds)

    def _signed_pairs(self, trusted_ca: TrustedCA, path: Path) -> Iterator[tuple[PathCertificate, PathCertificate]]:
        """Yield each certificate of `path` with its issuer; the anchor with its issuers in the TrustedCA."""
        yield from pairwise(path)
        anchor = path[-1]
        for above in (*trusted_ca.anchors.get(anchor.issuer, ()), *trusted_ca.intermediates.get(anchor.issuer, ())):
            # Two CAs with the same name may both have a list with the anchor's serial number.
            pair = [(anchor.certificate, above.certificate)]
            if trusted_ca.revocations.could_refuse(pair) and self._examination.is_signed(anchor, above):
                yield anchor, above

    def _counts(self, trusted_ca: TrustedCA, path: Path, budget: Budget) -> bool:
        """Return whether OpenSSL verifies exactly this path, and it is for clients."""
        flaw = self._lacks_authority(trusted_ca, path) or self._flaw(path)
        if flaw is not None:
            self._refuse(Refused(trusted_ca, path, *flaw))
            return False
        verification = self._known.get(path) or self._verify(path, budget)
        if verification is None:
            return False
        if verification.verdict is Verdict.VERIFIED:
            return True
        if verification.verdict in {Verdict.SIGNATURE, Verdict.ANOTHER_PATH}:
            return False
        reason = _TIME.get(verification.verdict, Reason.CERTIFICATE_INVALID)
        self._refuse(Refused(trusted_ca, path, reason, verification.detail, signed=verification.signed))
        return False

    def _lacks_authority(self, trusted_ca: TrustedCA, path: Path) -> tuple[Reason, str] | None:
        """Return the flaw of a path by a presented certificate that is not a CA, as the reason of a refusal."""
        for each in path[1:-1]:
            if each in self._examination.presented_without_ca and not trusted_ca.is_intermediate(each):
                subject = each.certificate.subject[:128]
                return Reason.CERTIFICATE_INVALID, f"the certificate {subject!a} issued another one, but is not a CA"
        return None

    def _flaw(self, path: Path) -> tuple[Reason, str] | None:
        seconds = self._examination.seconds
        for each in path:
            if not each.is_valid(seconds):
                reason = Reason.CERTIFICATE_EXPIRED if each.ends < seconds else Reason.CERTIFICATE_NOT_YET_VALID
                word = "expired" if each.ends < seconds else "is not valid yet"
                return reason, f"the certificate {each.certificate.subject[:128]!a} {word}"
        if not _is_for_clients(path):
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
        verification = self._known[path] = self._examination.verify(path)
        certain = _has_one_order(path)
        # OpenSSL verifies the signature next to the anchor first and the end entity's last.
        done = costs[verification.depth :] if certain and verification.verdict is Verdict.SIGNATURE else costs
        budget.spend(PATH_UNITS + sum(done))
        failed = certain and verification.verdict is Verdict.SIGNATURE and verification.depth + 1 < len(path)
        if verification.verdict is not Verdict.VERIFIED and not (
            failed and self._has_failed_at_an_anchor(path, verification)
        ):
            budget.failures -= 1
        if failed:
            self._unsigned.add((path[verification.depth], path[verification.depth + 1].key))
        return verification

    def _has_failed_at_an_anchor(self, path: Path, verification: Verification) -> bool:
        """Return whether the anchor did not sign the certificate below it, after another anchor of that name failed.

        A CA with a replaced key has several anchors of one name: that is not a failure of the client.
        """
        if verification.depth + 2 != len(path):
            return False
        below = path[verification.depth]
        has_failed = below in self._failed_at_anchors
        self._failed_at_anchors.add(below)
        return has_failed

    def _paths(self, trusted_ca: TrustedCA, budget: Budget, *, presented: bool) -> Iterator[Path]:
        """Yield the paths that names and key identifiers allow, the shortest first.

        With `presented`, only paths with a presented certificate that the TrustedCA does not hold; else only paths
        without.
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
            if self._unsigned and any((child, issuer.key) in self._unsigned for child, issuer in pairwise(path)):
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
        longer = [((*path, each), has_presented) for each in self._issuers(path, configured, budget)]
        if presented:
            sent = [
                each
                for each in self._examination.presented_by_subject.get(path[-1].issuer, ())
                if each not in configured and not trusted_ca.is_anchor(each)
            ]
            longer += [((*path, each), True) for each in self._issuers(path, sent, budget)]
        return longer[:MAX_PATHS]

    def _issuers(self, path: Path, named: Sequence[PathCertificate], budget: Budget) -> Sequence[PathCertificate]:
        """Return the certificates of `named` that may have issued the last one of `path`, the likely ones first."""
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
        return [each for each in found if (last, each.key) not in self._unsigned] if self._unsigned else found


def _has_one_order(path: Path) -> bool:
    """Return whether the names allow OpenSSL only this order of these certificates."""
    two = 2
    return len(path) <= two or all(
        path[start].issuer != path[end].subject for start in range(len(path)) for end in range(start + 2, len(path))
    )


def _is_for_clients(path: Path) -> bool:
    """Return whether the path, from the end entity to the anchor, is valid for TLS clients."""
    return may_be_client(path[0].certificate) and all(may_be_clients_ca(each.certificate) for each in path[1:])


def _strength(path: Path) -> Strength:
    """Return the weakest of its keys and signatures; the signature on the anchor does not count."""
    found = path[-1].key_strength
    for each in path[:-1]:
        found = min(found, each.key_strength, each.signature_strength)
    return found
