"""What a CUPS pod remembers of a gateway, and how the operator is told: the contract of `GET /observations`.

Each pod has its own record of whoever asked it. The operator asks every pod from time to time for what is new since
the cursor it was given last; `instance` tells it when a pod has started anew and knows nothing of earlier cursors.
Holds no token and no key, nor anything that was derived of one.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

MAX_TEXT = 128
MAX_PAGE = 1000


def clean(text: str, most: int = MAX_TEXT) -> str:
    """`text` cut at `most` characters, fit for JSON and for a terminal."""
    cut = text[:most]
    return cut if cut.isprintable() else "".join(each if each.isprintable() else "?" for each in cut)


class DeliveryState(StrEnum):
    """How far a gateway is with what it was sent."""

    DELIVERED = "Delivered"
    """It reports all that it is to have."""
    PENDING = "Pending"
    """It is to have something that it did not report yet, be that sent or not."""
    NOT_CONVERGING = "NotConverging"
    """It was sent the same several times, and still reports something else."""
    MOVED = "Moved"
    """It was sent to another CUPS server, and has not asked here since."""
    FELL_BACK = "FellBack"
    """It reports the CUPS configuration that it was sent, and still asks with what it had before: that fails."""


class Segment(StrEnum):
    """A part of an answer."""

    CUPS_URI = "CUPSURI"
    LNS_URI = "LNSURI"
    CUPS_CREDENTIALS = "CUPSCredentials"
    LNS_CREDENTIALS = "LNSCredentials"


class SeenDelivery(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How far a gateway is with its configuration.

    Attributes:
        state: see `DeliveryState`.
        deliveries: how often it was sent the present configuration, or a part of it, without reporting it; 0 where
            it reports all.
        outstanding: what it does not report yet.
        at: when it was last sent something, aware; None where it never was.
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
        trusted_ca: `namespace/name` of the TrustedCA that vouched for it; the first by name where several do.
        not_before: when it begins to be valid, aware; None where the pod does not tell.
        is_ca: whether it may sign others (CA:TRUE): its key can make a certificate for any other gateway.
    """

    serial: str
    sha256: str
    not_after: datetime
    trusted_ca: str
    not_before: datetime | None = None
    is_ca: bool = msgspec.field(default=False, name="isCA")


class SeenRefusal(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A refusal of somebody who proved to hold a certificate for the gateway's EUI.

    Attributes:
        reason: the reason's word.
        at: when, aware.
        trusted_ca: `namespace/name` of the TrustedCA that vouches for that certificate.
        claimed: whether nothing was proven. It was refused in its handshake, before it proved to hold the certificate's
            key, and may be anybody who has seen the certificate; or its certificate is another gateway's, which named
            this one in its request. The TrustedCA vouches for the certificate, or would but for the reason.
    """

    reason: str
    at: datetime
    trusted_ca: str = ""
    claimed: bool = False


class Observation(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What one pod remembers of one EUI.

    Attributes:
        eui: 16 upper-case hex digits.
        uid: of the Gateway; empty where the EUI belongs to no accepted Gateway.
        last_seen: the last request that was answered with 200, or, of an unregistered gateway, that proved to come
            from a certificate that a TrustedCA vouches for; aware; None where there was none.
        station, model, package: as it reported, cut at `MAX_TEXT` characters.
        certificate: of the last such request; None where it came in by a token.
        refusal: the last one.
        delivery: None where it never reported what it has.
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
        instance: of the process; another one has other cursors, so that one begins again with 0.
        cursor: what to ask since next.
        more: whether there is more than `MAX_PAGE` that is new; ask again at once.
        observations: those that changed since the cursor, the one that changed longest ago first.
    """

    instance: str
    cursor: int
    more: bool = False
    observations: tuple[Observation, ...] = ()
