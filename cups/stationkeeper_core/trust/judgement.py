"""What was found out about a presented certificate: who vouches, by which path, and until when that holds."""

from datetime import datetime

import msgspec

from stationkeeper_core.errors import Reason
from stationkeeper_core.trust.scope import Scope
from stationkeeper_core.trust.trusted_ca import TrustedCA
from stationkeeper_core.x509.certificate import Certificate
from stationkeeper_core.x509.client_certificate import ClientCertificate

FOR_EVER = 2**63
"""Seconds since the epoch that no clock shows."""


def unknown_ca(issuer: str) -> tuple[Reason, str]:
    """Why a handshake is refused for which no TrustedCA would vouch, and a detail for the log.

    Args:
        issuer: of the end-entity certificate, as RFC 4514 writes it.
    """
    return Reason.UNKNOWN_CA, f"no TrustedCA in force vouches for issuer {issuer[:128]!a}"


class TrustPath(msgspec.Struct, frozen=True):
    """A TrustedCA that vouches for a certificate, and the path by which it does.

    Attributes:
        trusted_ca: the TrustedCA.
        certificates: from the end-entity certificate to the anchor, as OpenSSL verified them.
        revocation: why the TrustedCA still refuses a certificate of the path (`CertificateRevoked` or
            `CRLExpired`), None where it does not.
        too_weak: whether a key or signature of the path is weaker than the TrustedCA takes.
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
    """A TrustedCA that would vouch but for one thing; every signature of the path holds.

    Attributes:
        trusted_ca: the TrustedCA.
        certificates: from the end-entity certificate to the anchor.
        reason: `CertificateExpired`, `CertificateNotYetValid`, `CertificateWrongPurpose` or `CertificateInvalid`.
        detail: what exactly, for the log.
    """

    trusted_ca: TrustedCA
    certificates: tuple[Certificate, ...]
    reason: Reason
    detail: str


class Judgement(msgspec.Struct, frozen=True):
    """What the TrustedCAs in force say of a presented certificate.

    Attributes:
        certificate: what was presented.
        scope: which TrustedCAs were asked first.
        paths: of each TrustedCA in scope that vouches, the path that decides; ordered by the TrustedCAs' references.
        elsewhere: the same of TrustedCAs that are not in scope; looked for only where `paths` is empty, so that a
            refusal can say so. Nothing of it may let anybody in.
        near_misses: where no path was found, the TrustedCAs that would vouch but for one thing; those in scope first.
        budget_spent: whether a path by configured certificates was left out, as the budget was spent.
        left_out_presented: whether a path by certificates that the client presented was left out, since too many of
            them failed. That changes no reason: else a client could choose its own.
        is_final: whether no certificate that the client may have presented beside these could turn a no into a yes.
        since, until: from when, and up to but without when, all this holds for this trust; seconds since the epoch.
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
        """Why a handshake with this certificate is refused, and a detail for the log; None where it is not.

        What is revoked, of another namespace or registered nowhere passes: a request says so in words.
        """
        found = self.paths or self.elsewhere
        if found:
            # Asked in each handshake, so without a call for each path.
            for each in found:
                if not each.too_weak or each.revocation is not None:
                    return None
            return Reason.CERTIFICATE_TOO_WEAK, "no TrustedCA takes a key or signature of the chain"
        if self.near_misses:
            return self.near_misses[0].reason, self.near_misses[0].detail
        if self.budget_spent:
            return Reason.TRUST_BUDGET_SPENT, "more paths are possible than one decision may try"
        return unknown_ca(self.certificate.leaf.issuer)

    def holds_at(self, now: datetime) -> bool:
        """Whether nothing that was considered has another state at `now`, which is aware."""
        return self.since <= now.timestamp() < self.until

    def within(self, namespace: str) -> tuple[TrustPath, ...]:
        """The paths of the TrustedCAs that are asked about a Gateway of `namespace`."""
        return tuple(each for each in self.paths if each.trusted_ca.serves(namespace, self.scope.eui))

    def near_misses_within(self, namespace: str) -> tuple[NearMiss, ...]:
        """The same of the near misses."""
        return tuple(each for each in self.near_misses if each.trusted_ca.serves(namespace, self.scope.eui))
