"""Elements that BER allows and DER does not, byte by byte."""

import pytest

from stationkeeper_core.x509.der_reader import INTEGER, OCTET_STRING, SEQUENCE, DerReader, MalformedDERError

LARGE = 0x1F
"""All tags whose number does not fit into the first byte."""


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"\x1f\x04\x01a", (OCTET_STRING, 3, 4)),
        (b"\x1f\x1f\x01a", (LARGE, 3, 4)),
        (b"\x1f\x81\x01\x01a", (LARGE, 4, 5)),
        (b"\x1f\xff\xff\xff\xff\x7f\x00", (LARGE, 7, 7)),
        (b"\x1f\x80\x80\x04\x81\x01a", (OCTET_STRING, 6, 7)),
    ],
)
def test_a_tag_of_several_bytes_is_read(written: bytes, read: tuple[int, int, int]) -> None:
    reader = DerReader(written)
    assert reader.read() == read
    reader.finish()


@pytest.mark.parametrize("written", [b"\x1f\x81", b"\x1f\x81\x81", b"\x1f\x04", b"\x1f\x04\x01", b"\x04\x82\x01\x00a"])
def test_an_element_that_is_cut_short_is_refused(written: bytes) -> None:
    with pytest.raises(MalformedDERError, match="cut short"):
        DerReader(written).read()


def test_an_element_of_another_tag_is_refused() -> None:
    assert DerReader(b"\x02\x01\x07").expect(INTEGER) == (2, 3)
    with pytest.raises(MalformedDERError):
        DerReader(b"\x02\x01\x07").expect(SEQUENCE)
