"""What is compiled step by step is what is compiled from nothing, and takes work in proportion to the change."""

import pytest
from hypothesis import given, settings

from stationkeeper_operator.compiling import bucket_memory, compile, incremental_registry, registry_compiler
from stationkeeper_operator.compiling.room import Bound
from tests.operator.changing_world import ChangingWorld, Step, steps

_NARROW = (
    Bound(1_500, share=150, shares=300, release_share=200, reserve=200),
    Bound(4_000, share=600, shares=1_200, release_share=600, reserve=400),
)


@given(steps(6))
@settings(max_examples=40)
def test_after_any_events_all_is_as_if_compiled_from_nothing(taken: list[Step]) -> None:
    world = ChangingWorld()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(incremental_registry, "AT_LEAST", 1)
        for each in taken:
            world.take(each)


@given(steps(6))
@settings(max_examples=40)
def test_so_it_is_where_documents_and_what_is_reserved_in_them_are_full(taken: list[Step]) -> None:
    world = ChangingWorld()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compile, "REGISTRY_BOUNDS", _NARROW)
        patch.setattr(bucket_memory, "REGISTRY_BOUNDS", _NARROW)
        patch.setattr(registry_compiler, "MAX_RESERVED", 1)
        for each in taken:
            world.take(each)
