"""Whom a refused client proved to be all the same, so that the refusal can be shown to whom it concerns.

Only the certificate counts, never what the request names: a TrustedCA in force has to vouch for it. That is far less
than authorization asks, so nothing of it may pass for a visit of a registered gateway.
"""

from dataclasses import dataclass
from datetime import datetime

from stationkeeper_core.client_certificate import ClientCertificate
from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.observation import SeenCertificate
from stationkeeper_core.published import RegisteredGateway
from stationkeeper_core.snapshot import Snapshot
from stationkeeper_core.trust_anchors import Voucher


@dataclass(frozen=True)
class Witness:
    """Who was refused.

    Attributes:
        eui: of the certificate.
        gateway: the Gateway with that EUI; None where there is none.
        certificate: what was presented.
    """

    eui: EUI64
    gateway: RegisteredGateway | None
    certificate: SeenCertificate


def bear_witness(certificate: ClientCertificate, snapshot: Snapshot, now: datetime) -> Witness | None:
    """Whom the holder of `certificate` proved to be at `now`, which is aware; None where it proved nothing.

    For an EUI without a Gateway, which people are invited to register, a TrustedCA has to vouch that may speak for it,
    and none may revoke the certificate.
    """
    try:
        eui = certificate.eui
    except StationkeeperError:
        return None
    gateway = snapshot.registry.find(eui)
    vouchers = snapshot.trust.vouchers(certificate, now)
    if gateway is None:
        revoked = any(each.revokes for each in vouchers)
        vouchers = () if revoked else tuple(each for each in vouchers if each.authority.may_speak_for(eui))
    return Witness(eui, gateway, seen_certificate(certificate, vouchers)) if vouchers else None


def seen_certificate(certificate: ClientCertificate, vouchers: tuple[Voucher, ...]) -> SeenCertificate:
    """What is remembered of `certificate`, for which `vouchers`, at least one, vouch."""
    leaf = certificate.leaf
    return SeenCertificate(
        serial=leaf.serial,
        sha256=leaf.sha256,
        not_after=leaf.x509.not_valid_after_utc,
        trusted_ca=min(each.authority.reference for each in vouchers),
    )
