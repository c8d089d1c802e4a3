"""The memory of this pod about gateways: limited, and only in the memory of the process.

Three things change a record: a visit (a request that was accepted and answered), a refusal of a client that proved to
have a certificate for the EUI, and a new configuration for the gateway, which is then pending. A refusal never changes
the data of a visit: another client with a certificate for the EUI must not overwrite the data of the real gateway. A
record belongs to one Gateway; another Gateway with its EUI begins with an empty record.

Registered and unregistered EUIs have separate limits, so that unknown clients displace no gateway; the record with the
oldest change is dropped first. Changes are numbered, and a page begins at a number. It costs as much as its content and
the superseded changes in it, at most one for each record.
"""

import secrets
import sys
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache, partial

import msgspec

from stationkeeper_core.errors import Reason
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.policy.refused_client import RefusedClient
from stationkeeper_core.protocol.delivery import Progress, reconfigured
from stationkeeper_core.protocol.update_info import UpdateInfoRequest
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.published.observation import (
    MAX_PAGE,
    DeliveryState,
    Observation,
    ObservationPage,
    SeenCertificate,
    SeenDelivery,
    SeenRefusal,
    clean,
)
from stationkeeper_cups.metrics import Metrics

MAX_REGISTERED = 131_072
MAX_UNREGISTERED = 1_000


class _Record(msgspec.Struct, frozen=True):
    change: int
    observation: Observation
    progress: Progress | None = None


