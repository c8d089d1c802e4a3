from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.x509.expiry import Stage
from stationkeeper_tools.page.timeline import timeline
from tests.tools.page.fleets import NOW, ago, ahead


def certificate(**ends: float) -> dict[str, str]:
    return {"subject": "CN=a", "notAfter": ahead(**ends)}


def test_the_scale_is_long_enough_for_the_last_end_but_no_longer_than_ten_years() -> None:
    for days, expected in ((3, 365.25), (1000, 1000), (9000, 3652.5)):
        found = timeline([certificate(days=days), certificate(days=1)], NOW)
        assert found.until - NOW == timedelta(days=expected)
        assert found.bars[0].goes_on is (days > 3652)


def test_a_bar_ends_where_its_certificate_does() -> None:
    bars = timeline([certificate(days=1000), certificate(days=100), {"notAfter": ago(days=1)}, {}], NOW).bars
    assert [each.width for each in bars] == [100, 10, 0, 0]
    assert [each.stage for each in bars] == [None, None, Stage.EXPIRED, None]
    assert bars[3].ends is None


@given(st.lists(st.integers(-4000, 30_000), max_size=20))
def test_everything_is_inside_the_scale(days: list[int]) -> None:
    found = timeline([certificate(days=each) for each in days], NOW)
    assert all(0 <= bar.width <= 100 for bar in found.bars)
    assert all(0 <= mark.at <= 100 for mark in found.marks)
    assert len(found.marks) <= 5
