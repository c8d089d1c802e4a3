from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.protocol.credentials import (
    ABSENT,
    NOTHING_CONFIGURED,
    client_authentication,
    crc,
    server_authentication,
)
from stationkeeper_core.protocol.delivery import (
    SPACING,
    TRIES,
    Asked,
    Delivery,
    Progress,
    deliver,
    reconfigured,
    segments,
)
from stationkeeper_core.protocol.update_info import UpdateInfoRequest, UpdateInfoResponse
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.published.observation import DeliveryState, Segment

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
GATEWAY = RegisteredGateway(
    eui="0000000000000001", namespace="n", name="g", uid="u", lns_uri="wss://lns:8887", lns_credentials=b"new"
)
PENDING, STUCK, DELIVERED = DeliveryState.PENDING, DeliveryState.NOT_CONVERGING, DeliveryState.DELIVERED


@dataclass
class Station:
    """A gateway that stores everything that it can use."""

    cups_uri: str = "https://cups:8987"
    tc_uri: str = "wss://old:8887"
    cups_crc: int = NOTHING_CONFIGURED
    tc_crc: int = NOTHING_CONFIGURED
    takes_credentials: bool = True
    returns_to_this_cups: bool = False
    progress: Progress | None = None

    def ask(self, gateway: RegisteredGateway, now: datetime) -> Delivery:
        request = UpdateInfoRequest(
            EUI64(1),
            cups_uri=self.cups_uri,
            tc_uri=self.tc_uri,
            cups_credentials_crc=self.cups_crc,
            tc_credentials_crc=self.tc_crc,
        )
        delivery = deliver(request, gateway, self.progress, now)
        self.progress = delivery.progress
        self.take(delivery.response)
        return delivery

    def take(self, response: UpdateInfoResponse) -> None:
        self.tc_uri = response.tc_uri or self.tc_uri
        if response.cups_uri and not self.returns_to_this_cups:
            self.cups_uri = response.cups_uri
        if response.tc_credentials and self.takes_credentials:
            self.tc_crc = crc(response.tc_credentials)


def _state(delivery: Delivery) -> tuple[DeliveryState, int, tuple[Segment, ...]]:
    assert delivery.progress is not None
    return delivery.progress.state, delivery.progress.deliveries, delivery.progress.outstanding


def test_a_gateway_that_takes_all_is_pending_until_it_reports_it() -> None:
    station = Station()

    assert _state(station.ask(GATEWAY, BEGIN)) == (PENDING, 1, (Segment.LNS_URI, Segment.LNS_CREDENTIALS))
    second = station.ask(GATEWAY, BEGIN + MINUTE)
    assert _state(second) == (DELIVERED, 0, ())
    assert second.progress is not None
    assert second.progress.at == BEGIN
    assert not segments(second.response)


def test_a_rejected_blob_keeps_the_uri_of_the_same_answer_and_is_found_after_three_deliveries() -> None:
    station = Station(takes_credentials=False)

    found = [station.ask(GATEWAY, BEGIN + number * MINUTE) for number in range(5)]

    both, blob = (Segment.LNS_URI, Segment.LNS_CREDENTIALS), (Segment.LNS_CREDENTIALS,)
    assert [_state(each) for each in found] == [
        (PENDING, 1, both),
        (PENDING, 2, blob),
        (PENDING, 3, blob),
        (STUCK, 3, blob),
        (STUCK, 3, blob),
    ]
    assert [segments(each.response) for each in found] == [both, blob, blob, (), ()]
    assert [each.suppressed for each in found] == [False, False, False, True, True]
    assert [each.stalls for each in found] == [False, False, False, True, False]


def test_a_redirect_that_leads_back_is_found_and_spaced_out() -> None:
    station = Station(returns_to_this_cups=True, tc_uri="wss://lns:8887", tc_crc=crc(b"new"))
    away = msgspec.structs.replace(GATEWAY, cups_uri="https://elsewhere:8987")

    found = [station.ask(away, BEGIN + number * MINUTE) for number in range(TRIES + 1)]

    assert [segments(each.response) for each in found] == [(Segment.CUPS_URI,)] * TRIES + [()]
    assert _state(found[-1]) == (STUCK, TRIES, (Segment.CUPS_URI,))


