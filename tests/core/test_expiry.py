from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.x509.expiry import Stage, next_stage_at, stage_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("left", "stage"),
    [
        (-SECOND, Stage.EXPIRED),
        (timedelta(), Stage.WITHIN_7_DAYS),
        (timedelta(days=7), Stage.WITHIN_7_DAYS),
        (timedelta(days=7) + SECOND, Stage.WITHIN_30_DAYS),
        (timedelta(days=30), Stage.WITHIN_30_DAYS),
        (timedelta(days=30) + SECOND, None),
    ],
)
def test_each_threshold_is_at_its_second(left: timedelta, stage: Stage | None) -> None:
    assert stage_of(NOW + left - timedelta(days=3650), NOW + left, NOW) is stage
    assert stage_of(None, NOW + left, NOW) is stage


@pytest.mark.parametrize(
    ("hours", "left", "stage"),
    [
        (24, 24, None),
        (24, 4.81, None),
        (24, 4.8, Stage.WITHIN_30_DAYS),
        (24, 1.2, Stage.WITHIN_7_DAYS),
        (24, 0, Stage.WITHIN_7_DAYS),
        (24, -0.01, Stage.EXPIRED),
        (1, 0.3, None),
        (1, 0.2, Stage.WITHIN_30_DAYS),
        (90 * 24, 18 * 24 + 1, None),
        (90 * 24, 18 * 24, Stage.WITHIN_30_DAYS),
        (90 * 24, 4.5 * 24, Stage.WITHIN_7_DAYS),
        (0, 1, None),
        (-5, 1, None),
    ],
)
def test_a_short_life_is_near_its_end_only_with_a_fifth_and_a_twentieth_left(
    hours: float, left: float, stage: Stage | None
) -> None:
    end = NOW + timedelta(hours=left)
    assert stage_of(end - timedelta(hours=hours), end, NOW) is stage


MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


@given(st.none() | MOMENTS, MOMENTS, MOMENTS)
def test_a_stage_lasts_until_the_next_one_begins(begin: datetime | None, end: datetime, now: datetime) -> None:
    at = next_stage_at(begin, end, now)
    if at is None:
        assert stage_of(begin, end, now) is Stage.EXPIRED
    else:
        assert at > now
        assert stage_of(begin, end, at - datetime.resolution) == stage_of(begin, end, now)
