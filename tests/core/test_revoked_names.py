import pytest
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.revoked_names import parse_fingerprint, parse_serial

FINGERPRINT = "0a" * 32


@pytest.mark.parametrize(
    ("text", "serial"),
    [
        ("1A2B3C", 0x1A2B3C),
        ("1a:2b:3c", 0x1A2B3C),
        ("0x1715004", 0x1715004),
        ("0X1A2B3C", 0x1A2B3C),
        ("dec:1715004", 1715004),
        ("DEC: 1715004", 1715004),
        ("serial=1715004", 0x1715004),
        ("serial=-1A2B", -0x1A2B),
        ("Serial Number: 1715004 (0x1a2b3c)", 0x1A2B3C),
        ("1715004 (0x1a2b3c)", 0x1A2B3C),
        ("-5 (-0x5)", -5),
        ("-1A", -0x1A),
        ("-dec:26", -26),
        ("7", 7),
        ("00:b0:1c", 0xB01C),
        (" 1A2B3C\n", 0x1A2B3C),
    ],
)
def test_a_serial_number_is_read_as_the_tools_print_it(text: str, serial: int) -> None:
    assert parse_serial(text, "revocation.serials") == serial


@pytest.mark.parametrize("text", ["1715004", "10", "-1715004", "00123456"])
def test_digits_that_may_be_decimal_or_hexadecimal_are_refused_with_both_ways_to_write_them(text: str) -> None:
    with pytest.raises(StationkeeperError, match=r"write 0x\d+ or dec:\d+") as refused:
        parse_serial(text, "revocation.serials")
    assert refused.value.reason is Reason.INVALID_SPEC


@pytest.mark.parametrize(
    "text",
    ["", "xyz", "0x", "dec:1a", "1715004 (0x1)", "1" * 129 + "a", "serial=", "١٢٣", "9" * 5000, "9" * 5000 + " (0x1)"],
)
def test_an_invalid_serial_number_is_refused_by_the_name_of_its_field(text: str) -> None:
    with pytest.raises(StationkeeperError, match=r"revocation\.serials") as refused:
        parse_serial(text, "revocation.serials")
    assert refused.value.reason is Reason.INVALID_SPEC


@given(st.integers(min_value=-(2**159), max_value=2**159))
def test_each_way_to_write_a_serial_number_names_the_same_one(serial: int) -> None:
    sign, digits = ("-" if serial < 0 else ""), f"{abs(serial):X}"
    written = [f"serial={sign}{digits}", f"{sign}0x{digits}", f"{sign}dec:{abs(serial)}", f"{serial} ({serial:#x})"]
    assert {parse_serial(text, "x") for text in written} == {serial}


@given(st.text(max_size=200))
def test_any_text_is_a_serial_number_or_refused(text: str) -> None:
    try:
        assert isinstance(parse_serial(text, "x"), int)
    except StationkeeperError as error:
        assert error.reason is Reason.INVALID_SPEC


@pytest.mark.parametrize(
    "text",
    [
        FINGERPRINT,
        FINGERPRINT.upper(),
        "sha256 Fingerprint=" + ":".join(["0A"] * 32),
        "SHA256 Fingerprint=" + ":".join(["0A"] * 32) + "\n",
        "SHA-256: " + FINGERPRINT,
    ],
)
def test_a_fingerprint_is_read_as_the_tools_print_it(text: str) -> None:
    assert parse_fingerprint(text, "x") == FINGERPRINT


@pytest.mark.parametrize("text", ["", "0a" * 31, "0a" * 20, "sha1 Fingerprint=" + "0A" * 20, "g" * 64])
def test_an_invalid_sha256_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(StationkeeperError, match="not a SHA-256 fingerprint"):
        parse_fingerprint(text, "client.sha256Fingerprints")
