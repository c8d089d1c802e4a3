from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_tools.operating.fleet_status import GatewayState
from stationkeeper_tools.page.queries import MAX_PAGE, MAX_SEARCH, Query, read_query

NAMES = ["q", "state", "namespace", "name", "ca", "page", "refresh", "other"]


@given(st.dictionaries(st.sampled_from(NAMES), st.text() | st.text("0123456789") | st.sampled_from(["Fine", "a/b"])))
def test_any_query_string_gives_a_bounded_query(parameters: dict[str, str]) -> None:
    query = read_query(parameters)
    assert 1 <= query.page <= MAX_PAGE
    assert len(query.search) <= MAX_SEARCH
    assert len(query.text) < 4000
    assert read_query(dict(parse_qsl(query.text))) == query


def test_an_address_is_read_as_it_is_written() -> None:
    query = Query("ab 12", GatewayState.SILENT, "radio", "roof-1", "radio/vendor", 3, 5)
    assert read_query(dict(parse_qsl(query.text))) == query
    assert Query().text == ""


@pytest.mark.parametrize(
    "parameters",
    [
        {"state": "Fine2"},
        {"namespace": "Radio"},
        {"namespace": "a" * 254},
        {"name": "../x"},
        {"ca": "vendor"},
        {"ca": "a/b/c"},
        {"page": "-1"},
        {"page": "1e9"},
        {"page": "²"},
        {"page": "0"},
        {"refresh": "1"},
    ],
)
def test_implausible_parameters_are_ignored(parameters: dict[str, str]) -> None:
    assert read_query(parameters) == Query()
