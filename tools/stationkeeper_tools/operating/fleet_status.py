"""Summarise a fleet: the state of each gateway and each CA, from their statuses. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from stationkeeper_core.published.observation import DeliveryState
from stationkeeper_core.x509.expiry import Stage, next_stage_at, stage_of
from stationkeeper_operator.resources.records import GATEWAY, TRUSTED_CA
from stationkeeper_tools.operating.fleet import FleetResource

CHECK_IN = timedelta(days=1)
"""How often a Basics Station asks."""


class GatewayState(StrEnum):
    """The state of a gateway: the first one that applies, in this order."""

    SUSPENDED = "Suspended"
    NOT_ACCEPTED = "NotAccepted"
    """Its Gateway is not in force as written."""
    REFUSED = "Refused"
    """Its last request was refused."""
    FELL_BACK = "FellBack"
    NOT_CONVERGING = "NotConverging"
    NEVER_SEEN = "NeverSeen"
    SILENT = "Silent"
    """It has not asked for too long."""
    FINE = "Fine"


NEEDS_A_PERSON = frozenset(
    {GatewayState.NOT_ACCEPTED, GatewayState.REFUSED, GatewayState.FELL_BACK, GatewayState.NOT_CONVERGING}
)


@dataclass(frozen=True, slots=True)
class GatewayLine:
    """One gateway.

    Attributes:
        namespace, name, eui: of its Gateway.
        state: its state.
        detail: why, for people.
        last_seen: the time of its last visit; None for never.
    """

    namespace: str
    name: str
    eui: str
    state: GatewayState
    detail: str
    last_seen: datetime | None


@dataclass(frozen=True)
class CALine:
    """One TrustedCA.

    Attributes:
        namespace, name: of the TrustedCA.
        is_ready: whether it is in force as written.
        reason: the reason of that condition.
        suspended: whether its spec suspends it.
        users: how many gateways it vouched for in the last 25 h.
        ends: when the first of its certificates in force expires; None if that is not known.
        stage: the stage of expiry; None if the end is far away.
    """

    namespace: str
    name: str
    is_ready: bool
    reason: str
    suspended: bool
    users: int
    ends: datetime | None
    stage: Stage | None


@dataclass(frozen=True)
class UnregisteredGateway:
    """A gateway with a valid certificate but no Gateway resource.

    Attributes:
        eui: the EUI in its certificate.
        trusted_ca: `namespace/name` of the TrustedCA that vouches for it.
        last_seen: the time of its last request.
        model, station: as the gateway reports them; empty if it does not.
    """

    eui: str
    trusted_ca: str
    last_seen: str
    model: str = ""
    station: str = ""


@dataclass(frozen=True)
class FleetStatus:
    """The summary of a fleet.

    Attributes:
        gateways: sorted by state, namespace and name.
        cas: sorted by namespace and name.
        unregistered: the one with the latest request first.
    """

    gateways: tuple[GatewayLine, ...] = ()
    cas: tuple[CALine, ...] = ()
    unregistered: tuple[UnregisteredGateway, ...] = field(default=())

    @property
    def counts(self) -> Counter[GatewayState]:
        """The number of gateways in each state."""
        return Counter(each.state for each in self.gateways)

    @property
    def needs_a_person(self) -> bool:
        """Whether a gateway or a CA needs a person's attention."""
        return any(each.state in NEEDS_A_PERSON for each in self.gateways) or any(
            each.stage is Stage.EXPIRED or not (each.is_ready or each.suspended) for each in self.cas
        )


def fleet_status(resources: Iterable[FleetResource], now: datetime, check_ins: int) -> FleetStatus:
    """Return the summary of a fleet.

    Args:
        resources: all in view.
        now: the time, aware.
        check_ins: how many missed daily check-ins make a gateway silent.
    """
    listed = list(resources)
    gateways = [gateway_line(each, now, check_ins) for each in listed if each.key.kind == GATEWAY]
    order = list(GatewayState)
    cas = [each for each in listed if each.key.kind == TRUSTED_CA]
    unregistered = sorted(
        (one for each in cas for one in unregistered_of(each)), key=lambda each: each.last_seen, reverse=True
    )
    return FleetStatus(
        tuple(sorted(gateways, key=lambda each: (order.index(each.state), each.namespace, each.name))),
        tuple(sorted((ca_line(each, now) for each in cas), key=lambda each: (each.namespace, each.name))),
        tuple(unregistered),
    )


