import pytest

from stationkeeper_core.eui64 import EUI64, format_id6
from stationkeeper_tools.station.credential_set import CredentialSet
from stationkeeper_tools.station.files import MemoryFiles
from stationkeeper_tools.station.gateway_eui import parse_gateway_eui
from stationkeeper_tools.station.state import StationState
from stationkeeper_tools.station.state_machine import Station


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("0102030405060708", "102:304:506:708"),
        ("0102030405060708".lower(), "102:304:506:708"),
        ("01-02-03-04-05-06-07-08", "102:304:506:708"),
        ("01:02:03:04:05:06:07:08", "102:304:506:708"),
        ("102:304:506:708", "102:304:506:708"),
        ("aabb::1", "aabb::1"),
        ("0000AABB0000CCDD", "aabb:ff:fe00:ccdd"),
        ("AABB0000CCDD", "aabb:ff:fe00:ccdd"),
        ("aa:bb:00:00:cc:dd", "aabb:ff:fe00:ccdd"),
        ("AA-BB-00-00-CC-DD", "aabb:ff:fe00:ccdd"),
        ("0:aabb:0:ccdd", "aabb:ff:fe00:ccdd"),
    ],
)
def test_each_way_of_writing_an_eui_is_asked_as_a_station_does(written: str, asked: str) -> None:
    assert format_id6(parse_gateway_eui(written)) == asked


@pytest.mark.parametrize("written", ["", "AABB", "AA-BB:00-00-CC-DD", "AABB0000CCDDE", "0102030405060708Z", "1:2:3"])
def test_anything_else_is_refused_with_what_to_write(written: str) -> None:
    with pytest.raises(ValueError, match="write 16 hex digits"):
        parse_gateway_eui(written)


def test_a_station_of_a_program_asks_by_that_eui_too() -> None:
    state = StationState(MemoryFiles())
    state.seed("https://localhost:8987", CredentialSet(b"trust"))
    station = Station(EUI64(0x0000AABB0000CCDD), state)
    assert format_id6(station.eui) == "aabb:ff:fe00:ccdd"
