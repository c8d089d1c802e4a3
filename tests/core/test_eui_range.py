import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64
from stationkeeper_core.eui_range import parse_range


@given(st.integers(0, 2**64 - 1), st.integers(0, 64), st.integers(0, 2**64 - 1))
def test_a_range_holds_just_the_euis_with_its_leading_bits(eui: int, bits: int, other: int) -> None:
    prefix = eui >> (64 - bits) << (64 - bits)
    found = parse_range(f"{prefix:016X}/{bits}")

    assert EUI64(eui) in found
    assert (EUI64(other) in found) == (f"{other:064b}"[:bits] == f"{prefix:064b}"[:bits])
    assert parse_range(str(found)) == found


@given(st.text() | st.text(alphabet="0123456789ABCDEF/", min_size=15, max_size=20))
def test_any_text_is_a_range_or_refused_by_name(text: str) -> None:
    try:
        assert 0 <= parse_range(text).bits <= 64
    except StationkeeperError as error:
        assert error.reason is Reason.EUI_RANGE_INVALID


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0102030405060708",
        "0102030405060708/",
        "0102030405060708/65",
        "0102030405060708/-1",
        "0102030405060708/40",
        "0102/16",
        "0102030405060708/6\u0664",
    ],
)
def test_a_text_that_is_not_a_prefix_is_refused(text: str) -> None:
    with pytest.raises(StationkeeperError) as refused:
        parse_range(text)
    assert refused.value.reason is Reason.EUI_RANGE_INVALID
