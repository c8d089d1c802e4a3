import json

from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_operator.resources.packed_text import packed, unpacked

CONDITIONS = [
    {
        "lastTransitionTime": f"2026-11-25T10:{number:02d}:07Z",
        "message": "the spec is in force",
        "observedGeneration": 3,
        "reason": "Accepted",
        "status": "True",
        "type": kind,
    }
    for number, kind in enumerate(("Accepted", "Published", "Enforced", "Vouched", "Ready"))
]


@given(st.binary(max_size=300).map(lambda tail: b"{" + tail))
def test_any_text_is_unpacked_unchanged_and_never_gets_longer(text: bytes) -> None:
    assert unpacked(packed(text)) == text
    assert len(packed(text)) <= len(text)


def test_a_typical_status_takes_a_fifth_and_equal_texts_have_equal_bytes() -> None:
    text = json.dumps({"conditions": CONDITIONS, "observedGeneration": 3}, separators=(",", ":")).encode()
    assert unpacked(packed(text)) == text
    assert packed(text) == packed(bytes(text))
    assert len(packed(text)) < len(text) / 5
