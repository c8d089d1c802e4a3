from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.published.documents import RegisteredGateway, RegistryDocument
from stationkeeper_core.published.observation import DeliveryState, Observation
from stationkeeper_operator.compiling.retention.document_changes import document_changes
from stationkeeper_operator.rollout.certificate_usage import MAX_UNREGISTERED
from stationkeeper_operator.rollout.gateway_observation import NOTHING_SEEN, GatewayObservation, merged
from tests.operator.resource_building import NOW
from tests.operator.seeing import CA, Fleet, at, delivery, eui, refusal, saw

STUCK, PENDING, DELIVERED = DeliveryState.NOT_CONVERGING, DeliveryState.PENDING, DeliveryState.DELIVERED

observations = st.builds(
    saw,
    st.just(0),
    st.floats(0, 100),
    station=st.sampled_from(["", "2.0.5", "2.0.6"]),
    refusal=st.none() | st.builds(refusal, st.floats(0, 100)),
)


def test_the_first_visit_is_written_at_once_with_all_that_is_known() -> None:
    fleet = Fleet()
    assert fleet.state.take_in("a", [saw(0, delivery=delivery(PENDING))], NOW) == [fleet.key()]
    status = fleet.write(fleet.key())
    assert status["lastSeen"] == "2026-06-01T00:00:00Z"
    assert (status["station"], status["model"]) == ("2.0.6", "linux")
    assert status["certificate"] == {
        "serial": "1F",
        "sha256": "ab" * 32,
        "notAfter": "2036-05-29T00:00:00Z",
        "trustedCA": "lorawan/acme",
    }
    assert status["delivery"] == {"state": "Pending", "deliveries": 1, "outstanding": ["LNSCredentials"]}
    assert "package" not in status
    assert not fleet.pending(fleet.key())


def test_gateways_with_certificates_that_are_cas_are_counted_and_noted_on_their_trusted_ca() -> None:
    fleet = Fleet(3)
    regular = saw(0).certificate
    assert regular is not None
    ca = msgspec.structs.replace(regular, is_ca=True)
    fleet.state.take_in("a", [saw(0, certificate=ca), saw(1, certificate=ca), saw(2)], NOW)
    for number in range(3):
        fleet.write(fleet.key(number))
    fleet.start()
    fleet.state.count(NOW)
    status = fleet.write(CA)
    assert (status["gatewaysSeen"], status["caCertificatesSeen"]) == (3, 2)
    accepted = next(each for each in status["conditions"] if each["type"] == "Accepted")
    assert "2 gateways presented a certificate that is a CA" in accepted["message"]
    assert "presentedIntermediates: Refuse" in accepted["message"]
    fleet.resources[CA] = fleet.make(CA, {"certificates": "x", "presentedIntermediates": "Refuse"}, status)
    status = fleet.write(CA)
    assert status["caCertificatesSeen"] == 2
    assert "is a CA" not in next(each for each in status["conditions"] if each["type"] == "Accepted")["message"]
    fleet.state.take_in("a", [saw(0, 1), saw(1, 1)], at(1))
    fleet.state.count(at(1))
    assert "caCertificatesSeen" not in fleet.write(CA)


def test_the_later_of_a_visit_and_a_refusal_in_one_second_counts() -> None:
    fleet = Fleet()
    visit, refused = at(0.0051), at(0.0142)
    fleet.state.take_in("a", [saw(0, 0.0051, refusal=refusal(0.0142))], refused)
    status = fleet.write(fleet.key())
    assert visit.replace(microsecond=0) == refused.replace(microsecond=0)
    assert datetime.fromisoformat(status["lastRefusal"]["time"]) > datetime.fromisoformat(status["lastSeen"])

    fleet.state.take_in("a", [saw(0, 0.0153, refusal=refusal(0.0142))], at(0.0153))
    status = fleet.write(fleet.key())
    assert datetime.fromisoformat(status["lastRefusal"]["time"]) < datetime.fromisoformat(status["lastSeen"])


