from pathlib import Path

from stationkeeper_core.errors import Fault, Reason
from stationkeeper_core.reason_table import REASONS
from stationkeeper_tools.commands.reasons_command import reasons_page

PAGE = Path(__file__).parents[2] / "docs" / "reasons.md"


def test_the_page_of_reasons_is_the_one_that_the_table_gives() -> None:
    assert PAGE.read_text() == reasons_page(), "run `make docs`"


def test_every_reason_has_its_row_and_every_row_a_meaning_and_a_remedy() -> None:
    assert set(REASONS) == set(Reason)
    assert all(info.meaning and info.remedy for info in REASONS.values())


def test_only_refused_requests_have_a_status() -> None:
    with_status = {info.fault for info in REASONS.values() if info.http_status}
    assert with_status == {Fault.REQUEST}


def test_no_refusal_has_status_429_or_5xx() -> None:
    statuses = {info.http_status for info in REASONS.values() if info.http_status}
    assert all(400 <= status < 500 for status in statuses)
    assert 429 not in statuses
