from stationkeeper_core.cached import cached_property


class Counting:
    def __init__(self) -> None:
        self.asked = 0

    @cached_property
    def value(self) -> int:
        """Return how often it was computed."""
        self.asked += 1
        return self.asked


def test_a_value_is_computed_once_for_each_object() -> None:
    one, other = Counting(), Counting()

    assert (one.value, one.value, other.value) == (1, 1, 1)
    assert one.asked == 1


def test_of_the_class_it_is_the_property_itself_with_its_text() -> None:
    assert isinstance(Counting.value, cached_property)
    assert Counting.value.__doc__ == "Return how often it was computed."