def test_a_known_observation_is_not_written_again() -> None:
    fleet = Fleet()
    fleet.state.take_in("a", [saw(0)], NOW)
    fleet.write(fleet.key())
    assert fleet.state.take_in("a", [saw(0)], NOW) == []
    fleet.start()
    assert fleet.state.take_in("b", [saw(0)], NOW) == []


def test_a_later_visit_alone_waits_until_the_status_is_ten_minutes_old() -> None:
    fleet = Fleet()
    fleet.state.take_in("a", [saw(0)], NOW)
    fleet.write(fleet.key())
    for minutes in range(1, 10):
        assert fleet.state.take_in("a", [saw(0, minutes)], at(minutes)) == []
        assert fleet.state.due(at(minutes)) == []
        assert not fleet.pending(fleet.key())
    assert fleet.state.due(at(10)) == [fleet.key()]
    assert fleet.write(fleet.key())["lastSeen"] == "2026-06-01T00:09:00Z"


@pytest.mark.parametrize(
    "news",
    [
        saw(0, 1, station="2.0.7"),
        saw(0, 1, refusal=refusal(1)),
        saw(0, 1, delivery=delivery(STUCK)),
        saw(0, 1, certificate=None),
    ],
)
def test_a_change_of_substance_is_written_at_once(news: Observation) -> None:
    fleet = Fleet()
    fleet.state.take_in("a", [saw(0)], NOW)
    fleet.write(fleet.key())
    assert fleet.state.take_in("a", [news], at(1)) == [fleet.key()]
    assert fleet.write(fleet.key())["lastSeen"] == "2026-06-01T00:01:00Z"


def test_the_same_refusal_again_and_again_waits_like_a_visit() -> None:
    fleet = Fleet()
    fleet.state.take_in("a", [saw(0, refusal=refusal(1))], at(1))
    fleet.write(fleet.key())
    assert fleet.state.take_in("a", [saw(0, refusal=refusal(2))], at(2)) == []
    assert fleet.state.due(at(11)) == [fleet.key()]
    assert fleet.write(fleet.key())["lastRefusal"] == {"reason": "CertificateRevoked", "time": "2026-06-01T00:02:00Z"}


def test_an_observation_during_a_write_is_not_lost() -> None:
    fleet = Fleet()
    fleet.state.take_in("a", [saw(0)], NOW)
    before = fleet.state.fields(fleet.resources[fleet.key()])
    fleet.state.take_in("a", [saw(0, 5, station="2.0.7")], at(5))
    fleet.resources[fleet.key()] = fleet.make(fleet.key(), {"eui": eui(0)}, dict(before))
    fleet.state.written(fleet.resources[fleet.key()])
    assert fleet.write(fleet.key())["station"] == "2.0.7"


def test_an_earlier_observation_of_another_pod_changes_nothing() -> None:
    fleet = Fleet()
    fleet.state.take_in("a", [saw(0, 5, station="new")], at(5))
    assert fleet.state.take_in("b", [saw(0, 1, station="old")], at(6)) == []
    assert fleet.write(fleet.key())["station"] == "new"


def test_a_pod_with_a_new_count_does_not_end_not_converging_of_another_pod() -> None:
    fleet = Fleet()
    fleet.state.take_in("a", [saw(0, 1, delivery=delivery(STUCK, 5))], at(1))
    fleet.state.take_in("b", [saw(0, 2, delivery=delivery(PENDING, 1))], at(2))
    assert fleet.write(fleet.key())["delivery"]["state"] == "NotConverging"
    fleet.state.take_in("a", [saw(0, 3, delivery=delivery(PENDING, 1))], at(3))
    assert fleet.write(fleet.key())["delivery"]["state"] == "Pending"
    fleet.state.take_in("b", [saw(0, 4, delivery=delivery(DELIVERED, 0))], at(4))
    assert fleet.write(fleet.key())["delivery"] == {"state": "Delivered", "deliveries": 0, "outstanding": []}


