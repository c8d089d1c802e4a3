from itertools import count

from stationkeeper_core.recently_used import RecentlyUsed


def made(most: int) -> RecentlyUsed[str, int]:
    numbers = count(1)
    return RecentlyUsed(lambda: next(numbers), most)


def test_a_key_keeps_its_value() -> None:
    values = made(2)
    assert [values[key] for key in "abab"] == [1, 2, 1, 2]


def test_above_the_bound_the_key_that_was_used_longest_ago_is_dropped() -> None:
    values = made(2)
    assert [values[key] for key in "abac"] == [1, 2, 1, 3]
    assert values["a"] == 1
    assert values["b"] == 4
