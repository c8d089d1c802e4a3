"""Lists of gateways in the forms of spreadsheets."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.eui64 import EUI64, format_hex, format_id6
from stationkeeper_tools.fleet.eui_spelling import read_eui
from stationkeeper_tools.fleet.gateway_csv import parse_gateway_csv, read_gateway_csv
from stationkeeper_tools.input_errors import InputError

EUI = EUI64(0x0123456789ABCDEF)


@pytest.mark.parametrize(
    "text",
    [
        "0123456789ABCDEF",
        "0123456789abcdef",
        "0x0123456789abcdef",
        "01-23-45-67-89-AB-CD-EF",
        "01:23:45:67:89:ab:cd:ef",
        "01 23 45 67 89 ab cd ef",
        "0123.4567.89ab.cdef",
        "0123-4567-89AB-CDEF",
        "123:4567:89ab:cdef",
        ' "0123456789ABCDEF" ',
        "'0123456789ABCDEF",
    ],
)
def test_an_eui_is_read_in_any_spelling(text: str) -> None:
    assert read_eui(text) == EUI


@given(st.integers(0, 2**64 - 1).map(EUI64))
def test_what_the_gateway_and_the_resources_print_is_read_back(eui: EUI64) -> None:
    assert read_eui(format_hex(eui)) == read_eui(format_id6(eui)) == eui


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("AA:BB:CC:DD:EE:FF", "AABBCCFFFEDDEEFF"),
        ("1.23457E+14", "took it for a number"),
        ("102030405060708", "0102030405060708"),
        ("gateway-1", "write 16 hex digits"),
        ("", "write 16 hex digits"),
        ("0123456789ABCDEF0", "17 hex digits"),
        ("01-23:45-67-89-AB-CD-EF", "not an EUI-64"),
    ],
)
def test_what_is_not_an_eui_is_refused_with_advice(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match="not an EUI-64") as refused:
        read_eui(text)
    assert advice in str(refused.value)


@given(st.text(max_size=40))
def test_any_text_is_an_eui_or_refused(text: str) -> None:
    try:
        assert 0 <= read_eui(text) < 2**64
    except ValueError as error:
        assert "not an EUI-64" in str(error)


@pytest.mark.parametrize("header", ["eui", "EUI", "Gateway EUI", "gateway_eui", "gatewayId", "EUI-64", "router"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_column_is_found_by_its_header(header: str, delimiter: str) -> None:
    text = f"nr{delimiter}{header}{delimiter}Name\r\n1{delimiter}0123456789ABCDEF{delimiter}Roof\r\n"

    (found,) = parse_gateway_csv(text, "list.csv")

    assert (found.eui, found.name, found.line) == (EUI, "Roof", 2)


def test_an_eui_column_comes_before_one_with_an_identifier() -> None:
    (found,) = parse_gateway_csv("gateway_id,gateway_eui\nroof-1,0123456789ABCDEF\n", "list.csv")

    assert found.eui == EUI


def test_a_list_of_euis_needs_no_header(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes("\ufeff0123456789ABCDEF\n\n0123456789ABCDEE\n".encode())

    assert [each.line for each in read_gateway_csv(path)] == [1, 3]


def test_all_that_is_wrong_is_reported_at_once_with_its_lines() -> None:
    text = "eui,name\n0123456789ABCDEF,a\nwrong,b\n01-23-45-67-89-ab-cd-ef,c\n"

    with pytest.raises(InputError) as refused:
        parse_gateway_csv(text, "list.csv")

    first, second = refused.value.problems
    assert first.startswith("list.csv:3: 'wrong'")
    assert second.startswith("list.csv:4: EUI 0123456789ABCDEF is in line 2 too")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("name,place\na,b\n", "no column is called eui"),
        ("eui\n", "no gateway"),
        ('eui\n"0123456789ABCDEF\n', "cannot be read as CSV"),
    ],
)
def test_a_file_that_is_not_a_list_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        parse_gateway_csv(text, "list.csv")


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes("eui\n0123456789ABCDEF\n".encode("utf-16"))

    with pytest.raises(InputError, match="UTF-8"):
        read_gateway_csv(path)
