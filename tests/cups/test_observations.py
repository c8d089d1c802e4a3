from datetime import UTC, datetime, timedelta

import pytest

from stationkeeper_core.errors import Reason
from stationkeeper_core.eui64 import EUI64, format_hex
from stationkeeper_core.policy.refused_client import RefusedClient
from stationkeeper_core.protocol.delivery import deliver
from stationkeeper_core.protocol.update_info import UpdateInfoRequest
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_core.published.observation import MAX_PAGE, MAX_TEXT, DeliveryState, Observation, SeenCertificate
from stationkeeper_cups.metrics import Metrics
from stationkeeper_cups.observations import Observations

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CERTIFICATE = SeenCertificate(serial="1", sha256="0" * 64, not_after=NOW, trusted_ca="radio/a")
ANOTHER = SeenCertificate(serial="2", sha256="1" * 64, not_after=NOW, trusted_ca="tenant/b")


def _gateway(number: int, uid: str = "uid") -> RegisteredGateway:
    return RegisteredGateway(eui=format_hex(EUI64(number)), namespace="n", name="g", uid=uid, lns_uri="wss://lns:1")


def _visit(observations: Observations, number: int, uid: str = "uid", **report: str) -> None:
    gateway, request = _gateway(number, uid), UpdateInfoRequest(EUI64(number), tc_uri="wss://old:1", **report)  # type: ignore[arg-type]
    progress = deliver(request, gateway, observations.progress(gateway), NOW).progress
    observations.visited(gateway, request, CERTIFICATE, progress, NOW)


def _refuse(observations: Observations, number: int, gateway: RegisteredGateway | None, later: int = 1) -> None:
    client = RefusedClient(EUI64(number), gateway, ANOTHER)
    request, now = UpdateInfoRequest(EUI64(99), model="theirs"), NOW + timedelta(seconds=later)
    observations.refused(client, request, Reason.COMMON_NAME_MISMATCH, now)


def _all(observations: Observations) -> list[Observation]:
    found: list[Observation] = []
    cursor, more = 0, True
    while more:
        page = observations.page(cursor)
        assert len(page.observations) <= MAX_PAGE
        found += page.observations
        cursor, more = page.cursor, page.more
    return found


def test_pages_hold_every_record_once_in_the_order_of_their_last_change() -> None:
    observations = Observations(Metrics())
    for number in range(2 * MAX_PAGE + 5):
        _visit(observations, number)
    _visit(observations, 0)

    assert [int(each.eui, 16) for each in _all(observations)] == [*range(1, 2 * MAX_PAGE + 5), 0]
    assert not observations.page(observations.page(2 * MAX_PAGE).cursor).observations


def test_a_cursor_gets_what_changed_since_and_no_more() -> None:
    observations = Observations(Metrics())
    _visit(observations, 1)
    _visit(observations, 2)
    cursor = observations.page(0).cursor
    _visit(observations, 1)

    page = observations.page(cursor)

    assert [each.eui for each in page.observations] == [format_hex(EUI64(1))]
    assert not observations.page(page.cursor).observations
    assert not observations.page(10**17).observations


def test_many_changes_of_few_gateways_are_not_piled_up() -> None:
    observations = Observations(Metrics())
    for number in range(20_000):
        _visit(observations, number % 3)

    assert len(observations._numbers) <= MAX_PAGE + 6
    assert len(_all(observations)) == 3


def test_the_oldest_record_is_dropped_and_unknown_clients_displace_no_gateway() -> None:
    metrics = Metrics()
    observations = Observations(metrics, registered=2, unregistered=2)
    for number in (1, 2, 1, 3):
        _visit(observations, number)
    for number in (11, 12, 13):
        _refuse(observations, number, None)

    assert [int(each.eui, 16) for each in _all(observations)] == [1, 3, 12, 13]
    text = metrics.exposition().decode()
    assert 'stationkeeper_observations{kind="registered"} 2.0' in text
    assert 'stationkeeper_gateway_deliveries{state="Pending"} 2.0' in text


def test_a_refusal_leaves_what_the_gateway_showed() -> None:
    observations = Observations(Metrics())
    _visit(observations, 1, model="mine")
    (before,) = _all(observations)
    _refuse(observations, 1, _gateway(1))

    (after,) = _all(observations)

    assert after.refusal is not None
    assert after.refusal.reason == "CommonNameMismatch"
    kept = ("last_seen", "certificate", "model", "delivery")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]


def test_a_gateway_that_was_only_refused_was_not_seen() -> None:
    observations = Observations(Metrics())
    _refuse(observations, 1, _gateway(1))

    (found,) = _all(observations)

    assert (found.uid, found.last_seen, found.certificate, found.model) == ("uid", None, None, "")


def test_a_gateway_that_was_made_again_inherits_nothing() -> None:
    observations = Observations(Metrics())
    _visit(observations, 1, "old", model="mine")
    _refuse(observations, 1, _gateway(1, "new"))

    (found,) = _all(observations)

    assert (found.uid, found.last_seen, found.model, found.delivery) == ("new", None, "", None)


def test_a_gateway_that_was_deleted_becomes_an_unregistered_one_and_back() -> None:
    observations = Observations(Metrics())
    _visit(observations, 1)
    _refuse(observations, 1, None)
    (stranger,) = _all(observations)
    _visit(observations, 1, "new")
    (gateway,) = _all(observations)

    assert (stranger.uid, stranger.certificate, stranger.last_seen) == ("", ANOTHER, NOW + timedelta(seconds=1))
    assert (gateway.uid, gateway.refusal) == ("new", None)
    assert gateway.delivery is not None
    assert gateway.delivery.state is DeliveryState.PENDING


@pytest.mark.parametrize(
    ("reported", "kept"), [("x" * 200, "x" * MAX_TEXT), ("\ud800\x1b[31m", "??[31m"), ("gäteway", "gäteway")]
)
def test_a_gateways_report_is_cut_and_without_control_characters(reported: str, kept: str) -> None:
    observations = Observations(Metrics())
    _visit(observations, 1, station=reported)

    assert [each.station for each in _all(observations)] == [kept]


def test_another_process_has_another_instance() -> None:
    assert Observations(Metrics()).instance != Observations(Metrics()).instance
