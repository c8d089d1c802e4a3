from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_operator.api.merge_patch import merge_patch
from stationkeeper_tools.standalone.merge_patch import merged

_NAMES = st.sampled_from("abc")
_VALUES = st.recursive(
    st.integers(0, 2) | st.lists(st.integers(0, 1), max_size=2),
    lambda values: st.dictionaries(_NAMES, values, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(_NAMES, _VALUES, max_size=3)


@given(_OBJECTS, _OBJECTS)
def test_the_patch_turns_one_object_into_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert merged(before, merge_patch(before, after)) == after


@given(_OBJECTS)
def test_no_patch_is_needed_between_equal_objects(value: dict[str, Any]) -> None:
    assert merge_patch(value, value) == {}


def test_the_patch_has_only_the_differences() -> None:
    before = {"a": 1, "b": {"c": 2, "d": 3, "e": 4}, "f": 5}
    assert merge_patch(before, {"a": 1, "b": {"c": 2, "d": 6}}) == {"b": {"d": 6, "e": None}, "f": None}
