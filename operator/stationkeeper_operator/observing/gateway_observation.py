"""What a status shows of a gateway's visits, and what an observation of a CUPS pod makes of it. Pure.

Several pods see the same gateway: the newest visit says who it is and how far it is, the newest refusal counts.
"""

from datetime import UTC, datetime

import msgspec

from stationkeeper_core.published.observation import (
    DeliveryState,
    Observation,
    SeenCertificate,
    SeenDelivery,
    Segment,
    clean,
)
from stationkeeper_operator.resources.records import Gateway

_MAX_NAME = 317
_NEVER = datetime.min.replace(tzinfo=UTC)


class CertificateShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The certificate that the gateway came with last; see `SeenCertificate`."""

    serial: str
    sha256: str
    not_after: datetime
    trusted_ca: str = msgspec.field(name="trustedCA")
    not_before: datetime | None = None
    is_ca: bool = msgspec.field(default=False, name="isCA")


class RefusalShown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why it was last refused, and when; `claimed` where it was not proven to be the gateway, see `SeenRefusal`."""

    reason: str
    time: datetime
    claimed: bool = False


class DeliveryShown(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is with its configuration; see `SeenDelivery`."""

    state: DeliveryState
    deliveries: int = 0
    outstanding: tuple[Segment, ...] = ()


class GatewayObservation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The fields of `Gateway.status` that tell of visits; what is None is not there."""

    last_seen: datetime | None = None
    station: str | None = None
    model: str | None = None
    package: str | None = None
    certificate: CertificateShown | None = None
    last_refusal: RefusalShown | None = None
    delivery: DeliveryShown | None = None

    @property
    def newest(self) -> datetime:
        """The time of the last visit or refusal; the beginning of time where there was none."""
        refused = self.last_refusal.time if self.last_refusal else _NEVER
        return max(self.last_seen or _NEVER, refused)

    @property
    def substance(self) -> tuple[object, ...]:
        """All but what changes with every visit: two of the same substance differ in times and counts alone.

        Whether the newest thing that is known is a refusal is of substance: a gateway that is let in again is shown so
        at once.
        """
        refused = self.last_refusal
        refusal = (refused.reason, refused.claimed, self.newest != self.last_seen) if refused else None
        delivery = (self.delivery.state, self.delivery.outstanding) if self.delivery else None
        identity = (self.station, self.model, self.package, self.certificate)
        return (self.last_seen is None, *identity, refusal, delivery)


NOTHING_SEEN = GatewayObservation()


def shown_in(gateway: Gateway) -> GatewayObservation:
    """What the present status shows; nothing where it cannot be read."""
    try:
        return msgspec.json.decode(gateway.status.raw, type=GatewayObservation)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return NOTHING_SEEN


def fields_of(observed: GatewayObservation) -> dict[str, object]:
    """The status fields, as JSON has them; None for one that is to go."""
    found: dict[str, object] = msgspec.json.decode(msgspec.json.encode(observed))
    return found


def merged(held: GatewayObservation, seen: Observation, *, keep_not_converging: bool = False) -> GatewayObservation:
    """`held` with what one pod says.

    Args:
        held: what is known.
        seen: of the same gateway.
        keep_not_converging: whether a `Pending` of this pod leaves a `NotConverging` as it is: each pod counts its own
            deliveries, so that another pod's lower count says nothing.
    """
    visit, found = _millisecond(seen.last_seen), held
    if visit is not None and (held.last_seen is None or visit >= held.last_seen):
        found = msgspec.structs.replace(
            held,
            last_seen=visit,
            station=clean(seen.station) or None,
            model=clean(seen.model) or None,
            package=clean(seen.package) or None,
            certificate=_certificate(seen.certificate),
            delivery=_delivery(held.delivery, seen.delivery, keep_not_converging),
        )
    refused = _millisecond(seen.refusal.at) if seen.refusal else None
    if seen.refusal and refused and (held.last_refusal is None or refused >= held.last_refusal.time):
        refusal = RefusalShown(reason=clean(seen.refusal.reason), time=refused, claimed=seen.refusal.claimed)
        if not (refusal.claimed and _is_proven_news(found)):
            found = msgspec.structs.replace(found, last_refusal=refusal)
    return found


def _is_proven_news(found: GatewayObservation) -> bool:
    """Whether the gateway itself was refused since its last visit, which no claim of somebody else may hide."""
    held = found.last_refusal
    return held is not None and not held.claimed and (found.last_seen is None or held.time > found.last_seen)


def _certificate(seen: SeenCertificate | None) -> CertificateShown | None:
    if seen is None:
        return None
    return CertificateShown(
        serial=clean(seen.serial),
        sha256=clean(seen.sha256),
        not_after=_millisecond(seen.not_after) or seen.not_after,
        trusted_ca=clean(seen.trusted_ca, _MAX_NAME),
        not_before=_millisecond(seen.not_before),
        is_ca=seen.is_ca,
    )


def _delivery(held: DeliveryShown | None, seen: SeenDelivery | None, keep: bool) -> DeliveryShown | None:
    if seen is None:
        return held
    stuck = held is not None and held.state == DeliveryState.NOT_CONVERGING
    if keep and stuck and seen.state == DeliveryState.PENDING:
        return held
    return DeliveryShown(
        state=seen.state,
        deliveries=max(0, min(seen.deliveries, 1_000_000)),
        outstanding=tuple(sorted(set(seen.outstanding))),
    )


def _millisecond(time: datetime | None) -> datetime | None:
    """To the millisecond, in UTC: what came last has to show where a visit and a refusal are in one second."""
    if time is None:
        return None
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    try:
        return aware.astimezone(UTC).replace(microsecond=time.microsecond // 1000 * 1000)
    except (OverflowError, ValueError):
        return None
