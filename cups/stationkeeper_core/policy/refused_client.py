"""Identify a refused client by its certificate, so that the refusal can be reported on its Gateway.

Only the certificate counts, never the EUI in the request, and only TrustedCAs in the Gateway's scope. So a tenant with
a certificate of its own for another tenant's EUI cannot write to the other's Gateway. This checks less than
authorization, so it never counts as a visit of a registered gateway.
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
    """A refused client.

    Attributes:
        eui: the EUI in the certificate.
        gateway: the Gateway that the certificate means; None if there is none.
        certificate: the certificate that the client presented.
    """

    eui: EUI64
    gateway: RegisteredGateway | None
    certificate: SeenCertificate


def identify_refused(judgement: Judgement, registry: GatewayRegistry) -> RefusedClient | None:
    """Return the client with the judged certificate; None if no Gateway or TrustedCA should report its refusal.

    Args:
        judgement: of the certificate, with the registry's scope. The caller knows whether the client has proved that it
            has the private key; if not, the refusal is only a claim.
        registry: the gateways in force.

    A Gateway is named if a TrustedCA in its scope vouches, or would vouch except for time, purpose or constraints. An
    EUI without a Gateway, or one reserved for the namespace of the TrustedCA that vouches, is shown to people so that
    they can register it. For these, a TrustedCA that may speak for the EUI must vouch, and no TrustedCA may revoke the
    certificate.
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
    """Return the Gateway that a client asked for with a certificate of another EUI, or of none.

    Return None if the certificate is for the EUI of the request, or if nothing may be reported.

    Args:
        judgement: of the certificate.
        router: the EUI that the request names; the refusal is only a claim, since the certificate has another EUI.
        registry: the gateways in force.

    Only a TrustedCA in the scope of that Gateway counts, and only a certificate that it does not revoke. Nobody else
    may write to that Gateway.
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
    """Return the record of a judged certificate that at least one TrustedCA vouches for."""
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
        trusted_ca=min([each.reference for each in trusted_cas]),
        is_ca=leaf.is_authority and leaf.may_sign_certificates,
    )
