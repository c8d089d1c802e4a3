"""The visits of a gateway in its status, and their update from observations of CUPS pods. Pure.

Several pods see the same gateway: its identity and progress are those of the newest visit; the newest refusal counts.
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
    """The certificate of the gateway's last visit; see `SeenCertificate`."""

    serial: str
    sha256: str
    not_after: datetime
    trusted_ca: str = msgspec.field(name="trustedCA")
    not_before: datetime | None = None
    is_ca: bool = msgspec.field(default=False, name="isCA")


class RefusalShown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last refusal; `claimed` if the client did not prove to be the gateway. See `SeenRefusal`."""

    reason: str
    time: datetime
    claimed: bool = False


class DeliveryShown(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of the gateway with its configuration; see `SeenDelivery`."""

    state: DeliveryState
    deliveries: int = 0
    outstanding: tuple[Segment, ...] = ()


class GatewayObservation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The fields of `Gateway.status` about visits; a field that is None is absent."""

    last_seen: datetime | None = None
    station: str | None = None
    model: str | None = None
    package: str | None = None
    certificate: CertificateShown | None = None
    last_refusal: RefusalShown | None = None
    delivery: DeliveryShown | None = None

    @property
    def newest(self) -> datetime:
        """The time of the last visit or refusal; the smallest time if there was none."""
        refused = self.last_refusal.time if self.last_refusal else _NEVER
        return max(self.last_seen or _NEVER, refused)

    @property
    def substance(self) -> tuple[object, ...]:
        """The values that do not change with every visit: all except times and counts.

        It includes whether a refusal is the newest event: the status shows at once that a gateway is accepted again.
        """
        refused = self.last_refusal
        refusal = (refused.reason, refused.claimed, self.newest != self.last_seen) if refused else None
        delivery = (self.delivery.state, self.delivery.outstanding) if self.delivery else None
        identity = (self.station, self.model, self.package, self.certificate)
        return (self.last_seen is None, *identity, refusal, delivery)


NOTHING_SEEN = GatewayObservation()


def shown_in(gateway: Gateway) -> GatewayObservation:
    """Return the observation in the present status; an empty one if it cannot be read."""
    try:
        return msgspec.json.decode(gateway.status.raw, type=GatewayObservation)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return NOTHING_SEEN


def fields_of(observed: GatewayObservation) -> dict[str, object]:
    """Return the status fields as JSON values; None for a field to remove."""
    found: dict[str, object] = msgspec.json.decode(msgspec.json.encode(observed))
    return found


def merged(present: GatewayObservation, seen: Observation, *, keep_not_converging: bool = False) -> GatewayObservation:
    """Merge the observation of one pod into `present`.

    Args:
        present: the present observation.
        seen: the pod's observation of the same gateway.
        keep_not_converging: whether `NotConverging` stays if this pod reports `Pending`; each pod counts only its own
            deliveries, so a lower count of another pod proves nothing.
    """
    visit, result = _millisecond(seen.last_seen), present
    if visit is not None and (present.last_seen is None or visit >= present.last_seen):
        result = msgspec.structs.replace(
            present,
            last_seen=visit,
            station=clean(seen.station) or None,
            model=clean(seen.model) or None,
            package=clean(seen.package) or None,
            certificate=_certificate(seen.certificate),
            delivery=_delivery(present.delivery, seen.delivery, keep_not_converging),
        )
    refused = _millisecond(seen.refusal.at) if seen.refusal else None
    if seen.refusal and refused and (present.last_refusal is None or refused >= present.last_refusal.time):
        refusal = RefusalShown(reason=clean(seen.refusal.reason), time=refused, claimed=seen.refusal.claimed)
        if not (refusal.claimed and _has_proven_refusal(result)):
            result = msgspec.structs.replace(result, last_refusal=refusal)
    return result


def _has_proven_refusal(found: GatewayObservation) -> bool:
    """Return whether the gateway itself was refused since its last visit; a mere claim must not hide that."""
    refusal = found.last_refusal
    return refusal is not None and not refusal.claimed and (found.last_seen is None or refusal.time > found.last_seen)


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


def _delivery(present: DeliveryShown | None, seen: SeenDelivery | None, keep: bool) -> DeliveryShown | None:
    if seen is None:
        return present
    stuck = present is not None and present.state == DeliveryState.NOT_CONVERGING
    if keep and stuck and seen.state == DeliveryState.PENDING:
        return present
    return DeliveryShown(
        state=seen.state,
        deliveries=max(0, min(seen.deliveries, 1_000_000)),
        outstanding=tuple(sorted(set(seen.outstanding))),
    )


def _millisecond(time: datetime | None) -> datetime | None:
    """Return the time in UTC to the millisecond, so that a visit and a refusal in one second have an order."""
    if time is None:
        return None
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    try:
        return aware.astimezone(UTC).replace(microsecond=time.microsecond // 1000 * 1000)
    except (OverflowError, ValueError):
        return None