def test_a_gateway_that_does_not_converge_is_tried_again_after_a_while_for_ever() -> None:
    station = Station(takes_credentials=False)

    sent = [now for now in range(0, 3 * 24 * 60) if segments(station.ask(GATEWAY, BEGIN + now * MINUTE).response)]

    assert sent[:4] == [0, 1, 2, 2 + SPACING // MINUTE]
    assert len(sent) == 3 + (3 * 24 * 60 - 3) // (SPACING // MINUTE)


def test_a_daily_check_is_never_left_without_an_answer() -> None:
    station = Station(takes_credentials=False)

    assert all(segments(station.ask(GATEWAY, BEGIN + timedelta(days=day)).response) for day in range(10))


def test_a_clock_that_was_set_back_suppresses_nothing() -> None:
    station = Station(takes_credentials=False)
    for number in range(TRIES + 1):
        station.ask(GATEWAY, BEGIN + number * MINUTE)

    assert not station.ask(GATEWAY, BEGIN - timedelta(days=365)).suppressed


@pytest.mark.parametrize(
    "change",
    [
        {"lns_credentials": b"newer"},
        {"lns_uri": "wss://other:8887"},
        {"cups_uri": "https://other:8987"},
        {"cups_credentials": b"newer"},
    ],
)
def test_another_target_restarts_the_counting(change: dict[str, object]) -> None:
    station = Station(takes_credentials=False)
    for number in range(TRIES + 1):
        station.ask(GATEWAY, BEGIN + number * MINUTE)

    after = station.ask(msgspec.structs.replace(GATEWAY, **change), BEGIN + 5 * MINUTE)

    assert _state(after)[:2] == (PENDING, 1)
    assert segments(after.response)


def test_a_late_report_of_everything_restarts_the_counting() -> None:
    station = Station(takes_credentials=False)
    for number in range(TRIES + 1):
        station.ask(GATEWAY, BEGIN + number * MINUTE)
    station.tc_crc = crc(b"new")

    assert _state(station.ask(GATEWAY, BEGIN + 5 * MINUTE)) == (DELIVERED, 0, ())


def test_a_request_that_reports_nothing_is_answered_in_full_and_never_counted() -> None:
    station = Station(takes_credentials=False)
    for number in range(TRIES + 1):
        station.ask(GATEWAY, BEGIN + number * MINUTE)

    for before in (None, station.progress):
        found = deliver(UpdateInfoRequest(EUI64(1)), GATEWAY, before, BEGIN + 5 * MINUTE)
        assert found == Delivery(UpdateInfoResponse(tc_uri="wss://lns:8887", tc_credentials=b"new"), before)


@given(st.lists(st.tuples(st.integers(-10, 2000), st.booleans(), st.sampled_from([b"new", b"newer"])), max_size=40))
def test_at_most_the_allowed_tries_are_sent_within_the_spacing(
    events: list[tuple[int, bool, bytes]],
) -> None:
    station, now, sent, target = Station(), BEGIN, list[datetime](), b""
    for minutes, takes, blob in events:
        now += max(minutes, 0) * MINUTE
        station.takes_credentials = takes
        before = station.tc_crc
        delivery = station.ask(msgspec.structs.replace(GATEWAY, lns_credentials=blob), now)
        state, deliveries, outstanding = _state(delivery)
        if blob != target or state is DELIVERED:
            sent, target = [], blob
        sent += [now] if segments(delivery.response) else []
        assert (state is DELIVERED) == (before == crc(blob) and not outstanding)
        assert deliveries == len(sent)
        assert (state is STUCK) == (len(sent) - (not delivery.suppressed) >= TRIES and bool(outstanding))
        assert all(later - earlier >= SPACING for earlier, later in zip(sent[TRIES - 1 :], sent[TRIES:], strict=False))


def test_a_gateway_with_an_earlier_configuration_is_pending_at_once() -> None:
    station = Station()
    station.ask(GATEWAY, BEGIN)
    delivered = station.ask(GATEWAY, BEGIN + MINUTE).progress
    assert delivered is not None

    pending = reconfigured(delivered, msgspec.structs.replace(GATEWAY, lns_uri="wss://other:8887"))

    assert (pending.state, pending.deliveries, pending.at) == (PENDING, 0, BEGIN)
    assert reconfigured(delivered, msgspec.structs.replace(GATEWAY, trusted_cas=("n/ca",))) == delivered


def test_files_that_are_pem_are_one_resend_and_no_trouble() -> None:
    station = Station(tc_uri=GATEWAY.lns_uri, tc_crc=crc(b"the same in PEM"))

    found = [station.ask(GATEWAY, BEGIN + number * MINUTE) for number in range(3)]

    assert [segments(each.response) for each in found] == [(Segment.LNS_CREDENTIALS,), (), ()]
    assert [_state(each)[0] for each in found] == [PENDING, DELIVERED, DELIVERED]


def _asks(**reported: Any) -> UpdateInfoRequest:
    fields: dict[str, Any] = {
        "cups_uri": "https://cups:8987",
        "tc_uri": "wss://lns:8887",
        "cups_credentials_crc": 1,
        "tc_credentials_crc": crc(b"new"),
    }
    return UpdateInfoRequest(EUI64(1), **(fields | reported))


EMPTY: dict[str, Any] = {"tc_uri": None, "tc_credentials_crc": NOTHING_CONFIGURED}


def test_a_gateway_without_an_lns_gets_it_each_time_and_counts_as_not_converging() -> None:
    progress, found = None, []
    for number in range(10):
        found.append(deliver(_asks(**EMPTY), GATEWAY, progress, BEGIN + number * MINUTE))
        progress = found[-1].progress

    both = (Segment.LNS_URI, Segment.LNS_CREDENTIALS)
    assert [segments(each.response) for each in found] == [both] * 10
    assert [_state(each)[:2] for each in found[2:5]] == [(PENDING, 3), (STUCK, 4), (STUCK, 5)]
    assert [each.stalls for each in found].count(True) == 1
    assert not any(each.suppressed for each in found)


def test_an_empty_lns_uri_counts_as_none() -> None:
    progress = None
    for number in range(6):
        found = deliver(_asks(tc_uri="", tc_credentials_crc=None), GATEWAY, progress, BEGIN + number * MINUTE)
        progress = found.progress
        assert segments(found.response)


def test_a_gateway_without_cups_credentials_gets_them_each_time_while_its_lns_is_spaced_out() -> None:
    gateway = msgspec.structs.replace(GATEWAY, cups_credentials=b"cups")
    request = _asks(cups_credentials_crc=NOTHING_CONFIGURED, tc_credentials_crc=7)
    progress, found = None, []
    for number in range(5):
        found.append(deliver(request, gateway, progress, BEGIN + number * MINUTE))
        progress = found[-1].progress

    both, cups = (Segment.CUPS_CREDENTIALS, Segment.LNS_CREDENTIALS), (Segment.CUPS_CREDENTIALS,)
    assert [segments(each.response) for each in found] == [both, both, both, cups, cups]
    assert found[-1].suppressed
    later = deliver(request, gateway, progress, BEGIN + 2 * MINUTE + SPACING)
    assert segments(later.response) == both


def test_an_empty_request_in_a_gateways_name_uses_no_tries() -> None:
    progress = None
    for _ in range(10):
        progress = deliver(_asks(**EMPTY, cups_credentials_crc=NOTHING_CONFIGURED), GATEWAY, progress, BEGIN).progress

    for number in range(TRIES):
        found = deliver(_asks(tc_credentials_crc=7), GATEWAY, progress, BEGIN + number * MINUTE)
        progress = found.progress
        assert segments(found.response) == (Segment.LNS_CREDENTIALS,)


TRUST, LEAF, KEY = b"\x30\x02\x30\x00", b"\x30\x04\x30\x02\x05\x00", b"\x30\x06\x02\x01\x00\x02\x01\x01"
SET = client_authentication(TRUST, LEAF, KEY)
ROTATED = msgspec.structs.replace(GATEWAY, cups_credentials=SET)
MOVED_AWAY = msgspec.structs.replace(GATEWAY, cups_uri="https://new.example.org:443")


@pytest.mark.parametrize(
    ("gateway", "reported", "asked", "state"),
    [
        (ROTATED, {"cups_credentials_crc": crc(SET)}, Asked("cups:8987", LEAF), DELIVERED),
        (ROTATED, {"cups_credentials_crc": crc(SET)}, Asked("cups:8987", b"old"), DeliveryState.FELL_BACK),
        (ROTATED, {"cups_credentials_crc": crc(SET)}, Asked("cups:8987", None), DeliveryState.FELL_BACK),
        (ROTATED, {"cups_credentials_crc": crc(SET)}, None, DELIVERED),
        (ROTATED, {"cups_credentials_crc": 5}, Asked("cups:8987", b"old"), PENDING),
        (MOVED_AWAY, {"cups_uri": "https://new.example.org:443"}, Asked("New.example.org", b"x"), DELIVERED),
        (MOVED_AWAY, {"cups_uri": "https://new.example.org:443"}, Asked("cups:8987", b"x"), DeliveryState.FELL_BACK),
        (MOVED_AWAY, {"cups_uri": "https://new.example.org:443"}, Asked("", b"x"), DELIVERED),
        (MOVED_AWAY, {}, Asked("cups:8987", b"x"), DeliveryState.MOVED),
        (MOVED_AWAY, {}, Asked("new.example.org:443", b"x"), PENDING),
        (MOVED_AWAY, {}, None, PENDING),
        (GATEWAY, {"cups_uri": "https://other:8987"}, Asked("cups:8987", b"x"), DELIVERED),
    ],
)
def test_delivered_means_that_the_gateway_asked_with_what_it_reports(
    gateway: RegisteredGateway, reported: dict[str, object], asked: Asked | None, state: DeliveryState
) -> None:
    assert _state(deliver(_asks(**reported), gateway, None, BEGIN, asked))[0] is state


def test_a_set_without_a_certificate_is_not_in_use_where_one_is_presented() -> None:
    blob = server_authentication(TRUST)
    gateway, request = msgspec.structs.replace(GATEWAY, cups_credentials=blob), _asks(cups_credentials_crc=crc(blob))

    assert blob == TRUST + ABSENT * 2
    assert _state(deliver(request, gateway, None, BEGIN, Asked("cups:8987", LEAF)))[0] is DeliveryState.FELL_BACK
    assert _state(deliver(request, gateway, None, BEGIN, Asked("cups:8987", None)))[0] is DELIVERED


def test_falling_back_is_reported_once_and_ends_with_a_visit_by_the_new_set() -> None:
    request, progress, told = _asks(cups_credentials_crc=crc(SET)), None, []
    for certificate in (b"old", b"old", LEAF, b"old"):
        found = deliver(request, ROTATED, progress, BEGIN, Asked("cups:8987", certificate))
        progress = found.progress
        told.append(found.falls_back)

    assert told == [True, False, False, True]
