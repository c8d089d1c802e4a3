"""Whether a client may speak for the gateway that its request names, by its certificate.

The steps are functions in one table, which has their order; the first that fails decides. Each narrows down the `Claim`
that the next one judges, and all look at one snapshot and one judgement of the certificate. What passes names the
Gateway whose configuration may be answered.

Several namespaces may each have a Gateway with the EUI. Which one is meant says the certificate: the first, in order of
rank and namespace, in whose scope a TrustedCA vouches. The EUI of a Gateway that was deleted stays reserved for its
namespace in the same way, so that no other namespace inherits it in silence.
"""

from collections.abc import Callable

import msgspec

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.in_force.gateway_registry import GatewayRegistry, Holder
from stationkeeper_core.in_force.snapshot import Snapshot
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.trust.judgement import Judgement, TrustPath


class Claim(msgspec.Struct, frozen=True):
    """Who says to be which gateway, and what was found out so far.

    Attributes:
        judgement: of the certificate that the client presented and proved to hold the key of, by the snapshot's trust
            and with the snapshot's scope.
        router: the EUI that the request names.
        gateway: the Gateway that is meant, once it was looked up.
        paths: the trust paths in its scope, once it was looked up; fewer after each later step.
    """

    judgement: Judgement
    router: EUI64
    gateway: RegisteredGateway | None = None
    paths: tuple[TrustPath, ...] = ()

    @property
    def registered(self) -> RegisteredGateway:
        """The Gateway; only steps after `gateway_is_registered` may ask for it."""
        if self.gateway is None:
            raise LookupError("a step that needs the gateway ran before it was looked up")
        return self.gateway

    def narrow(self, paths: tuple[TrustPath, ...], reason: Reason, detail: Callable[[], str]) -> "Claim":
        """The claim with `paths` only; refused with `reason` where none is left."""
        if not paths:
            raise StationkeeperError(reason, detail())
        return self if len(paths) == len(self.paths) else msgspec.structs.replace(self, paths=paths)


Step = Callable[[Claim, Snapshot], Claim]


def authorize(claim: Claim, snapshot: Snapshot) -> Claim:
    """The claim with the Gateway that the client may speak for, and the TrustedCAs that let it.

    Args:
        claim: the judged certificate and the EUI it is to speak for.
        snapshot: the registry to decide on.

    Raises:
        StationkeeperError: with the reason of the first step that fails.
    """
    for step in STEPS:
        claim = step(claim, snapshot)
    return claim


def meant_holder(judgement: Judgement, registry: GatewayRegistry) -> Holder | None:
    """The Gateway or reservation that a judged certificate means.

    The first in whose scope a TrustedCA vouches; where none does, the first Gateway, else the first reservation; None
    where nobody has the EUI.
    """
    holders = () if judgement.scope.eui is None else registry.holders(judgement.scope.eui)
    vouched = (each for each in holders if judgement.within(each.namespace))
    gateways = (each for each in holders if isinstance(each, RegisteredGateway))
    return next(vouched, None) or next(gateways, None) or next(iter(holders), None)


