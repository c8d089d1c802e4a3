from datetime import UTC, datetime, timedelta

import pytest

from stationkeeper_core.expiry import Stage, stage_of

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
    assert stage_of(NOW + left, NOW) is stage
