"""The judgement of a presented certificate: who vouches, by which path, and how long that is valid."""

from datetime import datetime

import msgspec

from stationkeeper_core.errors import Reason
from stationkeeper_core.trust.scope import Scope
from stationkeeper_core.trust.trusted_ca import TrustedCA
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.client_certificate import ClientCertificate

FOR_EVER = 2**63
"""A time in seconds since the epoch that is later than any clock shows."""


def unknown_ca(issuer: str) -> tuple[Reason, str]:
    """Return the reason and the detail for a handshake that no TrustedCA vouches for.

    Args:
        issuer: of the end-entity certificate, in the form of RFC 4514.
    """
    return Reason.UNKNOWN_CA, f"no TrustedCA in force vouches for issuer {issuer[:128]!a}"


class TrustPath(msgspec.Struct, frozen=True):
    """A TrustedCA that vouches for a certificate, and its path.

    Attributes:
        trusted_ca: the TrustedCA.
        certificates: from the end-entity certificate to the anchor, as OpenSSL verified them.
        revocation: why the TrustedCA refuses a certificate of the path (`CertificateRevoked` or `CRLExpired`); None if
            it does not.
        too_weak: whether a key or signature of the path is weaker than the TrustedCA allows.
    """

    trusted_ca: TrustedCA
    certificates: tuple[Certificate, ...]
    revocation: Reason | None = None
    too_weak: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether the path is neither revoked nor too weak."""
        return self.revocation is None and not self.too_weak


class NearMiss(msgspec.Struct, frozen=True):
    """A TrustedCA that would vouch except for one thing; every signature of the path is valid.

    Attributes:
        trusted_ca: the TrustedCA.
        certificates: from the end-entity certificate to the anchor.
        reason: `CertificateExpired`, `CertificateNotYetValid`, `CertificateWrongPurpose` or `CertificateInvalid`.
        detail: the details, for the log.
    """

    trusted_ca: TrustedCA
    certificates: tuple[Certificate, ...]
    reason: Reason
    detail: str


class Judgement(msgspec.Struct, frozen=True):
    """The judgement of the TrustedCAs in force on a presented certificate.

    Attributes:
        certificate: the presented certificate.
        scope: defines the TrustedCAs that were asked first.
        paths: the deciding path of each TrustedCA in scope that vouches; ordered by the TrustedCAs' references.
        elsewhere: the same for TrustedCAs outside the scope. It is searched only if `paths` is empty, to give the
            reason of a refusal. It never authorizes a client.
        near_misses: if no path was found, the TrustedCAs that would vouch except for one thing; those in scope first.
        budget_spent: whether a path by configured certificates was skipped because the budget was spent.
        left_out_presented: whether a path by certificates that the client presented was skipped because too many of
            them failed. That changes no reason, or a client could choose its own reason.
        is_final: whether a "no" stays a "no" with any other certificates that the client may have presented.
        since, until: start (included) and end (excluded) of the time in which the judgement is valid for this trust;
            seconds since the epoch.
    """

    certificate: ClientCertificate
    scope: Scope
    paths: tuple[TrustPath, ...] = ()
    elsewhere: tuple[TrustPath, ...] = ()
    near_misses: tuple[NearMiss, ...] = ()
    budget_spent: bool = False
    left_out_presented: bool = False
    is_final: bool = True
    since: int = -FOR_EVER
    until: int = FOR_EVER

    @property
    def vouched(self) -> bool:
        """Whether any TrustedCA vouches, in scope or not."""
        return bool(self.paths or self.elsewhere)

    @property
    def handshake_refusal(self) -> tuple[Reason, str] | None:
        """Why a handshake with this certificate is refused, and a detail for the log; None if it is not refused.

        A certificate that is revoked, of another namespace or not registered passes the handshake. Then the answer to
        its request can give the reason in words.
        """
        found = self.paths or self.elsewhere
        if found:
            # Asked in each handshake, so without a call for each path.
            for each in found:
                if not each.too_weak or each.revocation is not None:
                    return None
            return Reason.CERTIFICATE_TOO_WEAK, "a key or signature of the chain is too weak for every TrustedCA"
        if self.near_misses:
            return self.near_misses[0].reason, self.near_misses[0].detail
        if self.budget_spent:
            return Reason.TRUST_BUDGET_SPENT, "more paths are possible than one decision may try"
        return unknown_ca(self.certificate.leaf.issuer)

    def is_valid_at(self, now: datetime) -> bool:
        """Return whether the judgement is still valid at `now` (aware)."""
        return self.since <= now.timestamp() < self.until

    def within(self, namespace: str) -> tuple[TrustPath, ...]:
        """Return the paths of the TrustedCAs that may vouch for a Gateway of `namespace`."""
        return tuple([each for each in self.paths if each.trusted_ca.serves(namespace, self.scope.eui)])

    def near_misses_within(self, namespace: str) -> tuple[NearMiss, ...]:
        """Return the near misses of the TrustedCAs that may vouch for a Gateway of `namespace`."""
        return tuple(each for each in self.near_misses if each.trusted_ca.serves(namespace, self.scope.eui))