def gateway_line(each: FleetResource, now: datetime, check_ins: int) -> GatewayLine:
    """Return the state of a gateway.

    Args:
        each: its Gateway.
        now: the time, aware.
        check_ins: the number of missed daily check-ins after which it is silent.
    """
    seen = moment(each.status.get("lastSeen"))
    state, detail = next(_states(each, seen, now - check_ins * CHECK_IN))
    return GatewayLine(each.key.namespace, each.key.name, str(each.spec.get("eui", "")), state, detail, seen)


def changes_at(line: GatewayLine | CALine, now: datetime, check_ins: int) -> datetime | None:
    """Return the first moment after `now` at which time alone changes a line; None if there is none.

    Args:
        line: from `gateway_line` or `ca_line`.
        now: the time, aware.
        check_ins: as for `gateway_line`.
    """
    if isinstance(line, CALine):
        return next_stage_at(None, line.ends, now) if line.ends is not None else None
    if line.state is not GatewayState.FINE or line.last_seen is None:
        return None
    return line.last_seen + check_ins * CHECK_IN + datetime.resolution


def ca_line(each: FleetResource, now: datetime) -> CALine:
    """Return the state of a TrustedCA at a time, aware."""
    ready = each.condition("Ready")
    ends = None
    for certificate in each.status.get("certificates") or ():
        end = moment(certificate.get("notAfter"))
        if end is not None and not certificate.get("problem") and (ends is None or end < ends):
            ends = end
    return CALine(
        each.key.namespace,
        each.key.name,
        ready.get("status") == "True",
        str(ready.get("reason", "")),
        each.spec.get("suspended") is True,
        int(each.status.get("gatewaysSeen") or 0),
        ends,
        stage_of(None, ends, now) if ends is not None else None,
    )


def unregistered_of(each: FleetResource) -> Iterator[UnregisteredGateway]:
    """Yield the gateways that a TrustedCA vouches for and that have no Gateway."""
    for one in each.status.get("unregistered") or ():
        texts = (str(one.get(name, "")) for name in ("lastSeen", "model", "station"))
        yield UnregisteredGateway(str(one.get("eui", "")), f"{each.key.namespace}/{each.key.name}", *texts)


def state_words(state: GatewayState) -> str:
    """Return the name of a state as words, in small letters."""
    return "".join(f" {each.lower()}" if each.isupper() else each for each in state.value).strip()


def moment(text: object) -> datetime | None:
    """Return the time that a status field holds; None if it holds no time."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def ca_of_last_visit(gateway: FleetResource) -> str:
    """Return the `namespace/name` of the TrustedCA that vouched for a Gateway's last visit; empty if unknown."""
    shown = gateway.status.get("certificate")
    return str(shown.get("trustedCA", "")) if isinstance(shown, Mapping) else ""


def _states(each: FleetResource, seen: datetime | None, silent_since: datetime) -> Iterator[tuple[GatewayState, str]]:
    """Yield the states that apply to a gateway, in the order of `GatewayState`."""
    accepted = each.condition("Accepted")
    if each.spec.get("suspended") is True:
        yield GatewayState.SUSPENDED, "spec.suspended is true"
    if accepted.get("status") == "False":
        yield GatewayState.NOT_ACCEPTED, f"{accepted.get('reason')}: {accepted.get('message')}"
    refusal = _object(each.status, "lastRefusal")
    refused = moment(refusal.get("time"))
    if refused is not None and not refusal.get("claimed") and (seen is None or refused > seen):
        yield GatewayState.REFUSED, f"{refusal.get('reason')} at {refusal.get('time')}"
    delivery = _object(each.status, "delivery")
    outstanding = ", ".join(str(part) for part in delivery.get("outstanding") or ())
    if delivery.get("state") == DeliveryState.FELL_BACK:
        yield GatewayState.FELL_BACK, f"the configuration of spec.cups does not work; outstanding: {outstanding}"
    if delivery.get("state") == DeliveryState.NOT_CONVERGING:
        yield GatewayState.NOT_CONVERGING, f"it still lacks: {outstanding}"
    if seen is None:
        yield GatewayState.NEVER_SEEN, "it never came"
    elif seen < silent_since:
        yield GatewayState.SILENT, f"its last visit was at {each.status['lastSeen']}"
    yield GatewayState.FINE, ""


def _object(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = status.get(name)
    return found if isinstance(found, Mapping) else {}