class Observations:
    """The records of one process.

    Args:
        metrics: the metrics for the numbers of records.
        registered, unregistered: the maximum number of records of each kind.

    Attributes:
        instance: the unique name of the process.
    """

    def __init__(
        self, metrics: Metrics, registered: int = MAX_REGISTERED, unregistered: int = MAX_UNREGISTERED
    ) -> None:
        self.instance = secrets.token_hex(8)
        self._bounds = {"registered": registered, "unregistered": unregistered}
        self._records: dict[str, OrderedDict[EUI64, _Record]] = {kind: OrderedDict() for kind in self._bounds}
        self._states: Counter[DeliveryState] = Counter()
        self._changes = 0
        self._numbers: list[int] = []
        self._changed: list[EUI64] = []
        for kind, records in self._records.items():
            metrics.observations.labels(kind).set_function(partial(len, records))
        for state in DeliveryState:
            metrics.gateway_deliveries.labels(state).set_function(partial(self._states.__getitem__, state))

    def progress(self, gateway: RegisteredGateway) -> Progress | None:
        """Return the progress of `gateway` with its configuration; None if it is not known."""
        record = self._find(_eui(gateway), gateway.uid)
        return record.progress if record else None

    def visited(
        self,
        gateway: RegisteredGateway,
        request: UpdateInfoRequest,
        certificate: SeenCertificate | None,
        progress: Progress | None,
        now: datetime,
    ) -> None:
        """Record a request that was answered with 200.

        Args:
            gateway: the gateway.
            request: its request.
            certificate: the certificate that authenticated it; None for a token.
            progress: its progress, including this answer.
            now: the time, aware.
        """
        eui = _eui(gateway)
        known = self._find(eui, gateway.uid)
        observation = Observation(
            eui=gateway.eui,
            uid=gateway.uid,
            last_seen=now,
            station=_text(request.station),
            model=_text(request.model),
            package=_text(request.package),
            certificate=certificate,
            refusal=known.observation.refusal if known else None,
            delivery=_seen(progress),
        )
        self._put(eui, observation, progress)

    def refused(self, client: RefusedClient, request: UpdateInfoRequest, reason: Reason, now: datetime) -> None:
        """Record a refusal under the EUI of the certificate.

        Args:
            client: the refused client.
            request: its request; stored only for EUIs without a Gateway.
            reason: the reason.
            now: the time, aware.
        """
        refusal = SeenRefusal(reason=reason, at=now, trusted_ca=client.certificate.trusted_ca)
        eui, gateway = client.eui, client.gateway
        if gateway is None:
            unregistered = Observation(
                eui=format_hex(eui),
                last_seen=now,
                station=_text(request.station),
                model=_text(request.model),
                package=_text(request.package),
                certificate=client.certificate,
                refusal=refusal,
            )
            self._put(eui, unregistered, None)
            return
        known = self._find(eui, gateway.uid)
        before = known.observation if known else Observation(eui=gateway.eui, uid=gateway.uid)
        self._put(eui, msgspec.structs.replace(before, refusal=refusal), known.progress if known else None)

    def claimed(self, client: RefusedClient, reason: Reason, now: datetime) -> None:
        """Record a refusal under the Gateway that a handshake's certificate or a request names without proof.

        It does not replace a proven refusal since the gateway's last visit.

        Args:
            client: the refused client; without a Gateway nothing is recorded.
            reason: the reason.
            now: the time, aware.
        """
        gateway = client.gateway
        if gateway is None:
            return
        known = self._find(client.eui, gateway.uid)
        before = known.observation if known else Observation(eui=gateway.eui, uid=gateway.uid)
        proven = before.refusal if before.refusal and not before.refusal.claimed else None
        if proven and (before.last_seen is None or proven.at > before.last_seen):
            return
        refusal = SeenRefusal(reason=reason, at=now, trusted_ca=client.certificate.trusted_ca, claimed=True)
        self._put(client.eui, msgspec.structs.replace(before, refusal=refusal), known.progress if known else None)

    def remembers(self, eui: EUI64) -> bool:
        """Return whether there is a record of a gateway with `eui`."""
        return eui in self._records["registered"]

    def reconfigured(self, gateways: Iterable[RegisteredGateway]) -> None:
        """Set the gateways with a new target to pending."""
        for gateway in gateways:
            known = self._find(_eui(gateway), gateway.uid)
            if known is None or known.progress is None:
                continue
            progress = reconfigured(known.progress, gateway)
            if progress is not known.progress:
                observation = msgspec.structs.replace(known.observation, delivery=_seen(progress))
                self._put(_eui(gateway), observation, progress)

    def certificates(self) -> Iterator[SeenCertificate]:
        """Yield the certificate of the last visit of each registered gateway."""
        for record in self._records["registered"].values():
            if record.observation.certificate is not None:
                yield record.observation.certificate

    def page(self, since: int) -> ObservationPage:
        """Return the changes after the change `since`, the oldest first, at most `MAX_PAGE`."""
        found: list[_Record] = []
        for record in self._after(since):
            if len(found) == MAX_PAGE:
                return self._page(found, found[-1].change, more=True)
            found.append(record)
        return self._page(found, self._changes, more=False)

    def _page(self, records: list[_Record], cursor: int, *, more: bool) -> ObservationPage:
        observations = tuple(record.observation for record in records)
        return ObservationPage(instance=self.instance, cursor=cursor, more=more, observations=observations)

    def _after(self, change: int) -> Iterator[_Record]:
        for place in range(bisect_right(self._numbers, change), len(self._numbers)):
            record = self._current(place)
            if record is not None:
                yield record

    def _current(self, place: int) -> _Record | None:
        """Return the record with that change; None if it changed again or was dropped."""
        for records in self._records.values():
            record = records.get(self._changed[place])
            if record is not None and record.change == self._numbers[place]:
                return record
        return None

    def _find(self, eui: EUI64, uid: str) -> _Record | None:
        record = self._records["registered"].get(eui)
        return record if record and record.observation.uid == uid else None

    def _put(self, eui: EUI64, observation: Observation, progress: Progress | None) -> None:
        kind = "registered" if observation.uid else "unregistered"
        for records in self._records.values():
            if eui in records:
                self._count(records.pop(eui).progress, -1)
        self._changes += 1
        record = _Record(self._changes, observation, progress)
        records = self._records[kind]
        records[eui] = record
        self._count(progress, 1)
        if len(records) > self._bounds[kind]:
            self._count(records.popitem(last=False)[1].progress, -1)
        self._numbers.append(record.change)
        self._changed.append(eui)
        if len(self._numbers) > MAX_PAGE:
            self._drop_superseded()

    def _drop_superseded(self) -> None:
        """Limit the list of changes to twice the records; the cost is spread over the changes."""
        if len(self._numbers) <= 2 * sum(map(len, self._records.values())) + MAX_PAGE:
            return
        places = [place for place in range(len(self._numbers)) if self._current(place)]
        self._numbers = [self._numbers[place] for place in places]
        self._changed = [self._changed[place] for place in places]

    def _count(self, progress: Progress | None, step: int) -> None:
        if progress is not None:
            self._states[progress.state] += step


def _eui(gateway: RegisteredGateway) -> EUI64:
    return EUI64(int(gateway.eui, 16))


def _seen(progress: Progress | None) -> SeenDelivery | None:
    if progress is None:
        return None
    return SeenDelivery(
        state=progress.state, deliveries=progress.deliveries, outstanding=progress.outstanding, at=progress.at
    )


@lru_cache(maxsize=1024)
def _text(reported: str | None) -> str:
    """Return a reported text, cleaned for JSON and terminals; interned, because many gateways report the same."""
    return sys.intern(clean(reported or ""))
