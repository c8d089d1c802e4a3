"""Authorize a client by its certificate to speak for the gateway that its request names.

The steps are functions in one table, in their order; the first step that fails decides. Each step narrows the `Claim`
for the next one. All use one snapshot and one judgement of the certificate. The resulting claim names the Gateway, and
CUPS answers with its configuration.

Several namespaces may each have a Gateway with the EUI. The certificate decides which one the request means: the first,
in order of rank and namespace, with a TrustedCA in its scope that vouches for the certificate. The EUI of a deleted
Gateway stays reserved for its namespace in the same way, so that no other namespace inherits it silently.
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
    """A client's claim to be a gateway, and the results of the steps so far.

    Attributes:
        judgement: of the client's certificate, by the snapshot's trust and scope; the client has proved that it has the
            private key.
        router: the EUI that the request names.
        gateway: the Gateway that the request means, after the lookup.
        paths: the trust paths in its scope, after the lookup; later steps remove some.
    """

    judgement: Judgement
    router: EUI64
    gateway: RegisteredGateway | None = None
    paths: tuple[TrustPath, ...] = ()

    @property
    def registered(self) -> RegisteredGateway:
        """The Gateway; only steps after `gateway_is_registered` may use it."""
        if self.gateway is None:
            raise LookupError("a step that needs the gateway ran before it was looked up")
        return self.gateway

    def narrow(self, paths: tuple[TrustPath, ...], reason: Reason, detail: Callable[[], str]) -> "Claim":
        """Return the claim with only `paths`; raise `reason` if there is no path."""
        if not paths:
            raise StationkeeperError(reason, detail())
        return self if len(paths) == len(self.paths) else msgspec.structs.replace(self, paths=paths)


Step = Callable[[Claim, Snapshot], Claim]


def authorize(claim: Claim, snapshot: Snapshot) -> Claim:
    """Return the claim with the Gateway that the client may speak for, and the trust paths that allow it.

    Args:
        claim: the judged certificate and the EUI of the request.
        snapshot: the snapshot that decides.

    Raises:
        StationkeeperError: with the reason of the first step that fails.
    """
    for step in STEPS:
        claim = step(claim, snapshot)
    return claim


def meant_holder(judgement: Judgement, registry: GatewayRegistry) -> Holder | None:
    """Return the Gateway or reservation that a judged certificate means.

    It is the first one with a TrustedCA in its scope that vouches. Without any, it is the first Gateway, else the first
    reservation, else None.
    """
    holders = () if judgement.scope.eui is None else registry.holders(judgement.scope.eui)
    for each in holders:
        if judgement.within(each.namespace):
            return each
    gateways = (each for each in holders if isinstance(each, RegisteredGateway))
    return next(gateways, None) or next(iter(holders), None)


def common_name_is_an_eui(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse a certificate without an EUI."""
    _ = claim.judgement.certificate.eui
    return claim


