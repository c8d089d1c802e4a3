"""What this pod remembers of the gateways that asked it: bounded, in memory only, and gone with the process.

A record is changed by a visit, a request that was let in and answered, by the refusal of somebody who proved to hold a
certificate for the EUI, and by another configuration for the gateway, which is pending from then on. A refusal never
changes what a visit left: whoever else may have a certificate for the EUI made must not overwrite what the real gateway
showed. A record belongs to one Gateway; another one with its EUI begins with an empty one.

Registered and unregistered EUIs have bounds of their own, so that strangers displace no gateway; the record that
changed longest ago makes room. Changes are numbered, and a page is found by its number: it costs what it holds and what
was superseded since, of which no more is kept than there are records.
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
        metrics: where it says how many there are.
        registered, unregistered: how many records of each are kept.

    Attributes:
        instance: names the process; another one has another.
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
        """How far `gateway` is with its configuration; None where that is not known."""
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
        """Remembers a request that was answered with 200.

        Args:
            gateway: whose it was.
            request: what it reported.
            certificate: what it came in by; None where that was a token.
            progress: how far it is, this answer counted.
            now: aware.
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
        """Remembers a refusal under the EUI of the certificate.

        Args:
            client: who was refused.
            request: what it reported; remembered for EUIs without a Gateway only.
            reason: why.
            now: aware.
        """
        refusal = SeenRefusal(reason=reason, at=now, trusted_ca=client.certificate.trusted_ca)
        eui, gateway = client.eui, client.gateway
        if gateway is None:
            stranger = Observation(
                eui=format_hex(eui),
                last_seen=now,
                station=_text(request.station),
                model=_text(request.model),
                package=_text(request.package),
                certificate=client.certificate,
                refusal=refusal,
            )
            self._put(eui, stranger, None)
            return
        known = self._find(eui, gateway.uid)
        before = known.observation if known else Observation(eui=gateway.eui, uid=gateway.uid)
        self._put(eui, msgspec.structs.replace(before, refusal=refusal), known.progress if known else None)

    def claimed(self, client: RefusedClient, reason: Reason, now: datetime) -> None:
        """Remember a refusal under the Gateway that a handshake's certificate or a request names, without proof of it.

        It takes the place of nothing that was proven since the gateway's last visit.

        Args:
            client: who was refused; without a Gateway nothing is remembered.
            reason: why.
            now: aware.
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
        """Has those of `gateways` be pending that are to have something else than before."""
        for gateway in gateways:
            known = self._find(_eui(gateway), gateway.uid)
            if known is None or known.progress is None:
                continue
            progress = reconfigured(known.progress, gateway)
            if progress is not known.progress:
                observation = msgspec.structs.replace(known.observation, delivery=_seen(progress))
                self._put(_eui(gateway), observation, progress)

    def certificates(self) -> Iterator[SeenCertificate]:
        """The certificates by which registered gateways came in last."""
        for record in self._records["registered"].values():
            if record.observation.certificate is not None:
                yield record.observation.certificate

    def page(self, since: int) -> ObservationPage:
        """What changed after the change `since`, the longest ago first, `MAX_PAGE` at most."""
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
        """The record that was changed there; None where it changed again or is gone."""
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
        """Keeps the list of changes no longer than twice the records, at a cost that is spread over the changes."""
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
    """What a gateway reports, fit for JSON and for a terminal; interned, since the fleet reports much the same."""
    return sys.intern(clean(reported or ""))
