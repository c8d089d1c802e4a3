"""A name with only one Common Name is read by a short path, with the same result as by the general parser."""

import pytest

from stationkeeper_core.x509.der import element
from stationkeeper_core.x509.der_reader import OBJECT_IDENTIFIER, SEQUENCE, SET, MalformedDERError
from stationkeeper_core.x509.names import Name, read_name

UTF8, PRINTABLE, IA5 = 12, 19, 22
COMMON_NAME, SURNAME = bytes.fromhex("550403"), bytes.fromhex("550404")


def _part(kind: bytes, tag: int, text: bytes) -> bytes:
    return element(SET, element(SEQUENCE, element(OBJECT_IDENTIFIER, kind) + element(tag, text)))


def _seen(name: Name) -> tuple[object, ...]:
    return name.parts, name.text, name.folded, name.common_names


@pytest.mark.parametrize("tag", [UTF8, PRINTABLE, IA5])
@pytest.mark.parametrize("size", [0, 1, 16, 115, 116, 117, 118, 130])
def test_one_common_name_is_read_as_it_is_next_to_another_part(tag: int, size: int) -> None:
    part = _part(COMMON_NAME, tag, b"aB" * (size // 2) + b"c" * (size % 2))
    alone = read_name(element(SEQUENCE, part))
    beside = read_name(element(SEQUENCE, part + _part(SURNAME, UTF8, b"x")))
    assert alone.parts == beside.parts[:1]
    assert alone.common_names == beside.common_names
    assert beside.text == f"2.5.4.4=x,{alone.text}"
    assert beside.folded.startswith(alone.folded)


def test_a_common_name_of_which_a_byte_differs_is_another_name_or_none() -> None:
    der = element(SEQUENCE, _part(COMMON_NAME, UTF8, b"0102030405060708"))
    whole = read_name(der)
    for place in range(13):
        for value in range(256):
            changed = der[:place] + bytes([value]) + der[place + 1 :]
            if changed == der:
                continue
            try:
                found = read_name(changed)
            except MalformedDERError:
                continue
            # Another kind, another tag of the text, or lists that are not marked as such.
            assert place in {0, 2, 8, 9, 10, 11}
            assert place in {0, 2} or _seen(found) != _seen(whole)


def test_bytes_that_are_not_text_are_refused_in_a_common_name_too() -> None:
    with pytest.raises(MalformedDERError, match="a text in it"):
        read_name(element(SEQUENCE, _part(COMMON_NAME, UTF8, b"\xff\xfe")))
