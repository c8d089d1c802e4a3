"""Whether a client may speak for the gateway that its request names.

The steps are numbered, one function each; the first that fails decides. Each narrows down the `Claim` that the next one
judges, and all look at one snapshot and one time. What passes names the Gateway whose configuration may be answered.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from stationkeeper_core.client_certificate import ClientCertificate
from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.published import RegisteredGateway
from stationkeeper_core.snapshot import Snapshot
from stationkeeper_core.trust_anchors import Voucher


@dataclass(frozen=True)
class Claim:
    """Who says to be which gateway, and what was found out so far.

    Attributes:
        certificate: what the client presented and proved to hold the key of.
        router: the EUI that the request names.
        gateway: the Gateway with that EUI, from step 4 on.
        vouchers: the TrustedCAs that vouch for the certificate, from step 3 on; fewer after each later step.
    """

    certificate: ClientCertificate
    router: EUI64
    gateway: RegisteredGateway | None = None
    vouchers: tuple[Voucher, ...] = ()

    @property
    def registered(self) -> RegisteredGateway:
        """The Gateway; only steps after step 4 may ask for it."""
        if self.gateway is None:
            raise LookupError("a step that needs the gateway ran before it was looked up")
        return self.gateway

    def narrow(self, vouchers: tuple[Voucher, ...], reason: Reason, detail: Callable[[], str]) -> "Claim":
        """The claim with `vouchers` only; refused with `reason` where none is left."""
        if not vouchers:
            raise StationkeeperError(reason, detail())
        return self if len(vouchers) == len(self.vouchers) else replace(self, vouchers=vouchers)


Step = Callable[[Claim, Snapshot, datetime], Claim]


def authorize(claim: Claim, snapshot: Snapshot, now: datetime) -> Claim:
    """The claim with the Gateway that the client may speak for, and the TrustedCAs that let it.

    Args:
        claim: the certificate and the EUI it is to speak for.
        snapshot: the trust and the registry to decide on.
        now: the time at which chains have to be valid, aware.

    Raises:
        StationkeeperError: with the reason of the first step that fails.
    """
    for step in STEPS:
        claim = step(claim, snapshot, now)
    return claim


def _1_common_name_is_an_eui(claim: Claim, _snapshot: Snapshot, _now: datetime) -> Claim:
    _ = claim.certificate.eui
    return claim


def _2_common_name_is_the_router(claim: Claim, _snapshot: Snapshot, _now: datetime) -> Claim:
    if claim.certificate.eui != claim.router:
        raise StationkeeperError(
            Reason.COMMON_NAME_MISMATCH,
            f"the certificate is for {format_hex(claim.certificate.eui)}, the request is of {format_hex(claim.router)}",
        )
    return claim


def _3_a_trusted_ca_vouches(claim: Claim, snapshot: Snapshot, now: datetime) -> Claim:
    return claim.narrow(
        snapshot.trust.vouchers(claim.certificate, now),
        Reason.NO_TRUSTED_CA,
        lambda: f"no TrustedCA in force vouches for issuer {claim.certificate.leaf.issuer[:128]!a}",
    )


def _4_gateway_is_registered(claim: Claim, snapshot: Snapshot, _now: datetime) -> Claim:
    gateway = snapshot.registry.find(claim.router)
    if gateway is None:
        raise StationkeeperError(
            Reason.GATEWAY_NOT_REGISTERED, f"there is no accepted Gateway with EUI {format_hex(claim.router)}"
        )
    return replace(claim, gateway=gateway)


def _5_gateway_is_not_suspended(claim: Claim, _snapshot: Snapshot, _now: datetime) -> Claim:
    if claim.registered.suspended:
        raise StationkeeperError(Reason.GATEWAY_SUSPENDED, f"Gateway {_name(claim)} is suspended")
    return claim


def _6_trusted_ca_speaks_for_the_namespace(claim: Claim, snapshot: Snapshot, _now: datetime) -> Claim:
    namespaces = {claim.registered.namespace, snapshot.trust.release_namespace}
    return claim.narrow(
        tuple(each for each in claim.vouchers if each.authority.record.namespace in namespaces),
        Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE,
        lambda: f"{_references(claim)} may not speak for Gateway {_name(claim)}",
    )


def _7_no_trusted_ca_revokes(claim: Claim, _snapshot: Snapshot, _now: datetime) -> Claim:
    revoking = [(each.revocation, each.authority.reference) for each in claim.vouchers if each.revocation is not None]
    if not revoking:
        return claim
    reason, reference = min(revoking, key=lambda each: each[0] is not Reason.CERTIFICATE_REVOKED)
    if reason is Reason.CERTIFICATE_REVOKED:
        raise StationkeeperError(reason, f"TrustedCA {reference} revokes the certificate")
    raise StationkeeperError(reason, f"the CRL of an issuer is overdue and TrustedCA {reference} refuses then")


def _8_gateway_allows_the_trusted_ca(claim: Claim, _snapshot: Snapshot, _now: datetime) -> Claim:
    allowed = claim.registered.trusted_cas
    if allowed is None:
        return claim
    return claim.narrow(
        tuple(each for each in claim.vouchers if each.authority.reference in allowed),
        Reason.TRUSTED_CA_NOT_ALLOWED,
        lambda: f"Gateway {_name(claim)} does not allow {_references(claim)}",
    )


def _9_eui_is_in_range(claim: Claim, _snapshot: Snapshot, _now: datetime) -> Claim:
    return claim.narrow(
        tuple(each for each in claim.vouchers if each.authority.may_speak_for(claim.router)),
        Reason.EUI_OUT_OF_RANGE,
        lambda: f"{format_hex(claim.router)} lies outside the ranges of {_references(claim)}",
    )


def _10_certificate_is_pinned(claim: Claim, _snapshot: Snapshot, _now: datetime) -> Claim:
    pinned = claim.registered.sha256_fingerprints
    if pinned is not None and claim.certificate.leaf.sha256 not in pinned:
        raise StationkeeperError(
            Reason.CERTIFICATE_NOT_PINNED,
            f"Gateway {_name(claim)} does not list {claim.certificate.leaf.sha256}",
        )
    return claim


def _11_chain_is_strong_enough(claim: Claim, _snapshot: Snapshot, _now: datetime) -> Claim:
    return claim.narrow(
        tuple(each for each in claim.vouchers if not each.too_weak),
        Reason.CERTIFICATE_TOO_WEAK,
        lambda: f"{_references(claim)} does not take a key or signature of the chain",
    )


STEPS: tuple[Step, ...] = (
    _1_common_name_is_an_eui,
    _2_common_name_is_the_router,
    _3_a_trusted_ca_vouches,
    _4_gateway_is_registered,
    _5_gateway_is_not_suspended,
    _6_trusted_ca_speaks_for_the_namespace,
    _7_no_trusted_ca_revokes,
    _8_gateway_allows_the_trusted_ca,
    _9_eui_is_in_range,
    _10_certificate_is_pinned,
    _11_chain_is_strong_enough,
)


def _name(claim: Claim) -> str:
    return f"{claim.registered.namespace}/{claim.registered.name}"


def _references(claim: Claim) -> str:
    return "TrustedCA " + ", ".join(sorted(each.authority.reference for each in claim.vouchers)[:3])
