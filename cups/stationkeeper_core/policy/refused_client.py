"""Identify a refused client by its certificate, so that the refusal can be reported on its Gateway.

Only the certificate counts, never what the request names, and only TrustedCAs in the Gateway's scope: a tenant with a
certificate of its own for another's EUI writes nothing to the other's Gateway. It is less than authorization asks, so
nothing of it may pass for a visit of a registered gateway.
"""

from dataclasses import dataclass

from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.in_force.gateway_registry import GatewayRegistry
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.published.observation import SeenCertificate
from stationkeeper_core.trust.judgement import Judgement
from stationkeeper_core.trust.trusted_ca import TrustedCA
from stationkeeper_core.x509.certificate import Certificate


@dataclass(frozen=True)
class RefusedClient:
    """Who was refused.

    Attributes:
        eui: of the certificate.
        gateway: the Gateway that it means; None where nobody has one that the certificate could mean.
        certificate: what was presented.
    """

    eui: EUI64
    gateway: RegisteredGateway | None
    certificate: SeenCertificate


def identify_refused(judgement: Judgement, registry: GatewayRegistry) -> RefusedClient | None:
    """The client that presented the judged certificate; None where its refusal concerns nobody.

    Args:
        judgement: of the certificate, with the registry's scope. Whether the client proved to hold its key is the
            caller's to know: where it did not, the refusal is a claim.
        registry: the gateways in force.

    A Gateway is named where a TrustedCA in its scope vouches, or would but for time, purpose or constraints. For an EUI
    that nobody has, or that is reserved for the namespace whose TrustedCA vouches, which people are invited to
    register, a TrustedCA has to vouch that may speak for it, and none may revoke the certificate.
    """
    eui = judgement.scope.eui
    if eui is None:
        return None
    holders = registry.holders(eui)
    for vouching in (judgement.within, judgement.near_misses_within):
        for holder in holders:
            found = vouching(holder.namespace)
            if found and isinstance(holder, RegisteredGateway):
                return RefusedClient(eui, holder, _seen(judgement, [each.trusted_ca for each in found]))
            if found:
                return _unregistered(judgement, eui)
    return None if holders else _unregistered(judgement, eui)


def identify_claimed(judgement: Judgement, router: EUI64, registry: GatewayRegistry) -> RefusedClient | None:
    """The Gateway that a client asked for with a certificate of another EUI, or of none.

    None where the certificate is for the EUI that was asked for, and where the refusal concerns nobody.

    Args:
        judgement: of the certificate.
        router: the EUI that the request names; so the refusal is a claim, whatever the client proved.
        registry: the gateways in force.

    Only a TrustedCA in the scope of that Gateway counts, and a certificate that it does not revoke: nobody else may
    write anything to it.
    """
    if judgement.certificate.eui_or_none == router:
        return None
    paths = [each for each in judgement.paths or judgement.elsewhere if each.revocation is None]
    for holder in registry.holders(router):
        found = [each.trusted_ca for each in paths if each.trusted_ca.serves(holder.namespace, router)]
        if found and isinstance(holder, RegisteredGateway):
            return RefusedClient(router, holder, _seen(judgement, found))
    return None


def seen_certificate(judgement: Judgement) -> SeenCertificate:
    """What is remembered of the judged certificate, for which at least one TrustedCA vouches."""
    return _seen(judgement, [each.trusted_ca for each in judgement.paths or judgement.elsewhere])


def _unregistered(judgement: Judgement, eui: EUI64) -> RefusedClient | None:
    paths = judgement.paths or judgement.elsewhere
    if any(each.revocation is not None for each in paths):
        return None
    speaking = [each.trusted_ca for each in paths if each.trusted_ca.may_speak_for(eui)]
    return RefusedClient(eui, None, _seen(judgement, speaking)) if speaking else None


def _seen(judgement: Judgement, trusted_cas: list[TrustedCA]) -> SeenCertificate:
    leaf: Certificate = judgement.certificate.leaf
    return SeenCertificate(
        serial=leaf.serial,
        sha256=leaf.sha256,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        trusted_ca=min(each.reference for each in trusted_cas),
        is_ca=leaf.is_authority and leaf.may_sign_certificates,
    )
