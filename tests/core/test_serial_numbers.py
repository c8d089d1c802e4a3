import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.x509.serial_numbers import count_serials, pack_serials, unpack_serials

SERIALS = st.sets(st.integers(-(2**159), 2**160 - 1), max_size=30)


@given(SERIALS)
def test_serial_numbers_survive_whatever_the_order_and_each_counts_once(serials: set[int]) -> None:
    packed = pack_serials([*serials, *sorted(serials, reverse=True)])
    assert packed == pack_serials(sorted(serials))
    assert unpack_serials(packed) == serials
    assert count_serials(packed) == len(serials)


@given(st.binary(max_size=100))
def test_any_bytes_give_serial_numbers_or_a_value_error(packed: bytes) -> None:
    try:
        found = unpack_serials(packed)
    except ValueError:
        return
    assert len(found) <= len(packed)


def test_a_serial_number_that_is_too_long_is_refused() -> None:
    assert unpack_serials(pack_serials([2**511 - 1])) == {2**511 - 1}
    with pytest.raises(ValueError, match="at most 64"):
        pack_serials([2**511])
