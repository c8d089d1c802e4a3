"""The effect of each single part of a report and of an answer."""

from typing import Any

import msgspec
import pytest

from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.protocol.credentials import NOTHING_CONFIGURED, client_authentication, crc
from stationkeeper_core.protocol.delivery import (
    SPACING,
    TRIES,
    Asked,
    Delivery,
    Progress,
    deliver,
    has_same_target,
    reconfigured,
    segments,
)
from stationkeeper_core.protocol.update_info import UpdateInfoRequest
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.published.observation import DeliveryState, Segment
from tests.core.test_delivery import BEGIN, GATEWAY, MINUTE

ALL_PARTS = msgspec.structs.replace(GATEWAY, cups_uri="https://new:8987", cups_credentials=b"cups")
WORKING: dict[str, Any] = {
    "cups_uri": "https://old:8987",
    "tc_uri": "wss://old:8887",
    "cups_credentials_crc": 5,
    "tc_credentials_crc": 7,
}
SET = client_authentication(b"\x30\x02\x30\x00", b"\x30\x04\x30\x02\x05\x00", b"\x30\x06\x02\x01\x00\x02\x01\x01")


def asks(**reported: Any) -> UpdateInfoRequest:
    return UpdateInfoRequest(EUI64(1), **reported)


def answers(request: UpdateInfoRequest, gateway: RegisteredGateway, count: int) -> list[Delivery]:
    """Return the answers to a gateway that reports the same a minute after each answer."""
    progress: Progress | None = None
    found = []
    for number in range(count):
        found.append(deliver(request, gateway, progress, BEGIN + number * MINUTE))
        progress = found[-1].progress
    return found


@pytest.mark.parametrize("part", WORKING)
def test_a_report_of_any_single_part_is_counted(part: str) -> None:
    found = deliver(asks(**{part: WORKING[part]}), ALL_PARTS, None, BEGIN).progress

    assert found is not None
    assert found.deliveries == 1
    assert deliver(asks(), ALL_PARTS, None, BEGIN).progress is None


def test_all_parts_are_held_back_after_the_tries() -> None:
    found = answers(asks(**WORKING), ALL_PARTS, TRIES + 1)

    parts = {Segment.CUPS_URI, Segment.LNS_URI, Segment.CUPS_CREDENTIALS, Segment.LNS_CREDENTIALS}
    assert [{*segments(each.response)} for each in found] == [parts] * TRIES + [set()]
    held_back = found[-1].response
    assert (held_back.cups_uri, held_back.tc_uri) == ("", "")
    assert (held_back.cups_credentials, held_back.tc_credentials) == (b"", b"")


@pytest.mark.parametrize(
    ("lacking", "sent"),
    [
        ({"cups_uri": ""}, {Segment.CUPS_URI}),
        ({"cups_credentials_crc": NOTHING_CONFIGURED}, {Segment.CUPS_CREDENTIALS}),
        ({"tc_uri": ""}, {Segment.LNS_URI, Segment.LNS_CREDENTIALS}),
        ({"cups_uri": "", "tc_uri": ""}, {Segment.CUPS_URI, Segment.LNS_URI, Segment.LNS_CREDENTIALS}),
    ],
)
def test_a_missing_part_is_sent_each_time(lacking: dict[str, Any], sent: set[Segment]) -> None:
    last = answers(asks(**{**WORKING, **lacking}), ALL_PARTS, TRIES + 1)[-1]

    assert {*segments(last.response)} == sent


def test_nothing_is_sent_between_the_last_try_and_the_end_of_the_spacing() -> None:
    request = asks(**WORKING)
    progress = answers(request, GATEWAY, TRIES)[-1].progress
    assert progress is not None
    assert progress.at is not None

    sent = [
        bool(segments(deliver(request, GATEWAY, progress, progress.at + after).response))
        for after in (-MINUTE, 0 * MINUTE, SPACING - MINUTE, SPACING)
    ]

    assert sent == [True, False, False, True]


def test_a_gateway_that_fell_back_and_lacks_something_else_is_reported_and_shown_as_fallen_back() -> None:
    rotated = msgspec.structs.replace(GATEWAY, cups_credentials=SET)
    request = asks(**{**WORKING, "cups_credentials_crc": crc(SET)})

    found = deliver(request, rotated, None, BEGIN, Asked("cups:8987", b"old"))

    assert found.progress is not None
    assert (found.falls_back, found.progress.state) == (True, DeliveryState.FELL_BACK)
    assert found.progress.outstanding == (Segment.LNS_URI, Segment.LNS_CREDENTIALS)
    again = deliver(request, rotated, found.progress, BEGIN + MINUTE, Asked("cups:8987", b"old"))
    assert again.falls_back is False


def test_an_invalid_host_counts_as_another_server() -> None:
    moved = msgspec.structs.replace(GATEWAY, cups_uri="https://new:8987")

    found = deliver(
        asks(**{**WORKING, "cups_uri": "https://new:8987"}), moved, None, BEGIN, Asked("new:99999999", b"x")
    )

    assert found.falls_back


def test_an_unreadable_set_proves_nothing() -> None:
    unreadable = msgspec.structs.replace(GATEWAY, cups_credentials=b"cups")
    request = asks(**{**WORKING, "cups_credentials_crc": crc(b"cups")})

    found = deliver(request, unreadable, None, BEGIN, Asked("cups:8987", b"old"))

    assert found.progress is not None
    assert (found.falls_back, found.progress.state) == (False, DeliveryState.PENDING)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"name": "other", "uid": "other", "suspended": True, "trusted_cas": ("a",), "rank": 3}, True),
        ({"lns_uri": "wss://other:8887"}, False),
        ({"lns_credentials": b"other"}, False),
        ({"cups_uri": "https://other:8987"}, False),
        ({"cups_credentials": b"other"}, False),
    ],
)
def test_two_gateways_have_one_target_where_all_that_is_sent_is_the_same(change: dict[str, Any], same: bool) -> None:
    other = msgspec.structs.replace(ALL_PARTS, **change)

    assert has_same_target(ALL_PARTS, other) is same
    assert has_same_target(other, ALL_PARTS) is same


def test_a_gateway_with_a_new_configuration_is_pending_for_it() -> None:
    before = answers(asks(**WORKING), GATEWAY, TRIES + 1)[-1].progress
    assert before is not None

    after = reconfigured(before, ALL_PARTS)

    assert reconfigured(before, GATEWAY) is before
    assert (after.state, after.deliveries, after.at) == (DeliveryState.PENDING, 0, before.at)
    assert reconfigured(after, ALL_PARTS) is after
    assert reconfigured(after, GATEWAY) is not after
