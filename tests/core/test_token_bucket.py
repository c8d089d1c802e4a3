import pytest

from stationkeeper_core.token_bucket import TokenBucket

now = [0.0]


@pytest.fixture(autouse=True)
def _midnight() -> None:
    now[0] = 0.0


def bucket(per_second: float, burst: float) -> TokenBucket:
    return TokenBucket(per_second, burst, lambda: now[0])


def test_a_burst_passes_and_then_only_the_rate() -> None:
    limit = bucket(2, 3)
    assert [limit.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.5
    assert [limit.take() for _ in range(2)] == [True, False]


def test_it_never_holds_more_than_its_burst() -> None:
    limit = bucket(2, 3)
    now[0] = 60
    assert [limit.take() for _ in range(4)] == [True, True, True, False]


def test_a_refused_take_costs_nothing() -> None:
    limit = bucket(1, 1)
    assert limit.take()
    assert not any(limit.take() for _ in range(100))
    now[0] = 1
    assert limit.take()


def test_owed_tokens_are_paid_in_order() -> None:
    limit = bucket(4, 1)
    assert [limit.owe() for _ in range(4)] == [0.0, 0.25, 0.5, 0.75]
    now[0] = 0.75
    assert not limit.take()
    now[0] = 1.0
    assert limit.take()


def test_a_new_rate_counts_from_the_moment_that_it_is_set() -> None:
    limit = bucket(1, 10)
    limit.drain()
    now[0] = 2
    limit.refill_at(5)
    now[0] = 3
    assert [limit.take() for _ in range(8)] == [True] * 7 + [False]


def test_drained_it_refills_at_its_rate_and_keeps_what_is_owed() -> None:
    limit = bucket(1, 2)
    limit.drain()
    assert not limit.take()
    assert limit.owe() == 1.0
    limit.drain()
    now[0] = 1
    assert not limit.take()
    now[0] = 2
    assert limit.take()
