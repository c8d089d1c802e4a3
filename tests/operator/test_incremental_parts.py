"""The collections of the incremental compile, each compared with a simple model."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_operator.compiling.incremental.deadline_queue import DeadlineQueue
from stationkeeper_operator.compiling.incremental.multi_index import MultiIndex
from stationkeeper_operator.compiling.incremental.namespaced_index import NamespacedIndex
from stationkeeper_operator.resources.records import GATEWAY, Key

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
KEYS, VALUES = st.sampled_from("ab"), st.integers(0, 4)
NAMESPACES = ("m", "n", "o")
RESOURCES = st.builds(Key, st.just(GATEWAY), st.sampled_from(NAMESPACES), st.sampled_from("xy"))
NUMBER = 20_000


@given(st.lists(st.tuples(st.booleans(), KEYS, VALUES), max_size=40))
def test_an_index_holds_each_value_once_and_the_last_takes_the_place_of_the_first(
    steps: list[tuple[bool, str, int]],
) -> None:
    index: MultiIndex[str, int] = MultiIndex()
    model: dict[str, list[int]] = {"a": [], "b": []}
    for adds, key, value in steps:
        (index.add if adds else index.discard)(key, value)
        if adds and value not in model[key]:
            model[key].append(value)
        elif not adds and value in model[key]:
            values = model[key]
            if values[0] == value:
                values[0] = values[-1]
                values.pop()
            else:
                values.remove(value)
        for each, values in model.items():
            assert list(index.of(each)) == values
            assert index.first(each) == (values[0] if values else None)
            assert (each in index, index.is_shared(each)) == (bool(values), len(values) > 1)


def test_an_index_is_emptied_from_the_front_as_quickly_as_from_the_back() -> None:
    def seconds(values: Iterable[int]) -> float:
        index: MultiIndex[str, int] = MultiIndex()
        for value in range(NUMBER):
            index.add("a", value)
        began = time.thread_time()
        for value in values:
            index.discard("a", value)
        assert "a" not in index
        return time.thread_time() - began

    # Earlier, this took a hundred times as long: each removal stepped over the places of all earlier ones.
    front = min(seconds(range(NUMBER)) for _ in range(3))
    assert front < 10 * max(seconds(reversed(range(NUMBER))) for _ in range(3))


@given(st.lists(st.tuples(st.booleans(), KEYS, RESOURCES), max_size=40))
def test_an_index_by_namespace_holds_each_resource_once(steps: list[tuple[bool, str, Key]]) -> None:
    index: NamespacedIndex[str] = NamespacedIndex()
    model: dict[str, dict[Key, None]] = {"a": {}, "b": {}}
    for adds, key, resource in steps:
        if adds:
            index.add(key, resource)
            model[key][resource] = None
        else:
            index.discard(key, resource)
            model[key].pop(resource, None)
        for each, resources in model.items():
            assert (each in index) == bool(resources)
            for namespace in NAMESPACES:
                expected = [one for one in resources if one.namespace == namespace]
                assert sorted(index.of(each, namespace)) == sorted(expected)
                assert index.has(each, namespace) == bool(expected)


def test_a_lookup_steps_over_nothing_of_other_namespaces() -> None:
    class Name(str):
        """The name of a namespace, which counts how often it is compared."""

        __slots__ = ()
        compared = 0
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            Name.compared += 1
            return str.__eq__(self, other)

    def comparisons(number: int) -> int:
        index: NamespacedIndex[str] = NamespacedIndex()
        for each in range(number):
            index.add("a", Key(GATEWAY, Name("crowded"), f"g{each}"))
        index.add("a", Key(GATEWAY, Name("other"), "g"))
        Name.compared = 0
        assert list(index.of("a", "other")) == [Key(GATEWAY, "other", "g")]
        assert not index.has("a", "nobody")
        return Name.compared

    assert comparisons(5_000) == comparisons(5) < 10


@given(st.lists(st.tuples(KEYS, st.none() | st.integers(0, 9)), max_size=40), st.integers(0, 9))
def test_a_deadline_is_the_last_that_was_set(steps: list[tuple[str, int | None]], passed: int) -> None:
    queue: DeadlineQueue[str] = DeadlineQueue()
    model: dict[str, datetime] = {}
    for key, days in steps:
        when = None if days is None else EPOCH + timedelta(days=days)
        queue.set(key, when)
        model.pop(key, None)
        if when is not None:
            model[key] = when
        assert queue.first == min(model.values(), default=None)

    now = EPOCH + timedelta(days=passed)
    assert sorted(queue.take(now)) == sorted(key for key, when in model.items() if when <= now)
    assert queue.first == min((when for when in model.values() if when > now), default=None)


def test_deadlines_that_move_often_are_forgotten() -> None:
    queue: DeadlineQueue[str] = DeadlineQueue()
    queue.set("still", EPOCH)
    for days in range(1000, 0, -1):
        queue.set("moving", EPOCH + timedelta(days=days))

    assert list(queue.take(EPOCH)) == ["still"]
    assert queue.first == EPOCH + timedelta(days=1)
    assert list(queue.take(EPOCH + timedelta(days=1000))) == ["moving"]
    assert queue.first is None
