"""The contract of `GET /observations`: what a CUPS pod remembers of gateways, and how the operator reads it.

Each pod has its own records of the gateways that asked it. From time to time, the operator asks every pod for changes
since its last cursor. `instance` shows that a pod has restarted and no longer knows earlier cursors. Records hold no
token and no key, and nothing derived from one.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

MAX_TEXT = 128
MAX_PAGE = 1000


def clean(text: str, most: int = MAX_TEXT) -> str:
    """Return `text` cut at `most` characters, without characters that control a terminal."""
    cut = text[:most]
    return cut if cut.isprintable() else "".join(each if each.isprintable() else "?" for each in cut)


class DeliveryState(StrEnum):
    """The progress of the delivery to a gateway."""

    DELIVERED = "Delivered"
    """It reports its desired configuration."""
    PENDING = "Pending"
    """It does not report its desired configuration yet; it may have been sent or not."""
    NOT_CONVERGING = "NotConverging"
    """It got its configuration several times, and still reports another one."""
    MOVED = "Moved"
    """It was sent to another CUPS server, and has not asked here since."""
    FELL_BACK = "FellBack"
    """It reports its new CUPS configuration, but asks with its old one, since the new one fails."""


class Segment(StrEnum):
    """A part of an answer."""

    CUPS_URI = "CUPSURI"
    LNS_URI = "LNSURI"
    CUPS_CREDENTIALS = "CUPSCredentials"
    LNS_CREDENTIALS = "LNSCredentials"


class SeenDelivery(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The progress of a gateway with its configuration.

    Attributes:
        state: see `DeliveryState`.
        deliveries: how often it was sent the present configuration, or a part of it, without reporting it; 0 if it
            reports all.
        outstanding: the parts that it does not report yet.
        at: when it was last sent something, aware; None for never.
    """

    state: DeliveryState
    deliveries: int = 0
    outstanding: tuple[Segment, ...] = ()
    at: datetime | None = None


class SeenCertificate(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The client certificate of a gateway.

    Attributes:
        serial: upper-case hex without leading zeros.
        sha256: of its DER, lower-case hex.
        not_after: when it expires, aware.
        trusted_ca: `namespace/name` of the TrustedCA that vouched for it; the first by name if several do.
        not_before: the time from which it is valid, aware; None if the pod does not report it.
        is_ca: whether it may sign certificates (CA:TRUE): its key can make a certificate for any other gateway.
    """

    serial: str
    sha256: str
    not_after: datetime
    trusted_ca: str
    not_before: datetime | None = None
    is_ca: bool = msgspec.field(default=False, name="isCA")


class SeenRefusal(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A refusal of a client with a certificate for the gateway's EUI.

    Attributes:
        reason: the reason's word.
        at: the time, aware.
        trusted_ca: `namespace/name` of the TrustedCA that vouches for that certificate.
        claimed: whether the identity was not proven. Either the handshake was refused before the client proved that it
            has the private key, so it may be anybody who has seen the certificate. Or the certificate belongs to
            another gateway, and only the request names this one. The TrustedCA vouches for the certificate, or would
            vouch except for the reason.
    """

    reason: str
    at: datetime
    trusted_ca: str = ""
    claimed: bool = False


class Observation(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The record of one pod on one EUI.

    Attributes:
        eui: 16 upper-case hex digits.
        uid: of the Gateway; empty if the EUI has no accepted Gateway.
        last_seen: the time of the last request with status 200. For an unregistered gateway, that of the last request
            with a proven certificate that a TrustedCA vouches for. Aware; None if there was none.
        station, model, package: as reported, cut at `MAX_TEXT` characters.
        certificate: of the last such request; None if it authenticated by a token.
        refusal: the last refusal.
        delivery: None if it never reported its configuration.
    """

    eui: str
    uid: str = ""
    last_seen: datetime | None = None
    station: str = ""
    model: str = ""
    package: str = ""
    certificate: SeenCertificate | None = None
    refusal: SeenRefusal | None = None
    delivery: SeenDelivery | None = None


class ObservationPage(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to `GET /observations?since=CURSOR`.

    Attributes:
        instance: identifies the process; another process has other cursors, so begin again with 0.
        cursor: the cursor for the next request.
        more: whether there are more than `MAX_PAGE` changes; then ask again at once.
        observations: those that changed since the cursor, the oldest change first.
    """

    instance: str
    cursor: int
    more: bool = False
    observations: tuple[Observation, ...] = ()
