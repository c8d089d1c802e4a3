import time

from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_operator.api.rate_limit import BacklogRate, RateLimit


def test_a_burst_passes_and_then_only_the_rate() -> None:
    now = [0.0]
    limit = RateLimit(per_second=2, burst=3, clock=lambda: now[0])
    assert [limit.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.5
    assert [limit.take() for _ in range(2)] == [True, False]
    now[0] = 60
    assert [limit.take() for _ in range(4)] == [True, True, True, False]


async def test_waiting_takes_as_long_as_the_rate_says() -> None:
    limit = RateLimit(per_second=20, burst=1)
    begin = time.monotonic()
    for _ in range(3):
        await limit.wait()
    assert time.monotonic() - begin >= 0.09


def passed(limit: RateLimit, now: list[float], seconds: int) -> int:
    count = 0
    for _ in range(seconds * 100):
        now[0] += 0.01
        while limit.take():
            count += 1
    return count


def test_a_large_backlog_is_done_in_bounded_time_and_a_small_one_slowly() -> None:
    now = [0.0]
    limit = BacklogRate(least=10, most=200, within=100, burst=20, clock=lambda: now[0])
    limit.expect(15_000)
    assert 1490 <= passed(limit, now, 10) <= 1530
    limit.expect(20)
    limit.expect(500)
    assert 95 <= passed(limit, now, 10) <= 125
    limit.expect(10**9)
    assert 1990 <= passed(limit, now, 10) <= 2030


@given(waiting=st.integers(1, 20_000))
def test_a_backlog_is_done_in_its_time_to_the_last_item(waiting: int) -> None:
    now = [0.0]
    limit = BacklogRate(least=10, most=250, within=100, burst=20, clock=lambda: now[0])
    rest = waiting
    while rest:
        limit.expect(rest)
        if limit.take():
            rest -= 1
        else:
            now[0] += 0.05
    # The last writes, as many as the burst has, come at the lowest rate.
    assert now[0] <= 100 + 20 / 10 + 0.1


def test_a_server_that_asks_for_less_gets_less_for_a_while() -> None:
    now = [0.0]
    limit = BacklogRate(least=100, most=100, within=1, burst=2, clock=lambda: now[0])
    limit.slow_down(0)
    limit.expect(0)
    halved = passed(limit, now, 1)
    assert 45 <= halved <= 55
    now[0] += 60
    limit.expect(0)
    limit.take()
    assert 95 <= passed(limit, now, 1) <= 105
