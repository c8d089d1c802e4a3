import pytest

from stationkeeper_core.x509.der import element


@pytest.mark.parametrize(
    ("length", "header"),
    [(0, "0400"), (127, "047f"), (128, "048180"), (255, "0481ff"), (256, "04820100"), (65_536, "0483010000")],
)
def test_a_length_has_its_shortest_form(length: int, header: str) -> None:
    assert element(0x04, bytes(length)) == bytes.fromhex(header) + bytes(length)