@pytest.mark.parametrize("time", [NOW + timedelta(hours=1), datetime(2026, 6, 1), datetime.max.replace(tzinfo=UTC)])
def test_an_impossible_time_is_ignored(time: datetime) -> None:
    fleet = Fleet()
    assert fleet.state.take_in("a", [saw(0, last_seen=time)], NOW) == []
    assert fleet.state.take_in("a", [saw(0)], NOW) == [fleet.key()]


def test_a_status_with_an_impossible_time_is_corrected() -> None:
    fleet = Fleet()
    fleet.resources[fleet.key()] = fleet.make(fleet.key(), {"eui": eui(0)}, {"lastSeen": "9999-12-31T23:59:59Z"})
    fleet.start()
    assert fleet.state.take_in("a", [saw(0)], NOW) == [fleet.key()]
    assert fleet.write(fleet.key())["lastSeen"] == "2026-06-01T00:00:00Z"


def test_a_recreated_gateway_is_another_one() -> None:
    fleet = Fleet()
    assert fleet.state.take_in("a", [saw(0, uid="another")], NOW) == []
    assert not fleet.pending(fleet.key())


@given(st.lists(observations, max_size=4))
def test_the_order_in_which_pods_are_asked_does_not_matter(seen: list[Observation]) -> None:
    def after(order: tuple[Observation, ...]) -> GatewayObservation:
        found = NOTHING_SEEN
        for each in order:
            found = merged(found, each)
        return found

    distinct = {each.last_seen.replace(microsecond=0): each for each in seen if each.last_seen}
    results = {(found.last_seen, found.last_refusal) for found in map(after, permutations(distinct.values()))}
    assert len(results) == 1


def test_a_trusted_ca_counts_the_gateways_of_the_last_25_hours() -> None:
    fleet = Fleet(3)
    fleet.state.take_in("a", [saw(0, -60 * 26), saw(1, -60 * 24), saw(2), saw(2, 1)], at(1))
    assert fleet.state.fields(fleet.resources[CA]) == {}
    assert fleet.state.count(at(1)) == [CA]
    assert fleet.write(CA)["gatewaysSeen"] == 2


def test_the_count_survives_a_restart() -> None:
    fleet = Fleet(2)
    fleet.state.take_in("a", [saw(0), saw(1)], NOW)
    for number in range(2):
        fleet.write(fleet.key(number))
    fleet.start()
    fleet.state.count(NOW)
    assert fleet.write(CA)["gatewaysSeen"] == 2
    del fleet.resources[fleet.key(1)]
    fleet.tell()
    fleet.state.count(NOW)
    assert fleet.write(CA)["gatewaysSeen"] == 1


def test_an_unregistered_gateway_is_listed_until_it_is_registered() -> None:
    fleet = Fleet(1)
    assert fleet.state.take_in("a", [saw(7, uid="")], NOW) == [CA]
    fleet.state.count(NOW)
    entry = {"eui": eui(7), "lastSeen": "2026-06-01T00:00:00Z", "model": "linux", "station": "2.0.6"}
    assert fleet.write(CA)["unregistered"] == [entry]
    fleet.start()
    fleet.state.count(NOW)
    assert fleet.write(CA)["unregistered"] == [entry]
    fleet.resources[fleet.key(7)] = fleet.make(fleet.key(7), {"eui": eui(7)})
    fleet.tell()
    assert "unregistered" not in fleet.write(CA)
    assert fleet.state.take_in("a", [saw(7, 1, uid="")], at(1)) == []


def test_the_newest_of_very_many_unregistered_gateways_are_listed() -> None:
    fleet = Fleet(0)
    fleet.state.take_in("a", [saw(number, number / 60, uid="") for number in range(200)], at(4))
    fleet.state.count(at(4))
    listed = [each["eui"] for each in fleet.write(CA)["unregistered"]]
    assert listed == [eui(number) for number in range(199, 199 - MAX_UNREGISTERED, -1)]


