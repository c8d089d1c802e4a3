"""The order of waiting handshakes, and the one to close if too many wait."""

import math
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_cups.accepting.networks import Groups, network_of
from stationkeeper_cups.accepting.reputation import (
    FREE_FAILURES,
    HALF_LIFE_SECONDS,
    MAX_PER_CERTIFICATE,
    MAX_REMEMBERED,
    Reputation,
)
from stationkeeper_cups.accepting.waiting_room import MOST_CHECKED, OVERLOAD_SECONDS, TURNS, WaitingRoom


@dataclass(frozen=True)
class _Client:
    number: int
    network: str = "192.0.2.1"


def _anybody(_one: _Client) -> bool:
    return True


def _order(room: WaitingRoom[_Client], now: float) -> list[_Client]:
    found = []
    while (one := room.next(now, _anybody)) is not None:
        room.leave(one)
        found.append(one)
    return found


def _waiting(clients: list[_Client], bad: frozenset[str] = frozenset()) -> WaitingRoom[_Client]:
    room: WaitingRoom[_Client] = WaitingRoom(lambda network: network not in bad)
    for number, each in enumerate(clients):
        room.enter(each, number / 100)
    return room


def test_the_first_to_come_is_the_first_to_be_served_as_long_as_nobody_waits_for_long() -> None:
    clients = [_Client(number, f"192.0.2.{number}") for number in range(20)]

    assert _order(_waiting(clients), OVERLOAD_SECONDS) == clients


def test_the_newest_is_served_first_once_the_oldest_has_waited() -> None:
    clients = [_Client(number, f"192.0.2.{number}") for number in range(20)]

    assert _order(_waiting(clients), OVERLOAD_SECONDS + 0.01)[:5] == clients[:-6:-1]


def test_a_fleet_behind_one_address_is_served_like_others() -> None:
    fleet = [_Client(number, "192.0.2.1") for number in range(50)]
    others = [_Client(number, f"198.51.100.{number}") for number in range(50)]
    mixed = [each for pair in zip(fleet, others, strict=True) for each in pair]

    assert Counter(each.network == "192.0.2.1" for each in _order(_waiting(mixed), 60)[:40]) == {True: 20, False: 20}


def test_networks_of_bad_reputation_have_one_turn_in_eight_and_share_it() -> None:
    bad = [_Client(number, f"203.0.113.{number % 4}") for number in range(400)]
    good = [_Client(number) for number in range(400)]
    served = _order(_waiting([*good, *bad], frozenset(each.network for each in bad)), 60)[: TURNS * 40]

    assert Counter(each.network for each in served) == {
        "192.0.2.1": (TURNS - 1) * 40,
        **{f"203.0.113.{number}": 10 for number in range(4)},
    }


def test_networks_of_bad_reputation_have_all_unused_turns() -> None:
    bad = [_Client(number, f"203.0.113.{number % 4}") for number in range(40)]

    assert set(_order(_waiting(bad, frozenset(each.network for each in bad)), 60)) == set(bad)


def test_a_client_whose_reputation_falls_while_it_waits_loses_its_place() -> None:
    fallen: set[str] = set()
    room: WaitingRoom[_Client] = WaitingRoom(lambda network: network not in fallen)
    flood = [_Client(number, "203.0.113.1") for number in range(MOST_CHECKED * 4)]
    for each in (_Client(0), *flood):
        room.enter(each, 0)
    fallen.add("203.0.113.1")

    served = [room.next(60, _anybody) for _ in range(TURNS)]

    assert _Client(0) in served


def test_a_client_that_may_not_begin_delays_no_other() -> None:
    clients = [_Client(number, f"192.0.2.{number}") for number in range(10)]
    room = _waiting(clients)

    assert room.next(60, lambda one: one.number == 4) == clients[4]
    assert room.next(60, lambda _one: False) is None
    assert room.by_network.size == 10


def test_the_oldest_of_the_largest_network_is_closed() -> None:
    few = [_Client(number, f"192.0.2.{number}") for number in range(30)]
    many = [_Client(number, "203.0.113.1") for number in range(40)]
    room = _waiting([*few, *many])
    left = []
    for _ in range(39):
        one = room.one_to_close()
        assert one is not None
        room.leave(one)
        left.append(one)

    assert left == many[:39]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 9)), max_size=200))
def test_groups_always_know_the_largest_network(steps: list[tuple[bool, int, int]]) -> None:
    groups: Groups[int] = Groups()
    model: dict[str, list[int]] = {}
    for adds, network, thing in steps:
        name = str(network)
        mine = model.setdefault(name, [])
        if adds and thing not in mine:
            groups.add(name, thing)
            mine.append(thing)
        elif not adds:
            assert groups.discard(name, thing) == (thing in mine)
            if thing in mine:
                mine.remove(thing)
        most = max(map(len, model.values()))
        assert groups.most == most
        assert groups.size == sum(map(len, model.values()))
        assert groups.count(name) == len(mine)
        oldest = groups.oldest_of_the_most()
        assert oldest in {each[0] for each in model.values() if len(each) == most > 0} | ({None} if not most else set())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
    ],
)
def test_a_network_is_an_ipv4_address_or_64_bits_of_ipv6(one: str, other: str, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same


def test_a_network_with_failed_connections_has_a_bad_reputation_for_a_while() -> None:
    now = 0.0
    reputation = Reputation(lambda: now)
    for _ in range(int(FREE_FAILURES) + 1):
        assert reputation.is_good("192.0.2.1")
        reputation.record_end("192.0.2.1", None, answered=False)
    assert not reputation.is_good("192.0.2.1")
    assert reputation.is_good("192.0.2.2")

    now += HALF_LIFE_SECONDS
    assert reputation.is_good("192.0.2.1")


def test_failures_among_a_fleet_that_is_answered_do_not_spoil_its_reputation() -> None:
    reputation = Reputation(lambda: 0.0)
    for number in range(400):
        reputation.record_end("192.0.2.1", b"%d" % number, answered=number % 3 > 0)
        assert reputation.is_good("192.0.2.1")


def test_a_certificate_that_comes_again_and_again_spoils_the_reputation_of_its_network() -> None:
    reputation = Reputation(lambda: 0.0)
    for _ in range(int(FREE_FAILURES + MAX_PER_CERTIFICATE) + 20):
        reputation.record_end("192.0.2.1", b"a gateway", answered=True)
    reputation.record_end("192.0.2.2", b"a gateway", answered=True)

    assert not reputation.is_good("192.0.2.1")
    assert reputation.is_good("192.0.2.2")


def test_a_shared_certificate_may_connect_any_number_of_times() -> None:
    reputation = Reputation(lambda: 0.0, math.inf)
    for _ in range(200):
        reputation.record_end("192.0.2.1", b"a proxy", answered=True)

    assert reputation.is_good("192.0.2.1")


def test_the_memory_of_networks_and_certificates_is_bounded() -> None:
    reputation = Reputation(lambda: 0.0)
    for _ in range(int(FREE_FAILURES) + 2):
        reputation.record_end("192.0.2.1", None, answered=False)
    for number in range(MAX_REMEMBERED):
        reputation.record_end(f"2001:db8::{number:x}", None, answered=False)

    assert reputation.is_good("192.0.2.1")
