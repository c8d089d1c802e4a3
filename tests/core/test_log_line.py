import json
import logging

from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.log_line import MAX_VALUE, JsonFormatter, log_line


@given(st.text(), st.dictionaries(st.sampled_from(["reason", "detail"]), st.text() | st.integers() | st.none()))
def test_each_log_record_is_one_line_with_exactly_its_fields(event: str, fields: dict[str, object]) -> None:
    line = log_line(0, "INFO", "logger", event, fields)

    assert b"\n" not in line
    assert set(json.loads(line)) == {"time", "level", "logger", "event", *fields}


def test_long_values_are_cut() -> None:
    assert len(json.loads(log_line(0, "INFO", "l", "e", {"detail": "x" * 5000}))["detail"]) == MAX_VALUE


def test_a_records_fields_and_traceback_are_in_its_line() -> None:
    error = ValueError("broken\nin two lines")
    record = logging.LogRecord("l", logging.ERROR, "", 0, "it %s", ("failed",), (ValueError, error, None))
    record.fields = {"sent": ["a", "b"]}

    said = json.loads(JsonFormatter().format(record))

    assert (said["event"], said["sent"]) == ("it failed", "a, b")
    assert "broken" in said["traceback"]


def test_a_record_without_fields_has_its_message_as_it_is() -> None:
    record = logging.LogRecord("l", logging.INFO, "", 0, "100 %", None, None)

    said = json.loads(JsonFormatter().format(record))

    assert (said["event"], said["level"]) == ("100 %", "info")
    assert set(said) == {"time", "level", "logger", "event"}


def test_half_of_a_surrogate_pair_is_written_as_an_escape() -> None:
    line = log_line(0, "INFO", "l", "e", {"detail": "a\ud800b"})

    assert line.isascii()
    assert json.loads(line)["detail"] == "a\ud800b"
