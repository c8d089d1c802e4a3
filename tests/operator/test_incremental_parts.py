"""The two collections of the incremental compile, each compared with a simple model."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_operator.compiling.incremental.deadline_queue import DeadlineQueue
from stationkeeper_operator.compiling.incremental.multi_index import MultiIndex

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
KEYS, VALUES = st.sampled_from("ab"), st.integers(0, 4)


@given(st.lists(st.tuples(st.booleans(), KEYS, VALUES), max_size=40))
def test_an_index_holds_each_value_once_in_the_order_in_which_they_came(steps: list[tuple[bool, str, int]]) -> None:
    index: MultiIndex[str, int] = MultiIndex()
    model: dict[str, list[int]] = {"a": [], "b": []}
    for adds, key, value in steps:
        (index.add if adds else index.discard)(key, value)
        if adds and value not in model[key]:
            model[key].append(value)
        elif not adds and value in model[key]:
            model[key].remove(value)
        for each, values in model.items():
            assert list(index.of(each)) == values
            assert index.first(each) == (values[0] if values else None)
            assert (each in index, index.is_shared(each)) == (bool(values), len(values) > 1)


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