def common_name_is_an_eui(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse a certificate without an EUI."""
    _ = claim.judgement.certificate.eui
    return claim


def common_name_is_the_router(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse a certificate for another EUI than the request's."""
    eui = claim.judgement.certificate.eui
    if eui != claim.router:
        raise StationkeeperError(
            Reason.COMMON_NAME_MISMATCH,
            f"the certificate is for {format_hex(eui)}, the request is of {format_hex(claim.router)}",
        )
    return claim


def a_trusted_ca_vouches(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse a certificate for which no TrustedCA at all vouches."""
    judgement = claim.judgement
    if judgement.vouched:
        return claim
    if judgement.budget_spent and not judgement.near_misses:
        raise StationkeeperError(
            Reason.TRUST_BUDGET_SPENT,
            f"too many certificates may have issued to issuer {judgement.certificate.leaf.issuer[:128]!a}",
        )
    near = "".join(f"; {each.trusted_ca.reference} would, but {each.detail}" for each in judgement.near_misses[:1])
    raise StationkeeperError(
        Reason.NO_TRUSTED_CA,
        f"no TrustedCA in force vouches for issuer {judgement.certificate.leaf.issuer[:128]!a}{near}",
    )


def gateway_is_registered(claim: Claim, snapshot: Snapshot) -> Claim:
    """Refuse an EUI without a Gateway, and one that is reserved for the namespace whose TrustedCA vouches."""
    holder = meant_holder(claim.judgement, snapshot.registry)
    if holder is None:
        raise StationkeeperError(
            Reason.GATEWAY_NOT_REGISTERED, f"there is no accepted Gateway with EUI {format_hex(claim.router)}"
        )
    if not isinstance(holder, RegisteredGateway):
        raise StationkeeperError(
            Reason.GATEWAY_NOT_REGISTERED,
            f"EUI {format_hex(claim.router)} is reserved for namespace {holder.namespace}, whose Gateway was deleted",
        )
    return msgspec.structs.replace(claim, gateway=holder, paths=claim.judgement.within(holder.namespace))


def gateway_is_not_suspended(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse a suspended Gateway."""
    if claim.registered.suspended:
        raise StationkeeperError(Reason.GATEWAY_SUSPENDED, f"Gateway {_name(claim)} is suspended")
    return claim


def trusted_ca_speaks_for_the_namespace(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse a certificate for which only TrustedCAs vouch that are not in the Gateway's scope."""
    return claim.narrow(
        claim.paths,
        Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE,
        lambda: f"{_references(claim.judgement.elsewhere)} may not speak for Gateway {_name(claim)}",
    )


def no_trusted_ca_revokes(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse what any TrustedCA in the Gateway's scope revokes."""
    revoking = [(each.revocation, each.trusted_ca.reference) for each in claim.paths if each.revocation is not None]
    if not revoking:
        return claim
    reason, reference = min(revoking, key=lambda each: each[0] is not Reason.CERTIFICATE_REVOKED)
    if reason is Reason.CERTIFICATE_REVOKED:
        raise StationkeeperError(reason, f"TrustedCA {reference} revokes the certificate")
    raise StationkeeperError(reason, f"the CRL of an issuer is overdue and TrustedCA {reference} refuses then")


def gateway_allows_the_trusted_ca(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse what no TrustedCA that the Gateway allows vouches for."""
    allowed = claim.registered.trusted_cas
    if allowed is None:
        return claim
    return claim.narrow(
        tuple(each for each in claim.paths if each.trusted_ca.reference in allowed),
        Reason.TRUSTED_CA_NOT_ALLOWED,
        lambda: f"Gateway {_name(claim)} does not allow {_references(claim.paths)}",
    )


def eui_is_in_range(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse an EUI outside the ranges of every TrustedCA that is left."""
    return claim.narrow(
        tuple(each for each in claim.paths if each.trusted_ca.may_speak_for(claim.router)),
        Reason.EUI_OUT_OF_RANGE,
        lambda: f"{format_hex(claim.router)} lies outside the ranges of {_references(claim.paths)}",
    )


def certificate_is_pinned(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse another certificate than those that the Gateway pins."""
    pinned, leaf = claim.registered.sha256_fingerprints, claim.judgement.certificate.leaf
    if pinned is not None and leaf.sha256 not in pinned:
        raise StationkeeperError(Reason.CERTIFICATE_NOT_PINNED, f"Gateway {_name(claim)} does not list {leaf.sha256}")
    return claim


def chain_is_strong_enough(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse a path that is weaker than every TrustedCA that is left takes."""
    return claim.narrow(
        tuple(each for each in claim.paths if not each.too_weak),
        Reason.CERTIFICATE_TOO_WEAK,
        lambda: f"{_references(claim.paths)} does not take a key or signature of the chain",
    )


STEPS: tuple[Step, ...] = (
    common_name_is_an_eui,
    common_name_is_the_router,
    a_trusted_ca_vouches,
    gateway_is_registered,
    gateway_is_not_suspended,
    trusted_ca_speaks_for_the_namespace,
    no_trusted_ca_revokes,
    gateway_allows_the_trusted_ca,
    eui_is_in_range,
    certificate_is_pinned,
    chain_is_strong_enough,
)


def _name(claim: Claim) -> str:
    return f"{claim.registered.namespace}/{claim.registered.name}"


def _references(paths: tuple[TrustPath, ...]) -> str:
    return "TrustedCA " + ", ".join(sorted(each.trusted_ca.reference for each in paths)[:3])