def common_name_is_the_router(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse a certificate with another EUI than the request."""
    eui = claim.judgement.certificate.eui
    if eui != claim.router:
        raise StationkeeperError(
            Reason.COMMON_NAME_MISMATCH,
            f"the certificate is for {format_hex(eui)}, but the request is for {format_hex(claim.router)}",
        )
    return claim


def a_trusted_ca_vouches(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse a certificate if no TrustedCA vouches for it."""
    judgement = claim.judgement
    if judgement.vouched:
        return claim
    if judgement.budget_spent and not judgement.near_misses:
        raise StationkeeperError(
            Reason.TRUST_BUDGET_SPENT,
            f"one decision may not try all paths above issuer {judgement.certificate.leaf.issuer[:128]!a}",
        )
    near = "".join(f"; {each.trusted_ca.reference} would, but {each.detail}" for each in judgement.near_misses[:1])
    raise StationkeeperError(
        Reason.NO_TRUSTED_CA,
        f"no TrustedCA in force vouches for issuer {judgement.certificate.leaf.issuer[:128]!a}{near}",
    )


def gateway_is_registered(claim: Claim, snapshot: Snapshot) -> Claim:
    """Refuse an EUI without a Gateway, and one that is reserved for the namespace of the TrustedCA that vouches."""
    holder = meant_holder(claim.judgement, snapshot.registry)
    if holder is None:
        raise StationkeeperError(
            Reason.GATEWAY_NOT_REGISTERED, f"there is no accepted Gateway with EUI {format_hex(claim.router)}"
        )
    if not isinstance(holder, RegisteredGateway):
        raise StationkeeperError(
            Reason.GATEWAY_NOT_REGISTERED,
            f"EUI {format_hex(claim.router)} is reserved for namespace {holder.namespace}, which deleted its Gateway",
        )
    return msgspec.structs.replace(claim, gateway=holder, paths=claim.judgement.within(holder.namespace))


def gateway_is_not_suspended(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse a suspended Gateway."""
    if claim.registered.suspended:
        raise StationkeeperError(Reason.GATEWAY_SUSPENDED, f"Gateway {_name(claim)} is suspended")
    return claim


def trusted_ca_speaks_for_the_namespace(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse a certificate if every TrustedCA that vouches for it is outside the Gateway's scope."""
    return claim.narrow(
        claim.paths,
        Reason.TRUSTED_CA_OF_ANOTHER_NAMESPACE,
        lambda: f"{_references(claim.judgement.elsewhere)} may not speak for Gateway {_name(claim)}",
    )


def no_trusted_ca_revokes(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse a certificate that any TrustedCA in the Gateway's scope revokes."""
    revoking = [(each.revocation, each.trusted_ca.reference) for each in claim.paths if each.revocation is not None]
    if not revoking:
        return claim
    reason, reference = min(revoking, key=lambda each: each[0] is not Reason.CERTIFICATE_REVOKED)
    if reason is Reason.CERTIFICATE_REVOKED:
        raise StationkeeperError(reason, f"TrustedCA {reference} revokes the certificate")
    raise StationkeeperError(
        reason, f"the CRL of an issuer is overdue, and TrustedCA {reference} has crlExpired: Refuse"
    )


def gateway_allows_the_trusted_ca(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse a certificate if no TrustedCA that the Gateway allows vouches for it."""
    allowed = claim.registered.trusted_cas
    if allowed is None:
        return claim
    return claim.narrow(
        tuple(each for each in claim.paths if each.trusted_ca.reference in allowed),
        Reason.TRUSTED_CA_NOT_ALLOWED,
        lambda: f"Gateway {_name(claim)} does not allow {_references(claim.paths)}",
    )


def eui_is_in_range(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse an EUI that is outside the ranges of every remaining TrustedCA."""
    return claim.narrow(
        tuple([each for each in claim.paths if each.trusted_ca.may_speak_for(claim.router)]),
        Reason.EUI_OUT_OF_RANGE,
        lambda: f"{format_hex(claim.router)} is outside the ranges of {_references(claim.paths)}",
    )


def certificate_is_pinned(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse a certificate that is not among those that the Gateway pins."""
    pinned, leaf = claim.registered.sha256_fingerprints, claim.judgement.certificate.leaf
    if pinned is not None and leaf.sha256 not in pinned:
        raise StationkeeperError(Reason.CERTIFICATE_NOT_PINNED, f"Gateway {_name(claim)} does not list {leaf.sha256}")
    return claim


def chain_is_strong_enough(claim: Claim, _snapshot: Snapshot) -> Claim:
    """Refuse a chain that is too weak for every remaining TrustedCA."""
    return claim.narrow(
        tuple([each for each in claim.paths if not each.too_weak]),
        Reason.CERTIFICATE_TOO_WEAK,
        lambda: f"a key or signature of the chain is too weak for {_references(claim.paths)}",
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
