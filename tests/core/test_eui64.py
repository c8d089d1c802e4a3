import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.eui64 import EUI64, eui_asked_by_station, format_hex, format_id6, parse_hex, parse_router

EUIS = st.integers(min_value=0, max_value=2**64 - 1).map(EUI64)
SPARSE = st.lists(st.sampled_from([0, 0, 1, 0xAABB, 0xFFFF]), min_size=4, max_size=4).map(
    lambda groups: EUI64(groups[0] << 48 | groups[1] << 32 | groups[2] << 16 | groups[3])
)


@given(EUIS | SPARSE)
def test_an_eui_survives_each_way_of_writing_it(eui: EUI64) -> None:
    pairs = [format_hex(eui)[start : start + 2] for start in range(0, 16, 2)]

    assert parse_hex(format_hex(eui)) == eui
    assert parse_hex(format_hex(eui).lower()) == eui
    assert parse_router(format_id6(eui)) == eui
    assert parse_router(format_id6(eui).upper()) == eui
    assert parse_router("-".join(pairs)) == eui
    assert parse_router(":".join(pairs).lower()) == eui


@given(st.text() | st.text(alphabet="0123456789abcdefABCDEF:-"))
def test_any_text_is_an_eui_or_refused_by_name(text: str) -> None:
    try:
        assert 0 <= parse_router(text) < 2**64
    except StationkeeperError as error:
        assert error.reason is Reason.ROUTER_UNPARSABLE


@pytest.mark.parametrize(
    ("router", "eui"),
    [
        ("102:304:506:708", "0102030405060708"),
        ("aabb::1", "AABB000000000001"),
        ("aabb:ccdd::", "AABBCCDD00000000"),
        ("1::", "0001000000000000"),
        ("aabb:0:ccdd:1", "AABB0000CCDD0001"),
        ("::1", "0000000000000001"),
        ("::", "0000000000000000"),
        ("1:2::3", "0001000200000003"),
        ("01-02-03-04-05-06-07-08", "0102030405060708"),
        ("AA:BB:CC:DD:EE:FF:00:11", "AABBCCDDEEFF0011"),
    ],
)
def test_a_router_is_read_as_the_client_writes_it(router: str, eui: str) -> None:
    assert format_hex(parse_router(router)) == eui


@pytest.mark.parametrize(
    "router",
    [
        "",
        "0102030405060708",
        "01:02:03:04:05:06",
        "01-02-03-04-05-06",
        "01-02:03-04-05-06-07-08",
        "1:2:3",
        "1:2:3:4:5",
        "1:2:3:4::",
        "::1:2:3:4",
        "1::2::3",
        ":::",
        "1:2:3:",
        ":1:2:3",
        "12345::",
        "g::",
        " 1::",
        "1::\n",
        "0x1::",
        "-1::",
        "+1::",
        "1_0::",
        "\u0661::",
        "\uff11::",
    ],
)
def test_any_other_spelling_is_refused(router: str) -> None:
    with pytest.raises(StationkeeperError) as refused:
        parse_router(router)
    assert refused.value.reason is Reason.ROUTER_UNPARSABLE


@pytest.mark.parametrize(
    "text", ["", "010203040506070", "01020304050607080", "0102030405060g08", " 102030405060708", "\uff10" * 16]
)
def test_a_common_name_that_is_not_16_hex_digits_is_not_an_eui(text: str) -> None:
    assert parse_hex(text) is None


@pytest.mark.parametrize(
    ("eui", "id6"),
    [
        (0x0102030405060708, "102:304:506:708"),
        (0xAABB000000000001, "aabb::1"),
        (0xAABBCCDD00000000, "aabb:ccdd::"),
        (0x0001000000000000, "1::"),
        (0xAABB0000CCDD0001, "aabb:0:ccdd:1"),
        (0, "::"),
    ],
)
def test_an_id6_is_written_as_the_client_writes_it(eui: int, id6: str) -> None:
    assert format_id6(EUI64(eui)) == id6


@pytest.mark.parametrize(
    ("configured", "asked"),
    [
        ("0000AABB0000CCDD", "aabb:ff:fe00:ccdd"),
        ("0000000000000001", "0:ff:fe00:1"),
        ("0000FFFFFFFFFFFF", "ffff:ffff:feff:ffff"),
        ("0001000000000000", "1::"),
        ("AABB0000CCDD0001", "aabb:0:ccdd:1"),
    ],
)
def test_a_station_takes_an_eui_whose_upper_16_bits_are_zero_for_a_mac(configured: str, asked: str) -> None:
    eui = parse_hex(configured)
    assert eui is not None
    assert format_id6(eui_asked_by_station(eui)) == asked
