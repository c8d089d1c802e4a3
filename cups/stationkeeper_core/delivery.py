"""How far a gateway is with its configuration, and whether it is to be sent it once more.

A gateway that cannot use what it is sent does not say so: it reports the old CRC again, while a good URI of the same
answer is kept. So deliveries are counted. After `TRIES` of one target that the gateway does not report it is not
converging, and is sent the same at most once in `SPACING`; another target, or a report of all, begins anew. What a
redirect leads back here is the same case: its CUPS URI stays outstanding. Who is to have something else is pending from
then on, not only from its next request.

A first delivery to a gateway whose files are PEM is reported at its next request and never counts as trouble. A request
that reports nothing of what the gateway has, as by hand, is answered in full and not counted.
Pure: the time is passed in, and what is known of a gateway is a `Progress` that the caller keeps.
Source: the CUPS protocol, how the client behaves.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from stationkeeper_core.decision import decide
from stationkeeper_core.observation import DeliveryState, Segment
from stationkeeper_core.published import RegisteredGateway
from stationkeeper_core.update_info import UpdateInfoRequest, UpdateInfoResponse

TRIES = 3
SPACING = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a gateway is with one target.

    Attributes:
        target: a digest of all that it is to have; for comparison in memory only.
        state: see `DeliveryState`.
        deliveries: answers with content for this target since it last reported all of it.
        outstanding: what it did not report at its last request.
        at: when it was last sent something, aware; None where it never was.
    """

    target: bytes
    state: DeliveryState
    deliveries: int = 0
    outstanding: tuple[Segment, ...] = ()
    at: datetime | None = None


@dataclass(frozen=True)
class Delivery:
    """What to answer, and what is known once that is written.

    Attributes:
        response: the answer.
        progress: after the answer; None where the gateway never reported what it has.
        suppressed: whether something is outstanding that the answer leaves out.
        stalls: whether the gateway is found just now not to converge.
    """

    response: UpdateInfoResponse
    progress: Progress | None
    suppressed: bool = False
    stalls: bool = False


def deliver(request: UpdateInfoRequest, gateway: RegisteredGateway, before: Progress | None, now: datetime) -> Delivery:
    """The answer to `request` of a gateway that may have the configuration of `gateway`.

    Args:
        request: what it reports.
        gateway: what it is to have.
        before: the progress after its last answer; None where there is none.
        now: aware.
    """
    response = decide(request, gateway)
    if _reports_nothing(request):
        return Delivery(response, before)
    target = _target(gateway)
    outstanding = segments(response)
    at = before.at if before else None
    if not outstanding:
        return Delivery(response, Progress(target, DeliveryState.DELIVERED, at=at))
    known = before if before is not None and before.target == target else None
    deliveries = known.deliveries if known else 0
    state = DeliveryState.NOT_CONVERGING if deliveries >= TRIES else DeliveryState.PENDING
    suppressed = state is DeliveryState.NOT_CONVERGING and at is not None and at <= now < at + SPACING
    after = Progress(
        target,
        state,
        deliveries=deliveries if suppressed else deliveries + 1,
        outstanding=outstanding,
        at=at if suppressed else now,
    )
    stalls = state is DeliveryState.NOT_CONVERGING and (known is None or known.state is not state)
    return Delivery(UpdateInfoResponse() if suppressed else response, after, suppressed, stalls)


def reconfigured(before: Progress, gateway: RegisteredGateway) -> Progress:
    """What `before` means once the configuration of `gateway` is in force: pending, unless it is the same as then."""
    target = _target(gateway)
    return before if before.target == target else Progress(target, DeliveryState.PENDING, at=before.at)


def has_same_target(one: RegisteredGateway, other: RegisteredGateway) -> bool:
    """Whether a gateway is told the same by both."""
    return _parts(one) == _parts(other)


def segments(response: UpdateInfoResponse) -> tuple[Segment, ...]:
    """The parts that `response` has."""
    parts = {
        Segment.CUPS_URI: response.cups_uri,
        Segment.LNS_URI: response.tc_uri,
        Segment.CUPS_CREDENTIALS: response.cups_credentials,
        Segment.LNS_CREDENTIALS: response.tc_credentials,
    }
    return tuple(segment for segment, content in parts.items() if content)


def _reports_nothing(request: UpdateInfoRequest) -> bool:
    reported = (request.cups_uri, request.tc_uri, request.cups_credentials_crc, request.tc_credentials_crc)
    return all(each is None for each in reported)


def _target(gateway: RegisteredGateway) -> bytes:
    digest = hashlib.sha256()
    for part in _parts(gateway):
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


def _parts(gateway: RegisteredGateway) -> tuple[bytes, ...]:
    texts = (gateway.cups_uri.encode(), gateway.lns_uri.encode())
    return (*texts, gateway.cups_credentials, gateway.lns_credentials)
