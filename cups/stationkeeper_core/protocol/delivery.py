"""Track the delivery of a gateway's configuration, and decide what the next answer leaves out.

A gateway that cannot use the credentials in an answer does not say so: it reports the old CRC again, but keeps a good
URI of the same answer. So deliveries are counted. After `TRIES` deliveries of one target that the gateway does not
report, it is not converging. From then on, the same parts are sent at most once in `SPACING`, because each delivery
restarts a running LNS link, or makes the gateway ask again after a minute. Another target, or a report of all parts,
resets the count.

Only parts that could disturb a working link are held back. A gateway that reports no LNS, or no CUPS credentials, has
none: it gets them in each answer. These answers are counted, but do not use up the tries of a gateway with a link: a
person may ask in the place of a working gateway, with the simulator and an empty folder.

If a gateway's new CUPS configuration does not work, the gateway goes back to its older set, but still reports the new
one. Two signs show that. It asked another server than the one that it reports. Or it reports the CRC of a set, but
presented another certificate than the one in that set.

A gateway with PEM files reports a first delivery at its next request; that never counts as a problem. A request that
reports nothing, for example one by hand, gets a full answer and is not counted.
Pure: the time is passed in, and the caller stores the `Progress` of each gateway.
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
    """The progress of a gateway with one target.

    Attributes:
        target: a hash of its desired configuration; only for comparison in this process.
        state: see `DeliveryState`.
        deliveries: the number of answers with parts of this target since it last reported all of it.
        outstanding: the parts that it did not report at its last request.
        at: when it was last sent all outstanding parts, aware; None for never.
        disturbing: the number of `deliveries` with a part that may have disturbed a working link.
    """

    target: int
    state: DeliveryState
    deliveries: int = 0
    outstanding: tuple[Segment, ...] = ()
    at: datetime | None = None
    disturbing: int = 0


class Asked(msgspec.Struct, frozen=True):
    """The way in which a gateway sent its request.

    Attributes:
        host: the `Host` header, which names the server that the gateway connected to; empty if there is none.
        certificate: DER of its end-entity certificate; None if it presented none.
    """

    host: str = ""
    certificate: bytes | None = None


class Delivery(msgspec.Struct, frozen=True):
    """The answer, and the progress after it.

    Attributes:
        response: the answer.
        progress: after the answer; None if the gateway never reported its configuration.
        suppressed: whether the answer leaves out an outstanding part.
        stalls: whether the gateway has just become not converging.
        falls_back: whether the gateway has just fallen back.
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
    """Return the answer to `request` for the configuration of `gateway`, and the progress after it.

    Args:
        request: the gateway's report.
        gateway: its desired configuration.
        before: the progress after its last answer; None if there is none.
        now: the time, aware.
        asked: how it sent the request; None if that is not known.
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
    """Return the progress after a change of the configuration: pending, unless the target is the same as before."""
    target = _target(gateway)
    return before if before.target == target else Progress(target, DeliveryState.PENDING, at=before.at)


def has_same_target(one: RegisteredGateway, other: RegisteredGateway) -> bool:
    """Return whether both have the same configuration for the gateway."""
    return _parts(one) == _parts(other)


def segments(response: UpdateInfoResponse) -> tuple[Segment, ...]:
    """Return the parts in `response`."""
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
    """Return the outstanding parts that would replace something that may work."""
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
    """Return whether the gateway reports the CUPS configuration of `gateway` but did not ask with it."""
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
    """Return whether a request with this `Host` header was sent to the server of `uri`."""
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
    # Python's hashes of texts and bytes use a secret of the process, so nobody can provoke a collision.
    return hash(_parts(gateway))


def _parts(gateway: RegisteredGateway) -> tuple[str, str, bytes, bytes]:
    return gateway.cups_uri, gateway.lns_uri, gateway.cups_credentials, gateway.lns_credentials
