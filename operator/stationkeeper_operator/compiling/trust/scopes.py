"""The TrustedCAs in the scope of a namespace, and whether two scopes could vouch for the same client.

Only published trust counts: the trust document in force, and the one that replaces it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.published.documents import TrustDocument, TrustedAuthority
from stationkeeper_core.trust.path_certificate import PathCertificate
from stationkeeper_core.trust.verification import is_signed
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_operator.compiling.certificate_rules import certificate_of
from stationkeeper_operator.compiling.served_namespaces import serves

_MAX_TRIES = 256
"""The maximum of signatures that are verified to decide whether two scopes meet. A tenant can make any number of
certificates with one name and hide the signer among them. So with more certificates, the scopes count as meeting."""


@dataclass(frozen=True)
class Scope:
    """The certificates that can vouch for one Gateway.

    Attributes:
        own: DER of the anchors and intermediates of the namespace's own TrustedCAs.
        served: the same of the TrustedCAs of the release's namespace that serve it.
    """

    own: frozenset[bytes] = frozenset()
    served: frozenset[bytes] = frozenset()

    @property
    def only_own(self) -> "Scope":
        """The part of the namespace's own TrustedCAs."""
        return Scope(self.own)


@dataclass
class Scopes:
    """The scopes of one trust document.

    Attributes:
        trust: the document; None if there is no readable one.
    """

    trust: TrustDocument | None
    _own: dict[str, frozenset[bytes]] = field(default_factory=dict)
    _served: dict[tuple[int, ...], frozenset[bytes]] = field(default_factory=dict)

    def of(self, namespace: str, eui: EUI64) -> Scope:
        """Return the scope of a Gateway with `eui` in `namespace`."""
        if self.trust is None:
            return Scope()
        if namespace not in self._own:
            own = (each for each in self.trust.authorities if each.namespace == namespace)
            self._own[namespace] = _certificates(own)
        if namespace == self.trust.release_namespace:
            return Scope(self._own[namespace])
        numbers = tuple(
            number
            for number, each in enumerate(self.trust.authorities)
            if each.serves and each.namespace == self.trust.release_namespace and serves(each.serves, namespace, eui)
        )
        if numbers not in self._served:
            self._served[numbers] = _certificates(self.trust.authorities[number] for number in numbers)
        return Scope(self._own[namespace], self._served[numbers])


@lru_cache(maxsize=4096)
def may_overlap(one: Scope, other: Scope) -> bool:
    """Return whether both could vouch for one client: by the same key, or if one signed the other."""
    left, right = _readable(one), _readable(other)
    keys = {each.key_sha256 or each.sha256 for each in left}
    if any((each.key_sha256 or each.sha256) in keys for each in right):
        return True
    return _any_signed(left, right) or _any_signed(right, left)


def _any_signed(children: Iterable[Certificate], signers: Iterable[Certificate]) -> bool:
    named: dict[str, dict[str, Certificate]] = {}
    for each in signers:
        named.setdefault(each.folded_subject, {}).setdefault(each.key_sha256 or each.sha256, each)
    pairs = ((signer, child) for child in children for signer in named.get(child.folded_issuer, {}).values())
    return any(tried >= _MAX_TRIES or has_signed(signer.der, child.der) for tried, (signer, child) in enumerate(pairs))


@lru_cache(maxsize=65_536)
def has_signed(signer: bytes, child: bytes) -> bool:
    """Return whether the key of `signer` signed `child`, by the rules of CUPS; both are certificates in DER."""
    below, above = certificate_of(child), certificate_of(signer)
    if below is None or above is None:
        return False
    child_certificate = PathCertificate(below)
    try:
        return is_signed(child_certificate, child_certificate if child == signer else PathCertificate(above))
    except (StationkeeperError, ValueError):
        # A certificate that cannot be verified vouches for nobody.
        return False


def _certificates(authorities: Iterable[TrustedAuthority]) -> frozenset[bytes]:
    return frozenset(der for each in authorities for der in (*each.anchors, *each.intermediates))


def _readable(scope: Scope) -> tuple[Certificate, ...]:
    found = (certificate_of(der) for der in sorted(scope.own | scope.served))
    return tuple(each for each in found if each is not None)