def test_an_unregistered_gateway_without_new_visits_is_dropped() -> None:
    fleet = Fleet(0)
    fleet.state.take_in("a", [saw(7, uid="")], NOW)
    fleet.state.count(NOW + timedelta(hours=26))
    assert "unregistered" not in fleet.write(CA)


def _published(uid: str, lns_uri: str = "wss://lns:8887", **options: object) -> RegistryDocument:
    record = RegisteredGateway(eui=eui(0), namespace="lorawan", name="gw-0", uid=uid, lns_uri=lns_uri, **options)  # type: ignore[arg-type]
    return RegistryDocument(bucket=0, gateways=(record,))


@pytest.mark.parametrize("state", [DELIVERED, STUCK])
def test_a_new_configuration_is_pending_until_the_gateway_reports_it(state: DeliveryState) -> None:
    fleet = Fleet()
    fleet.state.take_in("a", [saw(0, delivery=delivery(state))], NOW)
    fleet.write(fleet.key())
    uid = fleet.resources[fleet.key()].metadata.uid

    changes = document_changes(_published(uid), _published(uid, "wss://other:8887"))

    assert list(fleet.state.reconfigured([changes])) == [fleet.key()]
    assert fleet.write(fleet.key())["delivery"] == {"state": "Pending", "deliveries": 0, "outstanding": []}
    fleet.state.take_in("a", [saw(0, 1, delivery=delivery(DELIVERED))], at(1))
    assert fleet.write(fleet.key())["delivery"]["state"] == "Delivered"


def test_a_change_of_client_fields_leaves_the_delivery_unchanged() -> None:
    fleet = Fleet()
    fleet.state.take_in("a", [saw(0, delivery=delivery(DELIVERED))], NOW)
    fleet.write(fleet.key())
    uid = fleet.resources[fleet.key()].metadata.uid

    changes = document_changes(_published(uid), _published(uid, trusted_cas=("lorawan/acme",)))

    assert list(fleet.state.reconfigured([changes])) == []
    assert not fleet.pending(fleet.key())


def test_a_gateway_that_was_never_seen_is_not_pending() -> None:
    fleet = Fleet()
    uid = fleet.resources[fleet.key()].metadata.uid

    changes = document_changes(_published(uid), _published(uid, "wss://other:8887"))

    assert list(fleet.state.reconfigured([changes])) == []
    assert not fleet.pending(fleet.key())


def test_a_claimed_refusal_is_marked_and_hides_no_proven_one() -> None:
    def shown(*seen: Observation) -> Any:
        held = NOTHING_SEEN
        for each in seen:
            held = merged(held, each)
        refusal = held.last_refusal
        return refusal and (refusal.reason, refusal.claimed)

    def refused(minutes: float, reason: str, *, claimed: bool, **fields: Any) -> Observation:
        found = msgspec.structs.replace(refusal(minutes, reason), claimed=claimed)
        return saw(0, refusal=found, **{"last_seen": None, "certificate": None, **fields})

    claim = refused(3, "CommonNameMismatch", claimed=True)
    assert shown(saw(0, 1), claim) == ("CommonNameMismatch", True)
    assert shown(saw(0, 1), refused(2, "CertificateRevoked", claimed=False), claim) == ("CertificateRevoked", False)
    assert shown(refused(0, "CertificateRevoked", claimed=False), saw(0, 1), claim) == ("CommonNameMismatch", True)
    assert shown(claim, refused(4, "CertificateRevoked", claimed=False)) == ("CertificateRevoked", False)
    after = merged(merged(NOTHING_SEEN, saw(0, 1)), claim)
    assert msgspec.structs.replace(after, last_refusal=None) == merged(NOTHING_SEEN, saw(0, 1))
