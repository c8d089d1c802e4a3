"""The trust decision: judge a presented certificate by the TrustedCAs in force, a scope and a time.

Pure: the same input gives the same judgement. The TrustedCAs of one tenant never change the result for another tenant:
each namespace is searched separately, with a budget of its own.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import pairwise

from OpenSSL import crypto

from stationkeeper_core.errors import Reason
from stationkeeper_core.trust.budget import (
    ELSEWHERE_UNITS,
    LEAST_NAMESPACE_UNITS,
    NAMESPACE_UNITS,
    NEAR_MISS_UNITS,
    PATH_UNITS,
    Budget,
)
from stationkeeper_core.trust.examination import Examination
from stationkeeper_core.trust.generation import TrustGeneration
from stationkeeper_core.trust.judgement import Judgement, NearMiss, TrustPath
from stationkeeper_core.trust.path_search import BY_REFERENCE, PathSearch, Refused
from stationkeeper_core.trust.scope import Scope
from stationkeeper_core.trust.trusted_ca import TrustedCA
from stationkeeper_core.x509.client_certificate import ClientCertificate

_NEAREST = (
    Reason.CERTIFICATE_EXPIRED,
    Reason.CERTIFICATE_NOT_YET_VALID,
    Reason.CERTIFICATE_WRONG_PURPOSE,
    Reason.CERTIFICATE_INVALID,
)


def judge(
    certificate: ClientCertificate,
    trust: TrustGeneration,
    scope: Scope,
    now: datetime,
    loaded: crypto.X509 | None = None,
) -> Judgement:
    """Judge `certificate` by the TrustedCAs of `trust`.

    Args:
        certificate: the presented certificate; the TLS connection proves that the client has the private key.
        trust: the TrustedCAs in force.
        scope: the namespaces with Gateways that the certificate may speak for. Other TrustedCAs are asked only if none
            in scope vouches, and only to give a reason.
        now: the time, aware.
        loaded: the end-entity certificate as an object of OpenSSL, if there is one already.

    Raises:
        StationkeeperError: `MalformedCertificate`: OpenSSL cannot read the end-entity certificate.
    """
    examination = Examination(certificate, trust, now, loaded)
    _ = examination.leaf.openssl
    searches = _Searches(examination, trust, scope)
    paths = searches.paths_in_scope()
    elsewhere = () if paths else searches.paths_elsewhere()
    near_misses = () if paths or elsewhere else searches.near_misses()
    since, until = examination.interval
    return Judgement(
        certificate=certificate,
        scope=scope,
        paths=paths,
        elsewhere=elsewhere,
        near_misses=near_misses,
        budget_spent=searches.is_spent,
        left_out_presented=searches.left_out_presented,
        is_final=bool(paths) or searches.is_final(),
        since=since,
        until=until,
    )


class _Searches:
    """The searches of one judgement."""

    def __init__(self, examination: Examination, trust: TrustGeneration, scope: Scope) -> None:
        self._examination = examination
        self._trust = trust
        self._scope = scope
        self._searches: list[PathSearch] = []
        self._elsewhere: PathSearch | None = None

    @property
    def is_spent(self) -> bool:
        """Whether a path of a TrustedCA in scope may have been skipped; without a scope, of any TrustedCA."""
        searches = self._searches if self._scope.namespaces else [self._elsewhere]
        return any(each is not None and (each.is_spent or each.undecided) for each in searches)

    @property
    def left_out_presented(self) -> bool:
        """Whether a path by presented certificates was left out."""
        return any(each is not None and each.left_out_presented for each in (*self._searches, self._elsewhere))

    def paths_in_scope(self) -> tuple[TrustPath, ...]:
        """Return the paths of the TrustedCAs in scope; each namespace and the release have their own budget."""
        in_scope: list[TrustPath] = []
        undecided = False
        for group in self._groups():
            named = self._named(group)
            if not named and not self._examination.has_presented:
                continue
            search = PathSearch(self._examination, self._units)
            self._searches.append(search)
            paths = search.ask(named, partial(self._named_by_presented, group))
            undecided = undecided or (search.undecided and group == self._trust.release_namespace)
            in_scope.extend(() if search.undecided else paths)
        return () if undecided else tuple(sorted(in_scope, key=BY_REFERENCE))

    def paths_elsewhere(self) -> tuple[TrustPath, ...]:
        """Return the paths of the TrustedCAs outside the scope, with one small budget for all."""
        search = self._elsewhere = PathSearch(self._examination, ELSEWHERE_UNITS)
        names, presented = self._examination.names, self._examination.presented_names
        return tuple(search.ask(self._outside(names), lambda: self._outside(presented)))

    def near_misses(self) -> tuple[NearMiss, ...]:
        """Return the TrustedCAs that would vouch except for one thing: of those in scope, else of the others."""
        for searches in (self._searches, [self._elsewhere]):
            found = [near for each in searches if each is not None for near in self._proven(each.refused)]
            if found:
                return tuple(sorted(found, key=lambda each: _NEAREST.index(each.reason)))
        return ()

    def is_final(self) -> bool:
        """Return whether a "no" stays a "no" with any other certificates that the client may have presented.

        OpenSSL shows only the path that it found in the presented certificates. If that is only the end-entity
        certificate, no other one has its issuer's name. Then another certificate could help only above a configured
        intermediate.
        """
        if self._examination.has_presented:
            return False
        issuer = self._examination.leaf.issuer
        return not any(issuer in each.intermediates for each in self._trust.named([issuer]) if self._is_asked(each))

    @property
    def _units(self) -> int:
        return max(NAMESPACE_UNITS // max(len(self._scope.namespaces), 1), LEAST_NAMESPACE_UNITS)

    def _groups(self) -> Iterable[str]:
        """Return the namespaces with TrustedCAs in scope."""
        namespaces = self._scope.namespaces
        return dict.fromkeys((*namespaces, self._trust.release_namespace)) if namespaces else ()

    def _named(self, namespace: str) -> list[TrustedCA]:
        names = self._examination.names
        return [each for each in self._trust.named_in(namespace, names) if self._is_in_scope(each)]

    def _named_by_presented(self, namespace: str) -> list[TrustedCA]:
        names = self._examination.presented_names
        return [each for each in self._trust.named_in(namespace, names) if self._is_in_scope(each)]

    def _outside(self, names: Sequence[str]) -> list[TrustedCA]:
        return [each for each in self._trust.named(names) if not self._is_in_scope(each)]

    def _is_in_scope(self, trusted_ca: TrustedCA) -> bool:
        return any(trusted_ca.serves(namespace, self._scope.eui) for namespace in self._scope.namespaces)

    def _is_asked(self, trusted_ca: TrustedCA) -> bool:
        return not self._scope.namespaces or self._is_in_scope(trusted_ca)

    def _proven(self, refused: Iterable[Refused]) -> list[NearMiss]:
        budget = Budget(NEAR_MISS_UNITS)
        found: dict[TrustedCA, NearMiss] = {}
        for each in refused:
            if each.trusted_ca not in found and self._is_proven(each, budget):
                certificates = tuple(part.certificate for part in each.path)
                found[each.trusted_ca] = NearMiss(each.trusted_ca, certificates, each.reason, each.detail)
        return list(found.values())

    def _is_proven(self, refused: Refused, budget: Budget) -> bool:
        if refused.signed:
            return True
        units = sum(PATH_UNITS + each.verification_units for each in refused.path[1:])
        if not budget.allows(units):
            return False
        budget.spend(units)
        links = list(pairwise(refused.path))
        return all(self._examination.is_signed(*each) for each in reversed(links))
