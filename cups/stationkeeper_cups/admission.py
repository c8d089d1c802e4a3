"""Judges the certificates that a client presents in its handshake, on the trust in force."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from stationkeeper_core.client_certificate import ClientCertificate, read_client_certificate
from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.trust_anchors import TrustGeneration, Voucher
from stationkeeper_cups.tls.connection import Verdict


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a handshake found out about a client.

    Attributes:
        certificate: what it presented.
        vouchers: the TrustedCAs that vouch for it.
    """

    certificate: ClientCertificate
    vouchers: tuple[Voucher, ...]


class Admission:
    """The judge of one server.

    Args:
        trust: gives the trust in force; None before there is any, and then nobody is let in.
        clock: the time, aware.
    """

    def __init__(self, trust: Callable[[], TrustGeneration | None], clock: Callable[[], datetime]) -> None:
        self._trust = trust
        self._clock = clock

    def judge(self, presented: tuple[bytes, ...]) -> Verdict:
        """Return whether a client that presents `presented`, DER, its own certificate first, is let in."""
        trust, now = self._trust(), self._clock()
        try:
            certificate = read_client_certificate(presented)
        except StationkeeperError as error:
            return Verdict(error)
        vouchers = trust.vouchers(certificate, now) if trust else ()
        judgement = Judgement(certificate, vouchers)
        if vouchers and not certificate.leaf.may_issue_to_clients:
            detail = "the certificate's extended key usage is not for TLS clients"
            return Verdict(StationkeeperError(Reason.CERTIFICATE_WRONG_PURPOSE, detail), judgement)
        if not vouchers:
            return Verdict(_untrusted(trust, certificate, now), judgement)
        if all(each.too_weak and not each.revokes for each in vouchers):
            detail = "no TrustedCA takes a key or signature of the chain"
            return Verdict(StationkeeperError(Reason.CERTIFICATE_TOO_WEAK, detail), judgement)
        return Verdict(None, judgement)


def _untrusted(trust: TrustGeneration | None, certificate: ClientCertificate, now: datetime) -> StationkeeperError:
    leaf = certificate.leaf
    known = trust is not None and any(leaf.folded_issuer in each.subjects for each in trust.authorities)
    if known and leaf.not_after < now:
        return StationkeeperError(Reason.CERTIFICATE_EXPIRED, f"the certificate ended at {leaf.not_after}")
    if known and leaf.not_before > now:
        return StationkeeperError(Reason.CERTIFICATE_NOT_YET_VALID, f"the certificate begins at {leaf.not_before}")
    return StationkeeperError(Reason.UNKNOWN_CA, "no TrustedCA vouches for the certificate")
