import time

from stationkeeper_operator.api.rate_limit import RateLimit


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
