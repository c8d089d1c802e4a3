from datetime import UTC, datetime, timedelta, timezone

from stationkeeper_core.timestamps import rfc3339


def test_a_moment_is_shown_in_utc_and_to_the_second() -> None:
    moment = datetime(2026, 6, 1, 1, 2, 3, 999_999, tzinfo=timezone(timedelta(hours=2)))

    assert rfc3339(moment) == "2026-05-31T23:02:03Z"
    assert rfc3339(moment.astimezone(UTC)) == rfc3339(moment)
