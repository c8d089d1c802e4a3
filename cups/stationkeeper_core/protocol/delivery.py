"""How far a gateway is with its configuration, and whether the next answer leaves something out.

A gateway that cannot use what it is sent does not say so: it reports the old CRC again, while a good URI of the same
answer is kept. So deliveries are counted. After `TRIES` of one target that the gateway does not report, it is not
converging. From then on, the same parts are sent at most once in `SPACING`, because each delivery restarts a running
LNS link, or makes the gateway ask again after a minute. Another target, or a report of all, begins anew.

Only what would disturb something that works is held back. A gateway that reports no LNS, or no CUPS credentials, has
none: it gets them in each answer. Those answers are counted, but do not use up the tries of a gateway that has a link,
such as the one in whose place a person asks with the simulator and an empty folder.

A gateway whose new CUPS configuration does not work goes back to its older set, and still reports the new one. Two
signs show that: it asked a server other than the one it reports, or it presented another certificate than the one in
the set whose CRC it reports.

A first delivery to a gateway whose files are PEM is reported at its next request and never counts as trouble. A request
that reports nothing of what the gateway has, as by hand, is answered in full and not counted.
Pure: the time is passed in, and what is known of a gateway is a `Progress` that the caller keeps.
Source: the CUPS protocol, how the client behaves; the sets REG, BAK and BOOT in src/sys.c of Basics Station 2.0.6.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import urlsplit

import msgspec

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_core.protocol.credentials import NOTHING_CONFIGURED, crc
from stationkeeper_core.protocol.decision import decide
from stationkeeper_core.protocol.station_preflight import preflight
from stationkeeper_core.protocol.update_info import NOTHING, UpdateInfoRequest, UpdateInfoResponse
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.published.observation import DeliveryState, Segment

TRIES = 3
SPACING = timedelta(hours=6)


_DEFAULT_PORTS = {"https": 443}


class Progress(msgspec.Struct, frozen=True):
    """How far a gateway is with one target.

    Attributes:
        target: a hash of all that it is to have; for comparison in this process only.
        state: see `DeliveryState`.
        deliveries: answers with content for this target since it last reported all of it.
        outstanding: what it did not report at its last request.
        at: when it was last sent all that it lacked, aware; None where it never was.
        disturbing: of `deliveries`, those with a part that may have disturbed what works.
    """

    target: int
    state: DeliveryState
    deliveries: int = 0
    outstanding: tuple[Segment, ...] = ()
    at: datetime | None = None
    disturbing: int = 0


class Asked(msgspec.Struct, frozen=True):
    """How a gateway asked.

    Attributes:
        host: the `Host` header, which names the server that the gateway connected to; empty where there is none.
        certificate: DER of the end-entity certificate that it presented; None where it presented none.
    """

    host: str = ""
    certificate: bytes | None = None


class Delivery(msgspec.Struct, frozen=True):
    """What to answer, and what is known once that is written.

    Attributes:
        response: the answer.
        progress: after the answer; None where the gateway never reported what it has.
        suppressed: whether something is outstanding that the answer leaves out.
        stalls: whether the gateway is found just now not to converge.
        falls_back: whether the gateway is found just now to have fallen back.
    """

    response: UpdateInfoResponse
    progress: Progress | None
    suppressed: bool = False
    stalls: bool = False
    falls_back: bool = False


def deliver(
    request: UpdateInfoRequest,
    gateway: RegisteredGateway,
    before: Progress | None,
    now: datetime,
    asked: Asked | None = None,
) -> Delivery:
    """Return the answer to `request` of a gateway that may have the configuration of `gateway`.

    Args:
        request: what it reports.
        gateway: what it is to have.
        before: the progress after its last answer; None where there is none.
        now: aware.
        asked: how it asked; None where that is not known.
    """
    response = decide(request, gateway)
    if _reports_nothing(request):
        return Delivery(response, before)
    target, outstanding = _target(gateway), segments(response)
    known = before if before is not None and before.target == target else None
    at = before.at if before else None
    fell_back = asked is not None and _fell_back(request, gateway, asked)
    falls_back = fell_back and (known is None or known.state is not DeliveryState.FELL_BACK)
    if not outstanding:
        state = DeliveryState.FELL_BACK if fell_back else DeliveryState.DELIVERED
        return Delivery(response, Progress(target, state, at=at), falls_back=falls_back)
    deliveries, disturbing = (known.deliveries, known.disturbing) if known else (0, 0)
    stuck = deliveries >= TRIES
    may_disturb = _may_disturb(request, outstanding)
    is_early = at is not None and at <= now < at + SPACING
    held_back = may_disturb if disturbing >= TRIES and is_early else frozenset[Segment]()
    sent = _without(response, held_back)
    state = _state(gateway, sent, asked, stuck=stuck, fell_back=fell_back)
    after = Progress(
        target,
        state,
        deliveries=deliveries + (sent != NOTHING),
        outstanding=outstanding,
        at=at if held_back else now,
        disturbing=disturbing + bool(may_disturb - held_back),
    )
    stalls = state is DeliveryState.NOT_CONVERGING and (known is None or known.state is not state)
    return Delivery(sent, after, bool(held_back), stalls, falls_back)


def reconfigured(before: Progress, gateway: RegisteredGateway) -> Progress:
    """What `before` means once the configuration of `gateway` is in force: pending, unless it is the same as then."""
    target = _target(gateway)
    return before if before.target == target else Progress(target, DeliveryState.PENDING, at=before.at)


def has_same_target(one: RegisteredGateway, other: RegisteredGateway) -> bool:
    """Whether a gateway is told the same by both."""
    return _parts(one) == _parts(other)


def segments(response: UpdateInfoResponse) -> tuple[Segment, ...]:
    """The parts that `response` has."""
    if response == NOTHING:
        return ()
    parts = {
        Segment.CUPS_URI: response.cups_uri,
        Segment.LNS_URI: response.tc_uri,
        Segment.CUPS_CREDENTIALS: response.cups_credentials,
        Segment.LNS_CREDENTIALS: response.tc_credentials,
    }
    return tuple(segment for segment, content in parts.items() if content)


def _state(
    gateway: RegisteredGateway, sent: UpdateInfoResponse, asked: Asked | None, *, stuck: bool, fell_back: bool
) -> DeliveryState:
    if fell_back:
        return DeliveryState.FELL_BACK
    if stuck:
        return DeliveryState.NOT_CONVERGING
    moves = sent.cups_uri and asked is not None and asked.host and not _is_at(asked.host, gateway.cups_uri)
    return DeliveryState.MOVED if moves else DeliveryState.PENDING


def _may_disturb(request: UpdateInfoRequest, outstanding: tuple[Segment, ...]) -> frozenset[Segment]:
    """Return those of `outstanding` that take the place of something that may work."""
    missing: set[Segment] = set()
    if not request.tc_uri:
        # The LNS link runs only with a URI.
        missing |= {Segment.LNS_URI, Segment.LNS_CREDENTIALS}
    if not request.cups_uri:
        missing.add(Segment.CUPS_URI)
    if request.cups_credentials_crc in {None, NOTHING_CONFIGURED}:
        missing.add(Segment.CUPS_CREDENTIALS)
    return frozenset(outstanding) - missing


def _without(response: UpdateInfoResponse, held_back: frozenset[Segment]) -> UpdateInfoResponse:
    return UpdateInfoResponse(
        cups_uri="" if Segment.CUPS_URI in held_back else response.cups_uri,
        tc_uri="" if Segment.LNS_URI in held_back else response.tc_uri,
        cups_credentials=b"" if Segment.CUPS_CREDENTIALS in held_back else response.cups_credentials,
        tc_credentials=b"" if Segment.LNS_CREDENTIALS in held_back else response.tc_credentials,
    )


def _fell_back(request: UpdateInfoRequest, gateway: RegisteredGateway, asked: Asked) -> bool:
    """Return whether the gateway reports the CUPS configuration of `gateway` and did not ask with it."""
    is_elsewhere = bool(gateway.cups_uri and asked.host) and request.cups_uri == gateway.cups_uri
    if is_elsewhere and not _is_at(asked.host, gateway.cups_uri):
        return True
    blob = gateway.cups_credentials
    if not blob or request.cups_credentials_crc != crc(blob):
        return False
    try:
        expected = preflight(blob).certificate
    except StationkeeperError:
        return False
    return expected != (asked.certificate or b"")


@lru_cache(maxsize=1024)
def _is_at(host: str, uri: str) -> bool:
    """Return whether a request with that `Host` header went to the server of `uri`."""
    try:
        there, here = urlsplit(uri.lower()), urlsplit(f"//{host.strip().lower()}")
        ports = there.port, here.port
    except ValueError:
        return False
    default = _DEFAULT_PORTS.get(there.scheme)
    return (there.hostname, ports[0] or default) == (here.hostname, ports[1] or default)


def _reports_nothing(request: UpdateInfoRequest) -> bool:
    return (
        request.cups_uri is None
        and request.tc_uri is None
        and request.cups_credentials_crc is None
        and request.tc_credentials_crc is None
    )


def _target(gateway: RegisteredGateway) -> int:
    # Python's hashes of texts and bytes have a secret of the process, so that nobody can have two be the same.
    return hash(_parts(gateway))


def _parts(gateway: RegisteredGateway) -> tuple[str, str, bytes, bytes]:
    return gateway.cups_uri, gateway.lns_uri, gateway.cups_credentials, gateway.lns_credentials
