from pathlib import Path

import pytest

from stationkeeper_cups.accepting.connection_limits import (
    CONNECTION_BYTES,
    LEAST_CONNECTIONS,
    MOST_CONNECTIONS,
    OWN_BYTES,
    OWN_DESCRIPTORS,
    WAITING_BYTES,
    derived_limits,
    halved,
    memory_limit,
)
from stationkeeper_cups.admission.judgement_budget import COMMON_SHARE, SAVED_SECONDS, SHARE, JudgementBudget

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("memory", "descriptors", "connections"),
    [
        (None, None, MOST_CONNECTIONS),
        (512 * MIB, None, 1280),
        (512 * MIB, 1024, (1024 - 128) // 2),
        (OWN_BYTES // 2, None, LEAST_CONNECTIONS),
        (None, 10, LEAST_CONNECTIONS),
    ],
)
def test_limits_follow_the_memory_and_the_descriptors(
    memory: int | None, descriptors: int | None, connections: int
) -> None:
    limits = derived_limits(memory, descriptors, 30)

    assert limits.connections == connections
    assert 0 < limits.handshakes < limits.connections


@pytest.mark.parametrize(("memory", "descriptors"), [(256 * MIB, None), (512 * MIB, None), (2048 * MIB, 2000)])
def test_all_that_clients_may_take_fits_into_what_there_is(memory: int, descriptors: int | None) -> None:
    limits = derived_limits(memory, descriptors, 30)

    assert OWN_BYTES + limits.connections * CONNECTION_BYTES + limits.waiting * WAITING_BYTES <= memory
    assert limits.connections + limits.waiting + OWN_DESCRIPTORS <= (descriptors or 20_000)
    assert 2 * limits.unread_bytes < WAITING_BYTES


def test_two_ports_share_what_one_would_have() -> None:
    one = derived_limits(512 * MIB, None, 30)
    half = halved(one)

    assert 2 * half.connections <= one.connections
    assert 2 * half.waiting <= one.waiting
    assert 0 < half.handshakes < half.connections


@pytest.mark.parametrize(
    ("text", "limit"), [("536870912\n", 512 * MIB), ("max\n", None), ("9223372036854771712\n", None), ("", None)]
)
def test_the_memory_limit_is_that_of_the_cgroup(tmp_path: Path, text: str, limit: int | None) -> None:
    file = tmp_path / "memory.max"
    file.write_text(text)
    assert memory_limit((tmp_path / "missing", file)) == limit


def test_an_address_that_has_spent_its_budget_gets_its_share_back_with_time_and_takes_none_of_another() -> None:
    now, spent = 0.0, 0.0
    budget = JudgementBudget(lambda: now, lambda: spent)
    judged = 0
    while (begun := budget.begin("192.0.2.1")) is not None:
        spent += 0.1
        budget.end("192.0.2.1", begun)
        judged += 1
        assert judged < 100
    assert judged * 0.1 == pytest.approx(SAVED_SECONDS, abs=0.2)
    assert budget.begin("192.0.2.2") is not None

    now += 1 / SHARE
    assert budget.begin("192.0.2.1") is not None


def test_the_networks_of_ipv6_share_a_budget_and_mapped_addresses_do_not() -> None:
    now, spent = 0.0, 0.0
    budget = JudgementBudget(lambda: now, lambda: spent)
    for number in range(50):
        begun = budget.begin(f"2001:db8::{number:x}")
        spent += 0.1
        budget.end(f"2001:db8::{number:x}", begun)
    assert budget.begin("2001:db8::ffff:1") is None
    assert budget.begin("2001:db8:0:1::1") is not None
    begun = budget.begin("::ffff:192.0.2.1")
    spent += 10
    budget.end("::ffff:192.0.2.1", begun)
    assert budget.begin("192.0.2.1") is None
    assert budget.begin("::ffff:192.0.2.2") is not None


def test_an_unknown_client_with_the_address_of_a_fleet_locks_no_gateway_out() -> None:
    now, spent = 0.0, 0.0
    budget = JudgementBudget(lambda: now, lambda: spent)
    for _ in range(10_000):
        begun = budget.begin("192.0.2.1")
        assert begun is not None
        spent += 0.8 * COMMON_SHARE / 100
        budget.end("192.0.2.1", begun)
        now += 0.01
